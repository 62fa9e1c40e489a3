"""Everything that one kind of client needs: files, packages, and the service to restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from logsink.cli.client_config import rsyslog
from logsink.cli.client_config.request import TLS, Request
from logsink.cli.client_config.templates import fill

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
class Bundle:
    """What a client needs.

    main       the file that ``--format plain`` prints
    boot       the files that find out at boot who the client is; the first is the drop-in of the last service
    services   the units to restart; the last is the one that sends
    packages   what has to be installed
    others     further files
    fetch      whether a unit of ``boot`` has to be enabled, which asks a metadata service
    """

    main: File
    boot: tuple[File, ...]
    services: tuple[str, ...]
    packages: tuple[str, ...]
    others: tuple[File, ...] = ()
    fetch: bool = False

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


KINDS: dict[str, Callable[[Request], Bundle]] = {"rsyslog": of_rsyslog}
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
