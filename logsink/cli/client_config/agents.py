"""The configurations of syslog-ng, Fluent Bit, Vector, the OpenTelemetry Collector, journald and docker."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from logsink.cli.client_config.request import NAMES, Request, Source
from logsink.cli.client_config.templates import fill

PATHS = {
    "syslog-ng": "/etc/syslog-ng/conf.d/10-logsink.conf",
    "fluent-bit": "/etc/fluent-bit/fluent-bit.conf",
    "vector": "/etc/vector/vector.yaml",
    "otel-collector": "/etc/otelcol-contrib/config.yaml",
}
"""Place of each configuration on the client."""

LUA = "/etc/fluent-bit/logsink.lua"


def values(request: Request, kind: str, *, kubernetes: bool = False) -> dict[str, str | bool]:
    """Return what all templates of agents need."""
    assert request.target
    labels = request.of_kind("container-label").values()
    return {
        "command": request.command,
        "path": PATHS.get(kind, ""),
        "wire": "TLS" if request.tls else "TCP",
        "packages": "syslog-ng-core" if request.family == "debian" else "syslog-ng",
        "host": request.target.host,
        "ipv6": ":" in request.target.host,
        "endpoint": f"[{request.target.host}]" if ":" in request.target.host else request.target.host,
        "port": str(request.port),
        "tls": request.tls,
        "ca": request.authority,
        "cert": request.cert,
        "key": request.key,
        "kubernetes": kubernetes,
        "labels": ",".join(labels),
    }


def syslog_ng(request: Request) -> str:
    """Return the configuration of syslog-ng."""
    source = "s_src" if request.family == "debian" else "s_sys"
    lines = "\n".join(_rewrite(name, request.source(name)) for name in NAMES)
    return fill("syslog-ng.conf", values(request, "syslog-ng") | {"source": source, "identity": lines})


def _rewrite(name: str, source: Source) -> str:
    value = f'value(".SDATA.deploy@32473.{name}")'
    if source.kind == "literal":
        return f'    set("{source.value}" {value});'
    variable = source.variable_of(name)
    return f'    set("`{variable}`" {value} condition("`{variable}`" ne ""));'


def lua(request: Request, agent: str, function: str) -> str:
    """Return the script that adds the element of structured data, for an agent that runs Lua."""
    lines = "\n".join(f"        {name} = {_lua_value(name, request.source(name))}," for name in NAMES)
    text = fill("logsink.lua", {"agent": agent, "command": request.command, "identity": lines})
    return text + fill(function, {})


def _lua_value(name: str, source: Source) -> str:
    if source.kind == "literal":
        return f'"{source.value}"'
    of_host = f'text(os.getenv("{source.variable_of(name)}"))'
    return f'text(labels["{source.value}"]) or {of_host}' if source.kind == "container-label" else of_host


def fluent_bit(request: Request, *, kubernetes: bool = False) -> str:
    """Return the configuration of Fluent Bit, which runs ``lua``."""
    return fill("fluent-bit.conf", values(request, "fluent-bit", kubernetes=kubernetes))


def vector(request: Request, *, kubernetes: bool = False) -> str:
    """Return the configuration of Vector."""
    script = textwrap.indent(lua(request, "Vector", "vector.lua"), " " * 6)
    return fill("vector.yaml", values(request, "vector", kubernetes=kubernetes) | {"lua": script})


def otel_collector(request: Request, *, kubernetes: bool = False) -> str:
    """Return the configuration of the OpenTelemetry Collector."""
    lines = "\n".join(line for name in NAMES for line in _statement(name, request.source(name)))
    labels = request.of_kind("container-label").values()
    extracted = "\n".join(f"        - {{tag_name: {label}, key: {label}, from: pod}}" for label in labels)
    more = {"identity": lines, "label_lines": extracted or "        []"}
    return fill("otel-collector.yaml", values(request, "otel-collector", kubernetes=kubernetes) | more)


def _statement(name: str, source: Source) -> Iterator[str]:
    place = f'attributes["structured_data"]["deploy@32473"]["{name}"]'
    if source.kind == "literal":
        yield f"          - 'set({place}, \"{source.value}\")'"  # quoted for YAML: a text may have ": " or " #" in it
        return
    of_host = f'"${{env:{source.variable_of(name)}}}"'
    yield f'          - set({place}, {of_host}) where {of_host} != ""'
    if source.kind == "container-label":
        label = f'resource.attributes["{source.value}"]'
        yield f"          - set({place}, {label}) where {label} != nil"


def docker(request: Request, template: str) -> str:
    """Return daemon.json or a compose file, by which the journal keeps what containers log."""
    labels = request.of_kind("container-label")
    lines = "\n".join(f'      {label}: "..."' for label in labels.values())
    return fill(template, values(request, "docker") | {"label_lines": lines})
