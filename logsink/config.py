"""Settings: each is declared once, here; file, environment, command line, ``config show`` and the reference come from it.

A setting is a field of a frozen section: its kind says what is accepted and how it is written, its default is written as a
user would write it. ``load`` takes, in this order: command line, environment, file, default; the first that names a setting
wins, whole lists included. It reads no environment itself: the caller passes the mapping.

=========== =============================== ==================
setting      environment                     file (TOML)
=========== =============================== ==================
``store``    ``LOGSINK_STORE``               ``store = "..."``
``a.b``      ``LOGSINK_A__B``                ``[a]`` ``b = ...``
=========== =============================== ==================

No third-party import: `logsink query` reads its store from here and must start at once (pydantic alone costs 0.17 s).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote

from logsink.errors import ArgumentError, ConfigError
from logsink.kinds import (
    ADDRESS,
    ADDRESSES,
    CLIENT_AUTH,
    LISTENERS,
    NETWORKS,
    PATH,
    PEERS,
    SD_ID,
    STORE,
    SWITCH,
    TIMEZONE,
    Address,
    Kind,
    count,
    duration,
    format_duration,
    format_size,
    size,
)
from logsink.place import redacted

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

Section = TypeVar("Section", bound=type[Any])


class Setting(NamedTuple):
    """One setting as declared: ``default`` as a user would write it, or None where ``usual`` tells how it comes about."""

    key: str
    kind: Kind
    default: object
    usual: str
    doc: str
    flag: str | None

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return "LOGSINK_" + self.key.replace(".", "__").upper()

    @property
    def value(self) -> object:
        """The default; where there is none, nothing of its kind."""
        if self.default is None:
            return () if self.kind.many else None
        return self.kind.value(self.default)


def _setting(kind: Kind, doc: str, default: object = None, *, usual: str = "", flag: str | None = None) -> Any:
    """Declare a setting. Without a ``default``, ``usual`` says in words what ``load`` chooses."""
    return Setting("", kind, default, usual or kind.toml(kind.value(default)), doc, flag)


def _section(cls: Section) -> Section:
    """A named tuple whose fields have the values that their declarations stand for; these are kept in ``_field_defaults``.

    Dataclasses can hold both, and eight of them take 0.01 s of every command.
    """
    cls.__new__.__defaults__ = tuple(setting.value for setting in cls._field_defaults.values())
    return cls


@_section
class Listen(NamedTuple):
    """Addresses to receive on.

    With none configured: tcp and udp on 127.0.0.1:5514, relp on 127.0.0.1:2514, http on 127.0.0.1:9514. As soon as one of
    these settings is given, only the given ones open. `0.0.0.0:PORT` and `[::]:PORT` open to the network; port 0 takes a
    free port.
    """

    tcp: tuple[Address, ...] = _setting(
        ADDRESSES,
        "Syslog over TCP, octet-counted and line-framed alike.",
        usual="127.0.0.1:5514 while no listener is configured",
        flag="--tcp",
    )
    udp: tuple[Address, ...] = _setting(
        ADDRESSES,
        "Syslog over UDP, a frame a datagram.",
        usual="127.0.0.1:5514 while no listener is configured",
        flag="--udp",
    )
    relp: tuple[Address, ...] = _setting(
        ADDRESSES,
        "RELP: acknowledged when stored, and not before.",
        usual="127.0.0.1:2514 while no listener is configured",
        flag="--relp",
    )
    tls: tuple[Address, ...] = _setting(
        ADDRESSES, "Syslog over TLS (RFC 5425); needs `tls.cert`.", usual="none", flag="--tls"
    )
    relp_tls: tuple[Address, ...] = _setting(
        ADDRESSES, "RELP over TLS; needs `tls.cert`.", usual="none", flag="--relp-tls"
    )
    proxy_protocol_from: tuple[IPv4Network | IPv6Network, ...] = _setting(
        NETWORKS,
        "Load balancers (addresses, networks) that send a PROXY protocol header, version 1 or 2: the client that it names is "
        "the `sender`. Connections from there without a header are closed, and so are headers from elsewhere.",
        usual="none",
    )
    proxy_protocol_on: tuple[str, ...] = _setting(
        LISTENERS,
        "The listeners on which they do; on others they are senders like any.",
        ("tcp", "relp", "tls", "relp_tls"),
    )
    http: Address | None = _setting(
        ADDRESS,
        "HTTP for `/metrics`, `/healthz` and `/readyz`. No authentication.",
        usual="127.0.0.1:9514 while no listener is configured",
        flag="--http",
    )
    share_ports: bool = _setting(
        SWITCH,
        "Let other processes that say so, too, listen on the same addresses: the kernel deals out what comes to all of them.",
        "false",
        flag="--share-ports",
    )


@_section
class Receive(NamedTuple):
    """What a receiver takes in, and how much of it at a time."""

    memory_limit: int = _setting(
        size("32MiB", "1TiB"),
        "Most bytes read and not yet stored; at the limit the receiver stops reading and senders wait.",
        "128MiB",
    )
    max_message: int = _setting(
        size("1KiB", "16MiB"),
        "Longest frame kept whole; of a longer one the beginning is kept and flagged `truncated`.",
        "256KiB",
    )
    max_connections: int = _setting(
        count(1, 1_000_000), "Most open connections; further ones are closed at once, and counted.", 10_000
    )
    max_connections_per_sender: int = _setting(
        count(1, 1_000_000),
        "Most open connections of one address; further ones are closed at once, and counted. Raise it where many clients share "
        "an address (NAT, or a load balancer without `listen.proxy_protocol_from`).",
        1000,
    )
    opening_timeout: float = _setting(
        duration("100ms", "5m"), "How long a client may take over its TLS handshake, or its PROXY header.", "10s"
    )
    keepalive: float = _setting(
        duration("3s", "12h"),
        "How long a peer that gives no sign of life, as after its link went down, is waited for before its connection ends.",
        "3m",
    )
    max_connection_age: float | None = _setting(
        duration("1s", "36500d"),
        "How long a sender may keep a connection, up to a quarter less by chance: then RELP clients are told `serverclose`, "
        "TCP and TLS connections are half-closed, so that senders connect again, to any of the receivers behind a name.",
        usual="no limit",
    )
    max_inflation: int = _setting(
        count(2, 1_000_000),
        "How many times its size a compressed stream may become; one that becomes more is closed. zlib cannot pass 1032.",
        1000,
    )
    relp_window: int = _setting(
        count(1, 10_000_000),
        "Most frames that a RELP client leaves unacknowledged: the largest `windowSize` of all clients (omrelp's default is "
        "128). So many frames at the beginning of a session can be sent again, and are flagged `maybe_resent`.",
        10_000,
    )
    max_inflated: int = _setting(
        size("1MiB", "1TiB"),
        "Most bytes a second that compressed data of one sender may become, with what its frames take of the memory. A stream "
        "waits; a datagram beyond that is kept compressed.",
        "64MiB",
    )
    default_timezone: str = _setting(TIMEZONE, "Zone of timestamps that name none (flag `zone_assumed`).", "UTC")
    deploy_sd_id: str = _setting(
        SD_ID,
        "Structured data element whose environment, role, deploy, instance become columns.",
        "deploy@32473",
    )
    drain_timeout: float = _setting(
        duration("0s", "1h"), "After SIGTERM: how long senders may finish before connections are closed.", "30s"
    )


@_section
class Tls(NamedTuple):
    """For the listeners `listen.tls` and `listen.relp_tls`: TLS 1.2 or later.

    Files are PEM. When one changes, new connections use it, without a restart.
    """

    cert: str | None = _setting(
        PATH, "This server's certificate, then the certificates that lead to its root.", usual="none"
    )
    key: str | None = _setting(PATH, "Its private key, not encrypted.", usual="in the file `tls.cert`")
    client_ca: str | None = _setting(
        PATH,
        "What clients' certificates must lead to: authorities, or the very certificates of clients.",
        usual="none",
    )
    client_auth: str = _setting(
        CLIENT_AUTH, "Whether clients must show a certificate: `none`, `optional` or `required`.", "none"
    )
    permitted_peers: tuple[str, ...] = _setting(
        PEERS,
        "Clients that may connect: names in their certificates (common name, DNS name, address), `*.example.com` for any one "
        "label, or fingerprints as `SHA256:AB:CD:...`, `SHA1:...`.",
        usual="every client with a certificate that is accepted",
    )


@_section
class Journal(NamedTuple):
    """When received frames are written to the store, which is when they are acknowledged."""

    ack_delay: float = _setting(
        duration("0s", "1m"),
        "How long an acknowledgement may wait for more frames to share its write.",
        usual="20ms on file://, 200ms on s3://",
    )
    max_delay: float = _setting(duration("1ms", "1m"), "Longest any frame waits before it is written.", "1s")
    max_bytes: int = _setting(size("64KiB", "1GiB"), "A segment this large is written at once.", "16MiB")
    parallel_puts: int = _setting(count(1, 64), "Lanes: writes under way at the same time.", 4)


@_section
class Archive(NamedTuple):
    """When stored segments become Parquet files and one commit of the table; whichever limit is reached first."""

    max_bytes: int = _setting(size("1MiB", "1GiB"), "Bytes of frames for one commit.", "32MiB")
    max_segments: int = _setting(count(1, 100_000), "Segments for one commit.", 256)
    max_age: float = _setting(duration("1s", "1h"), "Longest a stored segment waits for its commit.", "60s")


@_section
class Maintain(NamedTuple):
    """Upkeep of the store that any receiver does."""

    every: float = _setting(duration("1s", "1d"), "How often to look for work.", "1m")
    orphan_after: float = _setting(
        duration("3s", "30d"),
        "Segments this old belong to a receiver that is gone, and are archived by another; at least 3 x archive.max_age.",
        "5m",
    )
    checkpoint_every: int = _setting(count(1, 10_000), "Commits between checkpoints of the table's log.", 50)
    compact_after: float = _setting(
        duration("0s", "30d"), "How long after an hour (and a date, UTC) its small data files are merged.", "1h"
    )
    target_file: int = _setting(
        size("1MiB", "1GiB"),
        "How large merged data files become; those of half this size and more stay as they are. Merging takes two to three "
        "times this much memory.",
        "128MiB",
    )
    retention: float | None = _setting(
        duration("1d", "36500d"),
        "How long rows are kept: dates (UTC, of `received`) that ended longer ago are deleted.",
        usual="everything is kept",
    )
    keep_removed: float = _setting(
        duration("1h", "7d"),
        "How long data files that were merged or retired stay in the store, for readers that began before.",
        "1d",
    )


@_section
class Config(NamedTuple):
    """Effective settings; immutable. ``load`` makes one."""

    listen: Listen
    receive: Receive
    tls: Tls
    journal: Journal
    archive: Archive
    maintain: Maintain
    store: str = _setting(
        STORE,
        "Where everything is kept: `file:///directory`, a path, or `s3://bucket/prefix`.",
        usual="file:// in ~/.local/share/logsink",
        flag="--store",
    )
    workers: int = _setting(
        count(1, 256),
        "Receivers, each in a process of its own, that share the addresses: one for each core that receiving may have. Limits "
        "and sizes hold for each of them.",
        1,
        flag="--workers",
    )


SECTIONS: dict[str, type[Any]] = {
    "": Config,
    "listen": Listen,
    "receive": Receive,
    "tls": Tls,
    "journal": Journal,
    "archive": Archive,
    "maintain": Maintain,
}
"""Section name to the class that declares its settings; '' holds the top-level ones."""


def _settings() -> Iterator[tuple[str, Setting]]:
    for section, cls in SECTIONS.items():
        for name, setting in cls._field_defaults.items():
            key = f"{section}.{name}".lstrip(".")
            yield key, setting._replace(key=key)


SETTINGS: dict[str, Setting] = dict(_settings())
"""Every setting by its key (``journal.ack_delay``), in the order of the reference."""

_ZERO_CONFIGURATION = {
    "listen.tcp": (Address("127.0.0.1", 5514),),
    "listen.udp": (Address("127.0.0.1", 5514),),
    "listen.relp": (Address("127.0.0.1", 2514),),
    "listen.http": Address("127.0.0.1", 9514),
}
# Kubernetes puts these into every pod beside a service whose name begins with "logsink".
_FOREIGN = re.compile(r"LOGSINK_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


class Loaded(NamedTuple):
    """Effective settings, and by key where each came from: ``default`` or a file, variable or flag by name."""

    config: Config
    sources: dict[str, str]


class _Given(NamedTuple):
    raw: object
    source: str


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Config:
    """Effective settings; see ``resolve``."""
    return resolve(path, environ, overrides).config


def resolve(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Loaded:
    """Effective settings and their sources.

    path        TOML file; None: the one that ``LOGSINK_CONFIG`` names, if any
    environ     environment variables
    overrides   by key (``listen.tcp``), from the command line: text or sequences of text; None and () are "not given"

    ``ConfigError`` holds everything that is wrong, a line each: where, what, the limit, and what to write instead.
    """
    problems: list[str] = []
    if path is None and environ.get("LOGSINK_CONFIG"):
        path = Path(environ["LOGSINK_CONFIG"])
    given: dict[str, _Given] = {}
    if path is not None:
        given |= _from_file(path, problems)
    given |= _from_environment(environ, problems)
    given |= _from_overrides(overrides)
    values: dict[str, Any] = {}
    for key, (raw, source) in given.items():
        try:
            values[key] = SETTINGS[key].kind.value(raw)
        except ArgumentError as error:
            problems.append(f"{source}: {error}" + (f" ({error.hint})" if error.hint else ""))
    if not problems:
        sources = {key: given[key].source if key in given else "default" for key in SETTINGS}
        config = _build(values, environ, problems)
        problems += _contradictions(config, sources) if config else ()
        if config and not problems:
            return Loaded(config, sources)
    raise ConfigError(redacted("\n".join(problems)))


def _from_file(path: Path, problems: list[str]) -> dict[str, _Given]:
    import tomllib  # only where there is a file

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"cannot read {path}: {error.strerror} (give another file with -c, or remove LOGSINK_CONFIG)")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"cannot read {path}: {error} (it must be TOML)")
        return {}
    given = {}
    for name, value in document.items():
        entries = {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
        for key, raw in entries.items():
            if key in SETTINGS:
                given[key] = _Given(raw, f"{path}: {key}")
            elif key in SECTIONS:
                problems.append(f"{path}: {key} is a section, not a setting (write [{key}])")
            else:
                problems.append(f"{path}: unknown setting {key}" + _nearest(key, SETTINGS))
        if value == {} and name not in SECTIONS:
            problems.append(f"{path}: unknown section [{name}]" + _nearest(name, SECTIONS))
    return given


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, _Given]:
    by_variable = {setting.variable: setting.key for setting in SETTINGS.values()}
    given = {}
    for variable, raw in environ.items():
        if variable in by_variable:
            given[by_variable[variable]] = _Given(raw, variable)
        elif variable.startswith("LOGSINK_") and variable != "LOGSINK_CONFIG" and not _FOREIGN.fullmatch(variable):
            known = [*by_variable, "LOGSINK_CONFIG"]
            problems.append(f"environment: unknown variable {variable}" + _nearest(variable, known))
    return given


def _from_overrides(overrides: Mapping[str, object]) -> dict[str, _Given]:
    given = {}
    for key, raw in overrides.items():
        if key not in SETTINGS:
            raise ConfigError(f"unknown setting {key}" + _nearest(key, SETTINGS))
        if raw is not None and raw != ():
            given[key] = _Given(raw, SETTINGS[key].flag or key)
    return given


def _nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean ...?)``, or where to look."""
    from difflib import get_close_matches  # only for a mistake

    close = get_close_matches(name, [k for k in known if k], n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else " (`logsink config show` lists them all)"


def _build(values: Mapping[str, Any], environ: Mapping[str, str], problems: list[str]) -> Config | None:
    """The models, with the defaults that depend on something else; None when one cannot be chosen."""
    chosen = dict(values)
    if "store" not in chosen:
        store = _default_store(environ)
        if store is None:
            problems.append("cannot choose a store: neither XDG_DATA_HOME nor HOME is set (set LOGSINK_STORE)")
            return None
        chosen["store"] = store
    configured = any(SETTINGS[key].kind.name == "address" for key in chosen)
    chosen = ({} if configured else _ZERO_CONFIGURATION) | chosen
    chosen.setdefault("journal.ack_delay", 0.2 if chosen["store"].startswith("s3://") else 0.02)
    sections = {
        section: cls(**{key.partition(".")[2]: v for key, v in chosen.items() if key.startswith(f"{section}.")})
        for section, cls in SECTIONS.items()
        if section
    }
    return Config(**{key: v for key, v in chosen.items() if "." not in key}, **sections)


def _default_store(environ: Mapping[str, str]) -> str | None:
    data_home = environ.get("XDG_DATA_HOME", "")
    if data_home.startswith("/"):  # the specification says: ignore relative ones
        return f"file://{quote(data_home)}/logsink"
    home = environ.get("HOME", "")
    return f"file://{quote(home)}/.local/share/logsink" if home.startswith("/") else None


def _contradictions(config: Config, sources: Mapping[str, str]) -> Iterator[str]:
    """Settings that cannot both hold, a line each."""

    def line(key: str, cause: str, remedy: str) -> str:
        return f"{key if sources[key] == 'default' else sources[key]}: {cause} ({remedy})"

    receive, journal, archive, maintain = config.receive, config.journal, config.archive, config.maintain
    if maintain.orphan_after < 3 * archive.max_age:
        least = format_duration(3 * archive.max_age)
        cause = f"{format_duration(maintain.orphan_after)} is less than 3 x archive.max_age, {least}"
        yield line("maintain.orphan_after", cause, f"write {least} or more")
    for key, octets, share in (
        ("receive.max_message", receive.max_message, 4),  # unfinished frames have a quarter of it
        ("journal.max_bytes", journal.max_bytes, 2),
    ):
        if share * octets > receive.memory_limit:
            limit = format_size(receive.memory_limit)
            cause = f"{format_size(octets)} is more than 1/{share} of receive.memory_limit, {limit}"
            yield line(key, cause, "lower it, or raise receive.memory_limit")
    if journal.ack_delay > journal.max_delay:
        cause = f"{format_duration(journal.ack_delay)} is more than journal.max_delay"
        yield line("journal.ack_delay", cause, f"write {format_duration(journal.max_delay)} or less")
    listen, tls = config.listen, config.tls
    if not (listen.tcp or listen.udp or listen.relp or listen.tls or listen.relp_tls):
        yield "listen: nothing to receive on (give listen.tcp, udp, relp, tls or relp_tls an address)"
    if (listen.tls or listen.relp_tls) and tls.cert is None:
        key = "listen.tls" if listen.tls else "listen.relp_tls"
        yield line(key, "TLS needs a certificate", "write tls.cert, the path of a PEM file")
    if tls.client_auth != "none" and tls.client_ca is None:
        cause = f"{tls.client_auth}, but nothing says which certificates are good"
        yield line("tls.client_auth", cause, "write tls.client_ca, the path of a PEM file")
    if tls.permitted_peers and tls.client_auth == "none":
        yield line(
            "tls.permitted_peers", "clients are not asked for certificates", 'write tls.client_auth = "required"'
        )
    http = (listen.http,) if listen.http else ()
    streams = (
        ("tcp", listen.tcp),
        ("relp", listen.relp),
        ("tls", listen.tls),
        ("relp_tls", listen.relp_tls),
        ("http", http),
    )
    taken: dict[Address, str] = {}
    for key, addresses in streams:
        for address in addresses:
            if address.port and address in taken:
                yield line(f"listen.{key}", f"{address} is taken by {taken[address]} already", "use another port")
            taken[address] = f"listen.{key}"
