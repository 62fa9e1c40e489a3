"""Reads on a sender's host where its programs send logs, and whether an example's name was left in.

rsyslog's ``action()`` of omrelp and omfwd, its ``global()`` defaults for TLS, and the short forms ``@host`` and ``@@host``,
whatever filter stands before them, are understood. Of other programs (syslog-ng, Fluent Bit, Vector, the OpenTelemetry
Collector, Docker) only names that are for examples are looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from logsink.cli.doctor.finding import Finding, failed
from logsink.cli.doctor.network import Target

RSYSLOG = ("rsyslog.conf", "rsyslog.d/*.conf")
OTHERS = (
    "syslog-ng/*.conf",
    "syslog-ng/conf.d/*.conf",
    "fluent-bit/*",
    "vector/*",
    "otelcol*/*.yaml",
    "docker/daemon.json",
    "logsink-client/*",
)
"""Patterns of files below /etc."""

EXAMPLE_DEPLOY = "2026-01-31-a1b2c3"
"""The deploy in the examples of rsyslog/: a host that has it was not told its own."""

IDENTITY = Path("/run/logsink-client/identity")
"""Who this host is: what the script of `logsink client-config` writes before each start of the sender."""

_IDENTIFYING = ("environment", "role", "deploy", "instance")
_VARIABLE = re.compile(r'^LOG_([A-Z]+)=("?)(.*?)\2\s*$', re.MULTILINE)
_EXAMPLE = re.compile(
    r"(?<![\w.-])(?:[\w-]+\.)*(?:example\.(?:com|net|org)|[\w-]+\.(?:example|invalid))(?![\w-])", re.IGNORECASE
)
_OBJECT = re.compile(r"\b(action|global|module)\s*\(", re.IGNORECASE)
_PARAMETER = re.compile(r'([\w.]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|\[([^\]]*)\])')
_COMMENT = re.compile(r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|#[^\n]*""")
_STRING = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\\n]|\\.)*'""", re.DOTALL)
_SHORT = re.compile(r"(?<![^\s{])(@@?)(?:\([^)]*\))?(\[[^\]]+\]|[\w.-]+)(?::(\d+))?")

_NO_SENDER = "if this host is to send, put a file from `logsink client-config` there"

Parameters = Mapping[str, str]


class Action(NamedTuple):
    """A statement of rsyslog that sends messages."""

    path: Path
    parameters: Parameters
    """By name in lower case."""


def client_targets(etc: Path) -> tuple[list[Target], list[Finding]]:
    """Return where the programs configured below ``etc`` send logs, and what is found in their files.

    Where any action of rsyslog has logsink in its name or template, only those that have are returned.
    """
    actions: list[Action] = []
    defaults: dict[str, str] = {}
    findings: list[Finding] = []
    for path in _matching(etc, RSYSLOG):
        text = _read(path, findings)
        for kind, parameters in _objects(text):
            if kind == "global":
                defaults |= parameters
            elif kind == "action":
                actions.append(Action(path, parameters))
        actions += _short_forms(path, text)
    ours = [one for one in actions if "logsink" in f"{one.parameters.get('name')} {one.parameters.get('template')}"]
    sending = [one for one in ours or actions if one.parameters.get("type") in ("omrelp", "omfwd")]
    targets = []
    for action in sending:
        findings += _mistakes(action)
        target = _target(action, defaults)
        if target.host and not _EXAMPLE.fullmatch(target.host):  # examples are named below
            targets.append(target)
    for path in [*_matching(etc, RSYSLOG), *_matching(etc, OTHERS)]:
        findings += _placeholders(path, _read(path, []))
    if not sending:
        detail = f"no action of omrelp or omfwd in {', '.join(str(etc / one) for one in RSYSLOG)}"
        findings.append(failed("configuration", str(etc), detail, _NO_SENDER))
    return list(dict.fromkeys(targets)), findings


def identity_element(*paths: Path) -> str:
    """Return the structured data by which this host says who it is, from files of ``LOG_*`` variables; "-" without any.

    Later files win. One that is not there, or cannot be read, is passed over.
    """
    known: dict[str, str] = {}
    for path in paths:
        for name, _, value in _VARIABLE.findall(_read(path, [])):
            if name.lower() in _IDENTIFYING and value:
                plain = re.sub(r"\\([$`])", r"\1", value)
                known[name.lower()] = re.sub(r'(["\\\]])', r"\\\1", plain)
    parameters = [f'{name}="{known[name]}"' for name in _IDENTIFYING if name in known]
    return f"[{' '.join(['deploy@32473', *parameters])}]" if known else "-"


def _matching(etc: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(path for path in etc.glob(pattern) if path.is_file())


def _read(path: Path, findings: list[Finding]) -> str:
    """Return a file's text without comments; what cannot be read becomes a finding."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        findings.append(failed("configuration", str(path), f"cannot read {path}: {error.strerror}", "run this as root"))
        return ""
    return _COMMENT.sub(lambda match: match[1] or "", text)


def _objects(text: str) -> Iterator[tuple[str, Parameters]]:
    """Yield name and parameters of each ``action()``, ``global()`` and ``module()``."""
    for match in _OBJECT.finditer(text):
        depth, at = 1, match.end()
        while at < len(text) and depth:
            if text[at] == '"':
                end = re.compile(r'"(?:[^"\\]|\\.)*"').match(text, at)
                at = end.end() if end else len(text)
                continue
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        inside = text[match.end() : at - 1]
        found = {name.lower(): value or listed.strip() for name, value, listed in _PARAMETER.findall(inside)}
        yield match[1].lower(), found


def _short_forms(path: Path, text: str) -> Iterator[Action]:
    for sign, host, port in _SHORT.findall(_STRING.sub("''", text)):
        protocol = "tcp" if sign == "@@" else "udp"
        given = {"type": "omfwd", "protocol": protocol, "target": host.strip("[]"), "port": port or "514"}
        yield Action(path, given | {"action.resumeretrycount": "0"} if protocol == "tcp" else given)


def _target(action: Action, defaults: Parameters) -> Target:
    given = action.parameters
    relp = given["type"] == "omrelp"
    host = given.get("target", "")
    port = int(port) if (port := given.get("port", "514")).isdigit() else 514
    if relp:
        encrypted = given.get("tls", "off").lower() == "on"
        names, mode = given.get("tls.permittedpeer", ""), given.get("tls.authmode", "").lower()
        ca, cert, key = (given.get(name, "") for name in ("tls.cacert", "tls.mycert", "tls.myprivkey"))
        transport = "relp_tls" if encrypted else "relp"
    else:
        encrypted = given.get("streamdrivermode") == "1"
        names, mode = given.get("streamdriverpermittedpeers", ""), given.get("streamdriverauthmode", "").lower()
        ca, cert, key = (
            given.get(f"streamdriver.{name}", defaults.get(f"defaultnetstreamdriver{name}", ""))
            for name in ("cafile", "certfile", "keyfile")
        )
        transport = "tls" if encrypted else given.get("protocol", "udp").lower()
    if not encrypted:
        return Target(transport, host, port)
    expected = names.split(",")[0].strip().strip('"') if mode in ("name", "x509/name") else ""
    checked = mode in ("name", "x509/name", "x509/certvalid")
    return Target(transport, host, port, expected.replace("*", "any"), ca, cert, key, checked)


def _mistakes(action: Action) -> Iterator[Finding]:
    """Yield what in an action makes it lose messages, or send them in the clear."""
    given, subject = action.parameters, str(action.path)
    if not given.get("target"):
        yield failed("configuration", subject, f"an action of {given['type']} names no target", 'write target="NAME"')
        return
    if given.get("protocol", "").lower() != "udp" and given.get("action.resumeretrycount") != "-1":
        detail = f"the action to {given.get('target')} discards messages while the receiver is away"
        yield Finding("configuration", subject, "warning", detail, 'set action.resumeRetryCount="-1" and a queue')
    if "streamdriver" in given and given.get("streamdrivermode") != "1":
        detail = f"the action to {given.get('target')} names a TLS driver and sends plain text"
        yield failed("configuration", subject, detail, 'set StreamDriverMode="1"')
    if given.get("tls", "").lower() == "on" and given.get("tls.authmode", "").lower() not in ("name", "fingerprint"):
        detail = f"the action to {given.get('target')} encrypts, but accepts whoever answers"
        yield Finding("configuration", subject, "warning", detail, 'set tls.authMode="name" and tls.permittedPeer')


def _placeholders(path: Path, text: str) -> Iterator[Finding]:
    for name in dict.fromkeys(_EXAMPLE.findall(text)):
        detail = f"{name} in {path} is a name for examples"
        yield failed("placeholder", str(path), detail, "write the name of your receiver")
    if EXAMPLE_DEPLOY in text:
        detail = f"the deploy {EXAMPLE_DEPLOY} in {path} is that of an example"
        yield failed("placeholder", str(path), detail, "write this host's environment, role and deploy")
