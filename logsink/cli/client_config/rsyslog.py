"""The configuration of rsyslog."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import get_args

from logsink.cli.client_config.request import NAMES, Protocol, Request, Source
from logsink.cli.client_config.templates import fill

_QUOTE = r"\""
_NO_ACKNOWLEDGEMENTS = """for hosts without omrelp.
#
# TCP has no acknowledgements of messages: those in the kernels' buffers when a connection breaks are lost without a notice.
# Prefer RELP where omrelp can be installed."""
_WIRES = {
    "relp": ("RELP", "a message leaves this host's queue only after logsink has stored it."),
    "tcp": ("octet-counted TCP", _NO_ACKNOWLEDGEMENTS),
}


def path(request: Request) -> str:
    """Return the place of the configuration on the client."""
    return "/etc/rsyslog.conf" if request.inputs else f"/etc/rsyslog.d/10-logsink-{request.protocol}.conf"


def packages(request: Request) -> list[str]:
    """Return the packages that the configuration needs."""
    names = ["rsyslog", *(["rsyslog-relp"] if request.protocol == "relp" else [])]
    if request.tls or not request.target:
        names.append(f"rsyslog-{request.tls_library}")
    return names


def configuration(request: Request) -> str:
    """Return the configuration."""
    wire, promise = _WIRES[request.protocol]
    of_files = [one.removeprefix("file:") for one in request.inputs if one.startswith("file:")]
    labels = request.of_kind("container-label")
    drivers = {"openssl": "ossl", "gnutls": "gtls"}
    values: dict[str, str | bool] = {
        "name": f"logsink-{request.protocol}",
        "id": f"logsink_{request.protocol}",
        "wire": wire,
        "promise": promise,
        "path": path(request),
        "packages": " ".join(packages(request)),
        "command": request.command,
        "spool": "/var/spool/rsyslog" if request.family == "debian" else "/var/lib/rsyslog",
        "host": request.target.host if request.target else "logs.example.com",
        "port": str(request.port),
        "mark": str(request.mark),
        "marks": request.mark > 0,
        "ca": request.authority,
        "cert": request.cert,
        "key": request.key,
        "tlslib": request.tls_library,
        "driver": drivers[request.tls_library],
        "identity": "\n".join(line for name in NAMES for line in _identity(name, request)),
        "labelled": "\n".join(line for name, label in labels.items() for line in _label(name, label, request)),
        "file_inputs": "\n".join(_file_input(one) for one in of_files),
        "generic": request.target is None,
        "alone": request.target is not None or request.protocol == "relp",
        "debian": request.family == "debian",
        "redhat": request.family == "redhat",
        "relp": request.protocol == "relp",
        "tls": request.tls,
        "whole": bool(request.inputs),
        "files": bool(of_files),
        "labels": bool(labels),
        "from_environment": any(_expression(request.source(name), name) for name in NAMES),
        **{kind: kind in request.inputs for kind in ("journal", "socket", "kernel")},
    }
    return fill("rsyslog.conf", values)


def _expression(source: Source, name: str) -> str:
    """Return what has the value of a source in rsyslogd's environment, or "" for a literal."""
    return "" if source.kind == "literal" else f"`echo ${source.variable_of(name)}`"


def _identity(name: str, request: Request) -> Iterator[str]:
    """Yield the statements that add a parameter to the element, unless each message has to be asked for it."""
    source, head = request.source(name), f"$/logsink_{request.protocol}_head"
    value = f"$/logsink_{request.protocol}_value"
    if source.kind == "container-label":
        return
    if source.kind == "literal":
        yield f'        set {head} = {head} & " {name}={_QUOTE}{source.value}{_QUOTE}";'
        return
    yield f"        set {value} = {_escaped(_expression(source, name))};"
    if name == "instance":
        yield f'        if {value} == "" then set {value} = $$myhostname;'
    yield f'        if {value} != "" then set {head} = {head} & " {name}={_QUOTE}" & {value} & "{_QUOTE}";'


def _label(name: str, label: str, request: Request) -> Iterator[str]:
    """Yield the statements that add what a container's label says, a field of the journal, or else the host's value."""
    local, field = f"$.logsink_{request.protocol}", "$!" + "".join(c if c.isalnum() else "_" for c in label.upper())
    yield f'    if {field} != "" then'
    yield f'        set {local} = {local} & " {name}={_QUOTE}" & {_escaped(field)} & "{_QUOTE}";'
    yield f'    else if `echo $LOG_{name.upper()}` != "" then'
    yield f'        set {local} = {local} & " {name}={_QUOTE}" & `echo $LOG_{name.upper()}` & "{_QUOTE}";'


def _escaped(expression: str) -> str:
    """Return an expression whose value may stand between quotes in structured data (RFC 5424, 6.3.3)."""
    for found, instead in (("\\\\", "\\\\\\\\"), ('\\"', '\\\\\\"'), ("]", "\\\\]")):
        expression = f'replace({expression}, "{found}", "{instead}")'
    return expression


def _file_input(path: str) -> str:
    of_file = PurePosixPath(path)
    names = (PurePosixPath(re.sub(r"[*?]", "", name)).stem.strip(".-_") for name in (of_file.name, of_file.parent.name))
    tag = next((name for name in names if name not in ("", "log")), "file")
    return (
        f'input(type="imfile" File="{path}" Tag="{tag}:" Severity="info" Facility="local0" PersistStateInterval="100"\n'
        f'      reopenOnTruncate="on" startmsg.regex="^[^ \\t]" readTimeout="5")'
    )


def general() -> dict[str, str]:
    """Return the configurations in rsyslog/ by the names of their files: those that have to be edited."""
    requests = [Request(None, protocol) for protocol in get_args(Protocol)]
    return {PurePosixPath(path(one)).name: configuration(one) for one in requests}
