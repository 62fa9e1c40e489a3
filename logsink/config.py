"""Settings: each is declared once, here, for file, environment, command line, ``config show`` and docs/configuration.md.

A setting is a field of a frozen section: its kind says what is accepted and how it is written, its default is written as a
user would write it. ``load`` takes each setting from the first of command line, environment, file and default that names it,
whole lists included. It reads no environment itself: the caller passes the mapping.

=========== =============================== ==================
setting      environment                     file (TOML)
=========== =============================== ==================
``store``    ``LOGSINK_STORE``               ``store = "..."``
``a.b``      ``LOGSINK_A__B``                ``[a]`` ``b = ...``
=========== =============================== ==================

Third-party modules are not imported: `logsink query` reads its store from here and must start at once (pydantic alone takes
0.17 s).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload
from urllib.parse import quote

from logsink.errors import ArgumentError, ConfigError
from logsink.kinds import (
    ADDRESS,
    ADDRESSES,
    CLIENT_AUTH,
    CREATE,
    LISTENERS,
    NETWORKS,
    PATH,
    PEERS,
    PRICE,
    SD_ID,
    STORE,
    SWITCH,
    TIMEZONE,
    Address,
    Kind,
    collide,
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
T = TypeVar("T")
V = TypeVar("V")


class Setting(NamedTuple):
    """A declared setting: ``default`` as a user would write it, or None when ``usual`` says in words what applies instead."""

    key: str
    kind: Kind[Any]
    default: object
    usual: str
    doc: str
    flag: str | None

    @property
    def variable(self) -> str:
        """The environment variable of the setting."""
        return "LOGSINK_" + self.key.replace(".", "__").upper()

    @property
    def value(self) -> object:
        """The default value; without a default, an empty list or None."""
        if self.default is None:
            return () if self.kind.many else None
        return self.kind.value(self.default)


@overload
def _setting(kind: Kind[V], doc: str, default: object, *, usual: str = "", flag: str | None = None) -> V: ...
@overload
def _setting(
    kind: Kind[tuple[T, ...]], doc: str, default: None = None, *, usual: str = "", flag: str | None = None
) -> tuple[T, ...]: ...
@overload
def _setting(
    kind: Kind[V], doc: str, default: None = None, *, usual: str = "", flag: str | None = None
) -> V | None: ...
def _setting(kind: Kind[V], doc: str, default: object = None, *, usual: str = "", flag: str | None = None) -> Any:
    """Declare a setting. Without a ``default`` it is None or an empty list, and ``usual`` says in words what applies then."""
    return Setting("", kind, default, usual or kind.toml(kind.value(default)), doc, flag)


def _chosen(kind: Kind[V], doc: str, *, usual: str, flag: str | None = None) -> V:
    """Declare a setting whose value ``load`` chooses where none is given, as ``usual`` says in words."""
    return cast(V, _setting(kind, doc, usual=usual, flag=flag))


def _section(cls: Section) -> Section:
    """Make the declared defaults the values of a named tuple's fields; the declarations stay in ``_field_defaults``.

    Dataclasses could hold both, but eight of them take 0.01 s of every command.
    """
    cls.__new__.__defaults__ = tuple(setting.value for setting in cls._field_defaults.values())
    return cls


@_section
class Listen(NamedTuple):
    """Addresses to receive on.

    When no address is configured, logsink listens for tcp and udp on 127.0.0.1:5514, for relp on 127.0.0.1:2514 and for http
    on 127.0.0.1:9514. As soon as one is configured, only configured addresses are opened. `0.0.0.0:PORT` listens on every IPv4
    address of the machine, `[::]:PORT` on every address, or on those of IPv6 alone where an IPv4 address or a name with the
    same port is configured too; port 0 takes a free port. An address and port belong to one listener, and `0.0.0.0:PORT` is
    every IPv4 address with this port; only UDP may have the address of another listener.
    """

    tcp: tuple[Address, ...] = _setting(
        ADDRESSES,
        "Address for syslog over TCP, in either framing.",
        usual="127.0.0.1:5514 when no address is configured",
        flag="--tcp",
    )
    udp: tuple[Address, ...] = _setting(
        ADDRESSES,
        "Address for syslog over UDP.",
        usual="127.0.0.1:5514 when no address is configured",
        flag="--udp",
    )
    relp: tuple[Address, ...] = _setting(
        ADDRESSES,
        "Address for RELP, which acknowledges stored messages.",
        usual="127.0.0.1:2514 when no address is configured",
        flag="--relp",
    )
    tls: tuple[Address, ...] = _setting(
        ADDRESSES, "Address for syslog over TLS (RFC 5425); needs `tls.cert`.", usual="none", flag="--tls"
    )
    relp_tls: tuple[Address, ...] = _setting(
        ADDRESSES, "Address for RELP over TLS; needs `tls.cert`.", usual="none", flag="--relp-tls"
    )
    proxy_protocol_from: tuple[IPv4Network | IPv6Network, ...] = _setting(
        NETWORKS,
        "Addresses and networks of load balancers that send a PROXY protocol header, version 1 or 2; the client in the header "
        "is the `sender`. Connections from them without a header are closed, and so are others with one.",
        usual="none",
    )
    proxy_protocol_on: tuple[str, ...] = _setting(
        LISTENERS,
        "The listeners on which `proxy_protocol_from` applies.",
        ("tcp", "relp", "tls", "relp_tls"),
    )
    http: Address | None = _setting(
        ADDRESS,
        "Address for `/metrics`, `/healthz`, `/readyz`; without authentication.",
        usual="127.0.0.1:9514 when no address is configured",
        flag="--http",
    )
    share_ports: bool = _setting(
        SWITCH,
        "Share the addresses with other processes that have this setting.",
        "false",
        flag="--share-ports",
    )


@_section
class Receive(NamedTuple):
    """How much a receiver takes in, from whom, and how it reads messages."""

    memory_limit: int = _setting(
        size("32MiB", "1TiB"),
        "Most bytes received and not stored yet; at the limit the receiver stops reading, and senders wait.",
        "128MiB",
    )
    max_message: int = _setting(
        size("1KiB", "16MiB"),
        "Longest message kept whole; of a longer one only the beginning is kept, flagged `truncated`.",
        "256KiB",
    )
    max_connections: int = _setting(
        count(1, 1_000_000), "Most open connections; further ones are closed at once and counted.", 10_000
    )
    max_connections_per_sender: int = _setting(
        count(1, 1_000_000),
        "Most open connections from one address; further ones are closed at once and counted. Raise it when many clients share "
        "an address (NAT, or a load balancer without `listen.proxy_protocol_from`).",
        1000,
    )
    opening_timeout: float = _setting(
        duration("100ms", "5m"), "Most time that a client may take for its PROXY header or its TLS handshake.", "10s"
    )
    keepalive: float = _setting(
        duration("3s", "12h"),
        "Time without a sign of life (TCP keepalive) after which a connection is closed, as after its network failed.",
        "3m",
    )
    max_connection_age: float | None = _setting(
        duration("1s", "36500d"),
        "Age (less up to a quarter, at random) at which a connection is ended: RELP clients get `serverclose`, TCP and TLS "
        "connections are half-closed. Senders then connect again, to any receiver behind the same name.",
        usual="no limit",
    )
    max_inflation: int = _setting(
        count(2, 1_000_000),
        "Most times its size that a compressed stream may expand to; beyond it, the connection is closed. zlib reaches 1032.",
        1000,
    )
    relp_window: int = _setting(
        count(1, 10_000_000),
        "Most messages that a RELP client sends before an acknowledgement: set it to the largest `windowSize` of all clients "
        "(omrelp's default is 128). That many messages at the beginning of a session may be sent again: `maybe_resent`.",
        10_000,
    )
    max_inflated: int = _setting(
        size("1MiB", "1TiB"),
        "Most bytes a second that compressed data of one sender may expand to, the memory that each message takes besides "
        "included. Beyond it a stream waits, and a datagram is kept compressed.",
        "64MiB",
    )
    default_timezone: str = _setting(
        TIMEZONE, "Time zone of timestamps that name none; such messages are flagged `zone_assumed`.", "UTC"
    )
    deploy_sd_id: str = _setting(
        SD_ID,
        "Structured data element (RFC 5424) whose `environment`, `role`, `deploy` and `instance` become columns.",
        "deploy@32473",
    )
    own_events: bool = _setting(
        SWITCH,
        "Whether the receiver stores the events of its own life (ready, draining, store failing, damage) as app `logsink`.",
        True,
    )
    drain_timeout: float = _setting(
        duration("0s", "1h"), "Most time after SIGTERM for senders to finish before connections are closed.", "30s"
    )


@_section
class Tls(NamedTuple):
    """TLS 1.2 or later for the listeners `listen.tls` and `listen.relp_tls`.

    Files are PEM. When one changes, new connections use it without a restart.
    """

    cert: str | None = _setting(
        PATH, "File with this server's certificate, followed by those of the chain to its root.", usual="none"
    )
    key: str | None = _setting(
        PATH, "File with the private key of `tls.cert`, not encrypted.", usual="in the file `tls.cert`"
    )
    client_ca: str | None = _setting(
        PATH,
        "File with the authorities that sign clients' certificates, or with these certificates themselves.",
        usual="none",
    )
    client_auth: str = _setting(
        CLIENT_AUTH, "Whether clients have to present a certificate: `none`, `optional` or `required`.", "none"
    )
    permitted_peers: tuple[str, ...] = _setting(
        PEERS,
        "Clients that may connect: names in their certificates (common name, DNS name, address; `*.example.com` matches any "
        "one label), or fingerprints such as `SHA256:AB:CD:...` and `SHA1:...`. With `client_auth` `optional` also all clients "
        "without a certificate.",
        usual="every client with an accepted certificate",
    )


@_section
class Journal(NamedTuple):
    """When received messages are written to the store; they are acknowledged once that is done."""

    ack_delay: float = _chosen(
        duration("0s", "1m"),
        "Most time that an acknowledgement waits for more messages to share a write.",
        usual="20ms on file://, 200ms on s3://",
    )
    max_delay: float = _setting(duration("1ms", "1m"), "Most time that any message waits to be written.", "1s")
    max_bytes: int = _setting(
        size("64KiB", "1GiB"), "Size of a segment (one object of the journal) that is written at once.", "16MiB"
    )
    parallel_puts: int = _setting(count(1, 64), "Most writes at the same time (lanes).", 4)


@_section
class Archive(NamedTuple):
    """When stored segments become Parquet files and a commit of the table: at whichever limit is reached first."""

    max_bytes: int = _setting(size("1MiB", "1GiB"), "Bytes of messages at which a commit is due.", "32MiB")
    max_segments: int = _setting(count(1, 100_000), "Number of segments at which a commit is due.", 256)
    max_age: float = _setting(
        duration("1s", "1h"),
        "Age of a stored segment at which a commit is due; beside more than five receivers up to ten times as much.",
        "60s",
    )


@_section
class Maintain(NamedTuple):
    """Maintenance of the store, which every receiver does, and `logsink maintain`."""

    every: float = _setting(duration("1s", "1d"), "Time between two rounds of maintenance.", "1m")
    orphan_after: float = _setting(
        duration("3s", "30d"),
        "Age at which segments count as left behind by a receiver that is gone, and are archived by another; at least "
        "3 x archive.max_age. Beside more than five receivers it is longer by as much as they let segments wait longer.",
        "5m",
    )
    checkpoint_every: int = _setting(
        count(1, 10_000),
        "Fewest commits between two checkpoints of the table's log; where checkpoints are large there may be more, as many as "
        "come within ten minutes.",
        50,
    )
    compact_after: float = _setting(
        duration("0s", "30d"),
        "Time after the end of an hour, and of a date (UTC), at which small files are merged.",
        "1h",
    )
    target_file: int = _setting(
        size("1MiB", "1GiB"),
        "Size of merged data files; files of half this size and more are not merged. Merging takes two to three times this "
        "much memory.",
        "128MiB",
    )
    index: bool = _setting(  # type: ignore[assignment]  # a tuple's method, which nobody calls
        SWITCH,
        "Whether merged files are indexed, so that queries read less of them; `logsink maintain --index` indexes older ones.",
        True,
    )
    retention: float | None = _setting(
        duration("1d", "36500d"),
        "Time after the end of a date (UTC, of `received`) at which its rows are deleted.",
        usual="everything is kept",
    )
    keep_removed: float = _setting(
        duration("1h", "7d"),
        "Time that merged and retired data files stay in the store, for queries that began before.",
        "1d",
    )


@_section
class Ledger(NamedTuple):
    """Ledgers: one object for each date that is over, by which you can prove later that its rows were not changed or taken.

    Every receiver and `logsink maintain` write them. What they prove, and how to keep them: docs/evidence.md.
    """

    sign_key: str | None = _setting(
        PATH,
        "Ed25519 private key (PEM) that signs ledgers; needs the extra `sign`.",
        usual="ledgers are not signed",
    )
    object_lock: float | None = _setting(
        duration("1d", "36500d"),
        "Time for which S3 Object Lock keeps a ledger, in compliance mode; the bucket must have Object Lock.",
        usual="ledgers are not locked",
    )


@_section
class Searching(NamedTuple):
    """What `logsink query` does on the machine that it runs on."""

    cache_size: int = _setting(
        size("0B", "1TiB"),
        "Most bytes that queries of S3 keep in the user's cache directory of what they read of log and index; 0B: none.",
        "256MiB",
    )
    storage_price: float = _setting(
        PRICE,
        "Dollars a month for a GiB in the store, by which `logsink usage` says what logs cost; the default is the price of S3 "
        "Standard in us-east-1.",
        "0.023",
    )


@_section
class Config(NamedTuple):
    """The effective settings, as ``load`` returns them. Immutable."""

    listen: Listen
    receive: Receive
    tls: Tls
    journal: Journal
    archive: Archive
    maintain: Maintain
    ledger: Ledger
    query: Searching
    store: str = _chosen(
        STORE,
        "Store of all data: `file:///directory`, a path, or `s3://bucket/prefix`.",
        usual="file:// in ~/.local/share/logsink",
        flag="--store",
    )
    create: str = _setting(
        CREATE,
        "Whether `logsink serve` creates a store where there is none: `auto`, or `never`, for a file system that may not be "
        "mounted yet; then it waits, and `logsink init` creates one.",
        "auto",
        flag="--create",
    )
    workers: int = _setting(
        count(1, 256),
        "Number of receiving processes; limits and sizes apply to each of them.",
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
    "ledger": Ledger,
    "query": Searching,
}
"""Section name -> the class that declares its settings; '' has the top-level ones."""


def _settings() -> Iterator[tuple[str, Setting]]:
    for section, cls in SECTIONS.items():
        for name, setting in cls._field_defaults.items():
            key = f"{section}.{name}".lstrip(".")
            yield key, setting._replace(key=key)


SETTINGS: dict[str, Setting] = dict(_settings())
"""Every setting by its key (``journal.ack_delay``), in the order of docs/configuration.md."""

_ZERO_CONFIGURATION = {
    "listen.tcp": (Address("127.0.0.1", 5514),),
    "listen.udp": (Address("127.0.0.1", 5514),),
    "listen.relp": (Address("127.0.0.1", 2514),),
    "listen.http": Address("127.0.0.1", 9514),
}
# Kubernetes sets these variables in every pod beside a service whose name begins with "logsink".
_FOREIGN = re.compile(r"LOGSINK_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


class Loaded(NamedTuple):
    """Effective settings, and the source of each by key: ``default``, or the name of a file, variable or flag."""

    config: Config
    sources: dict[str, str]


class _Given(NamedTuple):
    """A setting as it was given, and where."""

    raw: object
    source: str


class _Read(NamedTuple):
    """The settings that one source gives, by key, and its problems, a line each."""

    given: dict[str, _Given]
    problems: list[str]


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Config:
    """Return the effective settings; see ``resolve``."""
    return resolve(path, environ, overrides).config


def resolve(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Loaded:
    """Return the effective settings and their sources.

    path        TOML file; None: the file that ``LOGSINK_CONFIG`` names, if any
    environ     environment variables
    overrides   settings of the command line, by key (``listen.tcp``): text or sequences of text; None and () are "not given"

    Raises ``ConfigError`` with everything that is wrong, a line each: where, what, the limit, and what to write instead.
    """
    if path is None and environ.get("LOGSINK_CONFIG"):
        path = Path(environ["LOGSINK_CONFIG"])
    file = _from_file(path) if path is not None else _Read({}, [])
    environment = _from_environment(environ)
    given = file.given | environment.given | _from_overrides(overrides)
    problems = file.problems + environment.problems
    values: dict[str, Any] = {}
    for key, (raw, source) in given.items():
        try:
            values[key] = SETTINGS[key].kind.value(raw)
        except ArgumentError as error:
            problems.append(f"{source}: {error}" + (f" ({error.hint})" if error.hint else ""))
    if not problems and "store" not in values:
        if store := _default_store(environ):
            values["store"] = store
        else:
            problems.append("cannot choose a store: neither XDG_DATA_HOME nor HOME is set (set LOGSINK_STORE)")
    if not problems:
        sources = {key: given[key].source if key in given else "default" for key in SETTINGS}
        config = _build(values)
        problems += _contradictions(config, sources)
        if not problems:
            return Loaded(config, sources)
    raise ConfigError(redacted("\n".join(problems)))


def _from_file(path: Path) -> _Read:
    import tomllib  # takes time, and only a file needs it

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "give another file with -c, or remove LOGSINK_CONFIG"
        return _Read({}, [f"cannot read {path}: {error.strerror} ({hint})"])
    except (ValueError, RecursionError) as error:  # also of a number of 4300 digits, of arrays in a thousand arrays
        return _Read({}, [f"cannot read {path}: {error} (it must be TOML)"])
    given, problems = {}, []
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
    return _Read(given, problems)


def _from_environment(environ: Mapping[str, str]) -> _Read:
    by_variable = {setting.variable: setting.key for setting in SETTINGS.values()}
    given, problems = {}, []
    for variable, raw in environ.items():
        if variable in by_variable:
            given[by_variable[variable]] = _Given(raw, variable)
        elif variable.startswith("LOGSINK_") and variable != "LOGSINK_CONFIG" and not _FOREIGN.fullmatch(variable):
            known = [*by_variable, "LOGSINK_CONFIG"]
            problems.append(f"environment: unknown variable {variable}" + _nearest(variable, known))
    return _Read(given, problems)


def _from_overrides(overrides: Mapping[str, object]) -> dict[str, _Given]:
    given = {}
    for key, raw in overrides.items():
        if key not in SETTINGS:
            raise ConfigError(f"unknown setting {key}" + _nearest(key, SETTINGS))
        if raw is not None and raw != ():
            given[key] = _Given(raw, SETTINGS[key].flag or key)
    return given


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean ...?)``, or where to find the right name."""
    from difflib import get_close_matches  # takes time, and only a mistake needs it

    close = get_close_matches(name, [k for k in known if k], n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else " (`logsink config show` lists them all)"


def _build(chosen: Mapping[str, Any]) -> Config:
    """Return the settings, with defaults where nothing was chosen; some of these depend on other settings."""
    configured = any(SETTINGS[key].kind.name == "address" for key in chosen)
    chosen = ({} if configured else _ZERO_CONFIGURATION) | dict(chosen)
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
    """Yield a line for each pair of settings that contradict each other."""

    def line(key: str, cause: str, remedy: str) -> str:
        return f"{key if sources[key] == 'default' else sources[key]}: {cause} ({remedy})"

    receive, journal, archive, maintain = config.receive, config.journal, config.archive, config.maintain
    if maintain.orphan_after < 3 * archive.max_age:
        least = format_duration(3 * archive.max_age)
        cause = f"{format_duration(maintain.orphan_after)} is less than 3 x archive.max_age, {least}"
        yield line("maintain.orphan_after", cause, f"write {least} or more")
    for key, nbytes, share in (
        ("receive.max_message", receive.max_message, 4),  # unfinished frames may take a quarter of it
        ("journal.max_bytes", journal.max_bytes, 2),
    ):
        if share * nbytes > receive.memory_limit:
            limit = format_size(receive.memory_limit)
            cause = f"{format_size(nbytes)} is more than 1/{share} of receive.memory_limit, {limit}"
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
    taken: list[tuple[str, Address]] = []
    for key, address in _addresses(listen):
        for other, theirs in taken:
            if (key == "udp") == (other == "udp") and collide(address, theirs):
                included = "" if address == theirs else f", with {theirs}"
                cause = f"{address} is taken by listen.{other} already{included}"
                yield line(f"listen.{key}", cause, "use another port")
                break
        taken.append((key, address))


def _addresses(listen: Listen) -> Iterator[tuple[str, Address]]:
    """Yield each address to listen on, with the name of its setting."""
    for name, value in listen._asdict().items():
        if SETTINGS[f"listen.{name}"].kind.name == "address" and value:
            yield from ((name, one) for one in ([value] if isinstance(value, Address) else value))
