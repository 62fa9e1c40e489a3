"""What a client's configuration is asked for, as typed values: the receiver's address, TLS, and who the client is."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from logsink.errors import ArgumentError
from logsink.kinds import nearest

NAMES = ("environment", "role", "deploy", "instance")
"""Parameters of the deploy element that say who a client is."""

TLS = "/etc/rsyslog-tls"
"""Directory on the client for the files that `logsink tls issue client` has made."""

MARK = 300
"""Usual seconds between two marks of rsyslog: `logsink hosts` takes ten minutes of silence for an end."""

INPUTS = ("journal", "socket", "kernel")
"""Where rsyslog can take messages from, beside files."""

Protocol = Literal["relp", "tcp"]
Family = Literal["debian", "redhat"]
Library = Literal["openssl", "gnutls"]

_PORTS = {("relp", False): 2514, ("relp", True): 2515, ("tcp", False): 5514, ("tcp", True): 6514}
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\.?$){_PART}(?:\.{_PART})*\.?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Target:
    """Name and port of the receiver."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where one of ``NAMES`` comes from on the client.

    kind    "literal", "environment" (a variable), "file" (the first line of one), "ec2-tag" or "container-label"
    value   the text, or the name of the variable, file, tag or label
    """

    kind: str
    value: str

    def variable_of(self, name: str) -> str:
        """Return the variable of the client's environment that has the value of ``name``, unless it is a literal."""
        return self.value if self.kind == "environment" else f"LOG_{name.upper()}"


@dataclass(frozen=True, slots=True)
class Request:
    """One configuration. Without a ``target`` it is the general one in rsyslog/, which has to be edited.

    ca, cert, key   paths on the client
    certificates    name and text of each file that is to be put into ``TLS``
    mark            seconds between two marks of rsyslog; 0: none
    """

    target: Target | None
    protocol: Protocol = "relp"
    tls: bool = False
    tls_library: Library = "openssl"
    ca: str = ""
    cert: str = ""
    key: str = ""
    certificates: tuple[tuple[str, str], ...] = ()
    identity: Mapping[str, Source] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    family: Family = "debian"
    mark: int = MARK
    command: str = "logsink client-config"

    @property
    def port(self) -> int:
        """The receiver's port: that of the target, or of docs/fleet.md."""
        return self.target.port if self.target else _PORTS[self.protocol, self.tls]

    @property
    def authority(self) -> str:
        """The file on the client with the authorities that it trusts."""
        usual = {"debian": "/etc/ssl/certs/ca-certificates.crt", "redhat": "/etc/pki/tls/certs/ca-bundle.crt"}
        return self.ca or usual[self.family]

    def source(self, name: str) -> Source:
        """Where ``name`` comes from: as asked for, or the variable that /etc/logsink-client/identity sets."""
        return self.identity.get(name, Source("environment", f"LOG_{name.upper()}"))

    def of_kind(self, kind: str) -> dict[str, str]:
        """The names whose source is of a kind, with the values of their sources."""
        return {name: source.value for name, source in self.identity.items() if source.kind == kind}


def target(text: str, protocol: Protocol, tls: bool) -> Target:
    """Read ``NAME`` or ``NAME:PORT``; ``[::1]:2514`` for an IPv6 address. ``ArgumentError``."""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?|([A-Za-z0-9_.-]+)(?::(\d{1,5}))?", text)
    host = (found[1] or found[3]) if found else ""
    if not found or not (_is_address(host) if found[1] else _NAME.fullmatch(host)):
        hint = "write NAME:PORT, as in logs.internal:2514, or [ADDRESS]:PORT for an IPv6 address"
        raise ArgumentError(f"cannot read target {text!r}", hint=hint)
    port = int(found[2] or found[4] or _PORTS[protocol, tls])
    if not 0 < port < 65536:
        raise ArgumentError(
            f"cannot send to port {port} of {host}: ports are 1 to 65535",
            hint="write NAME:PORT, as in logs.internal:2514",
        )
    if re.search(r"(^|\.)example(\.(com|net|org))?\.?$|\.invalid\.?$", host, re.IGNORECASE):
        raise ArgumentError(f"cannot send to {host}: that name is for examples only", hint="name your own server")
    return Target(host, port)


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def source(name: str, text: str) -> Source:
    """Read the source of ``name`` as it is given on the command line. ``ArgumentError``."""
    kind, separator, value = text.partition(":")
    if text.startswith("$"):
        if not re.fullmatch(r"\$[A-Za-z_][A-Za-z0-9_]*|\$\{[A-Za-z_][A-Za-z0-9_]*\}", text):
            raise ArgumentError(
                f"cannot use --{name} {text!r}: a variable's name has letters, digits and _, and begins with no digit",
                hint="write '$DEPLOY' or '${DEPLOY}', in single quotes",
            )
        return Source("environment", text.strip("${}"))
    if separator and kind in ("file", "ec2-tag", "container-label"):
        if kind == "file" and not re.fullmatch(r"/[A-Za-z0-9_./+-]+", value):
            raise ArgumentError(
                f"cannot use --{name} {text!r}: the path must begin with / and have letters, digits and _ . / + - only",
                hint=f"write file:/etc/{name}, a file on the client",
            )
        if kind != "file" and not _LABEL.fullmatch(value):
            raise ArgumentError(
                f"cannot use --{name} {text!r}: the name after {kind}: must have 1 to 63 letters, digits and _ . / -, and "
                "begin and end with a letter or a digit",
                hint=f"write {kind}:{name.capitalize()}",
            )
        return Source(kind, value)
    close = nearest(kind, ("file", "ec2-tag", "container-label")) if separator else ""
    if close:
        raise ArgumentError(
            f"cannot use --{name} {text!r}: no kind of source is called {kind}", hint=f"did you mean {close}:{value}?"
        )
    if not text or not text.isprintable() or re.search(r'["\\\]$`\']', text):
        raise ArgumentError(
            f"cannot use --{name} {text!r}: a text must not be empty, nor have control characters or any of \" \\ ] $ ` '",
            hint="'$NAME' takes the value of a variable, file:PATH the first line of a file",
        )
    return Source("literal", text)


def input_source(text: str) -> str:
    """Check where rsyslog is to take messages from. ``ArgumentError``."""
    if text in INPUTS or re.fullmatch(r"file:/[A-Za-z0-9_./*?+-]+", text):
        return text
    close = nearest(text, INPUTS)
    if text.startswith("file:"):
        what = "the path must begin with / and have letters, digits and _ . / * ? + - only"
        raise ArgumentError(
            f"cannot use --input {text!r}: {what}", hint="write file:/var/log/app.log, or file:/var/log/*.log"
        )
    hint = f"did you mean {close}?" if close else f"write {', '.join(INPUTS)} or file:/PATH"
    raise ArgumentError(f"cannot use --input {text!r}: there is no such input", hint=hint)
