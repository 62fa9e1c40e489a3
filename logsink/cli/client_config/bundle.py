"""Everything that one kind of client needs: files, packages, and the service to restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from logsink.cli.client_config import agents, rsyslog
from logsink.cli.client_config.request import TLS, Request
from logsink.cli.client_config.templates import fill
from logsink.errors import ArgumentError

IDENTITY = "/etc/logsink-client/identity"
"""The file on a client that says who it is."""


@dataclass(frozen=True, slots=True)
class File:
    """One file on the client."""

    path: str
    text: str
    mode: str = "0644"
    check: str = ""
    """Command that checks a file whose path follows, or ""."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What runs on each node of a Kubernetes cluster: an image, its arguments, its directory for state, and its files."""

    image: str
    arguments: tuple[str, ...]
    state: str
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a client needs.

    main       the file that ``--format plain`` prints
    boot       the files that find out at boot who the client is; the first is the drop-in of the last service
    services   the units to restart; the last is the one that sends
    packages   what has to be installed
    others     further files
    pod        what takes its place in a Kubernetes cluster, if that is possible
    fetch      whether a unit of ``boot`` has to be enabled, which asks a metadata service
    """

    main: File
    boot: tuple[File, ...]
    services: tuple[str, ...]
    packages: tuple[str, ...]
    others: tuple[File, ...] = ()
    fetch: bool = False
    pod: Pod | None = None

    @property
    def files(self) -> tuple[File, ...]:
        """All files, those of the boot first."""
        return (*self.boot, *self.others, self.main)


def of_rsyslog(request: Request) -> Bundle:
    """rsyslog on a host."""
    main = File(rsyslog.path(request), rsyslog.configuration(request), check="rsyslogd -N1 -f")
    return Bundle(
        main,
        boot_files(request, "rsyslog"),
        ("rsyslog",),
        tuple(rsyslog.packages(request)),
        certificates(request),
        fetch=bool(request.of_kind("ec2-tag")),
    )


def of_journald(request: Request) -> Bundle:
    """The journal of a host, which rsyslog reads."""
    reader = of_rsyslog(_reading_the_journal(request))
    main = File("/etc/systemd/journald.conf.d/logsink.conf", fill("journald.conf", {"command": request.command}))
    return replace(reader, main=main, others=(*reader.others, reader.main), services=("systemd-journald", "rsyslog"))


def of_docker(request: Request) -> Bundle:
    """Containers of docker, whose logs the journal of the host keeps until rsyslog has read them."""
    reader = of_rsyslog(_reading_the_journal(request))
    compose = File("/etc/logsink-client/compose.yaml", agents.docker(request, "compose.yaml"))
    main = File("/etc/docker/daemon.json", agents.docker(request, "daemon.json"))
    return replace(reader, main=main, others=(*reader.others, reader.main, compose), services=("docker", "rsyslog"))


def _reading_the_journal(request: Request) -> Request:
    return replace(request, inputs=("journal", *(one for one in request.inputs if one.startswith("file:"))))


def of_syslog_ng(request: Request) -> Bundle:
    """syslog-ng on a host."""
    if request.of_kind("container-label"):
        raise ArgumentError("cannot ask for labels of containers: syslog-ng does not know them")
    main = File(agents.PATHS["syslog-ng"], agents.syslog_ng(request))
    return _agent(request, main, "syslog-ng", ("syslog-ng-core" if request.family == "debian" else "syslog-ng",))


def of_fluent_bit(request: Request) -> Bundle:
    """Fluent Bit on a host or a node."""
    script = File(agents.LUA, agents.lua(request, "Fluent Bit", "fluent-bit.lua"))
    main = File(agents.PATHS["fluent-bit"], agents.fluent_bit(request))
    node = File(main.path, agents.fluent_bit(request, kubernetes=True))
    made = _agent(request, main, "fluent-bit", ("fluent-bit",), script)
    pod = Pod("fluent/fluent-bit:3.2", ("--config", main.path), "/var/lib/fluent-bit", (script, node))
    return replace(made, pod=pod)


def of_vector(request: Request) -> Bundle:
    """Vector on a host or a node."""
    if request.tls and request.target and ":" in request.target.host:
        raise ArgumentError(
            f"cannot send to {request.target.host} with TLS: Vector finds no IPv6 address in a certificate",
            hint="give the receiver a name, and its certificate that name",
        )
    main = File(agents.PATHS["vector"], agents.vector(request), check="vector validate --no-environment")
    node = File(main.path, agents.vector(request, kubernetes=True))
    pod = Pod("timberio/vector:0.43.1-debian", ("--config", main.path), "/var/lib/vector", (node,))
    return replace(_agent(request, main, "vector", ("vector",)), pod=pod)


def of_otel_collector(request: Request) -> Bundle:
    """The OpenTelemetry Collector on a host or a node."""
    main = File(agents.PATHS["otel-collector"], agents.otel_collector(request))
    node = File(main.path, agents.otel_collector(request, kubernetes=True))
    image = "otel/opentelemetry-collector-contrib:0.115.1"
    pod = Pod(image, ("--config", main.path), "/var/lib/otelcol", (node,))
    return replace(_agent(request, main, "otelcol-contrib", ("otelcol-contrib",)), pod=pod)


def _agent(request: Request, main: File, service: str, packages: tuple[str, ...], *others: File) -> Bundle:
    boot = boot_files(request, service, life=True)
    fetch = bool(request.of_kind("ec2-tag"))
    return Bundle(main, boot, (service,), packages, (*certificates(request), *others), fetch)


KINDS: dict[str, Callable[[Request], Bundle]] = {
    "rsyslog": of_rsyslog,
    "journald": of_journald,
    "docker": of_docker,
    "syslog-ng": of_syslog_ng,
    "fluent-bit": of_fluent_bit,
    "vector": of_vector,
    "otel-collector": of_otel_collector,
}
"""Kinds of clients by name."""


def certificates(request: Request) -> tuple[File, ...]:
    """Return the certificates and the key that go to the client with the rest."""
    return tuple(
        File(f"{TLS}/{name}", text, "0600" if name.endswith(".key") else "0644") for name, text in request.certificates
    )


def boot_files(request: Request, service: str, *, life: bool = False) -> tuple[File, ...]:
    """Return the drop-in of a service, the script that it runs, and the unit that asks the metadata service where one must."""
    tags = request.of_kind("ec2-tag")
    values: dict[str, str | bool] = {
        "unit": f"{service}.service",
        "command": request.command,
        "fetch": bool(tags),
        "life": life,
        "fetched": "\n".join(f'        echo "LOG_{name.upper()}=\\"$(tag {tag})\\""' for name, tag in tags.items()),
        "filed": "\n".join(
            f'    [ ! -r "$root{path}" ] || echo "LOG_{name.upper()}=\\"$(head -n 1 "$root{path}" | clean)\\""'
            for name, path in request.of_kind("file").items()
        ),
    }
    files = [
        File(f"/etc/systemd/system/{service}.service.d/logsink.conf", fill("dropin.conf", values)),
        File("/usr/local/lib/logsink-client/identity", fill("identity", values), "0755"),
    ]
    if tags:
        files.append(File("/etc/systemd/system/logsink-identity.service", fill("identity.service", values)))
    return tuple(files)
