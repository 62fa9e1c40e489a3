"""A bundle as one text: for cloud-init, ansible, Kubernetes and systemd, or as it is."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from logsink.cli.client_config.bundle import Bundle, File
from logsink.cli.client_config.request import TLS, Family
from logsink.cli.client_config.templates import fill
from logsink.errors import ArgumentError


def plain(bundle: Bundle, command: str) -> str:
    """Return the configuration itself."""
    return bundle.main.text


def systemd_dropin(bundle: Bundle, command: str) -> str:
    """Return the drop-in that gives the service its environment."""
    return bundle.boot[0].text


def cloud_init(bundle: Bundle, command: str) -> str:
    """Return user data that installs everything at the first boot."""

    def lines() -> Iterator[str]:
        yield "#cloud-config"
        yield f"# Made by `{command}`."
        yield "package_update: true"
        yield "packages:"
        yield from (f"  - {name}" for name in bundle.packages)
        yield "write_files:"
        for file in bundle.files:
            yield f"  - path: {file.path}"
            yield f'    permissions: "{file.mode}"'
            yield "    content: |"
            yield _block(file, 6)
        if bundle.fetch:
            yield "# identity --fetch asks the metadata service before the sender starts; at later boots its unit does."
        yield "runcmd:"
        yield from (f"  - [{', '.join(words)}]" for words in _starting(bundle))

    return "\n".join(lines()) + "\n"


def _starting(bundle: Bundle) -> Iterator[list[str]]:
    """Yield the commands that start the services of a client on which all files are, and have them start at each boot."""
    yield ["systemctl", "daemon-reload"]
    if bundle.fetch:
        yield ["/usr/local/lib/logsink-client/identity", "--fetch"]
        yield ["systemctl", "enable", "logsink-identity.service"]
    for service in bundle.services:
        yield ["systemctl", "enable", f"{service}.service"]
        yield ["systemctl", "restart", f"{service}.service"]


def by_hand(bundle: Bundle, family: Family, directory: Path) -> Iterator[str]:
    """Yield the commands for a client that has all files below a directory.

    Packages come first: dpkg asks what to do about a configuration that is there before its package.
    """
    yield shlex.join(["apt-get" if family == "debian" else "dnf", "install", *bundle.packages])
    yield f"cp -r {shlex.quote(str(directory))}/. /"
    yield from map(shlex.join, _starting(bundle))


def ansible(bundle: Bundle, command: str) -> str:
    """Return a playbook that installs everything, and restarts the service when something has changed."""

    def lines() -> Iterator[str]:
        yield f"# Made by `{command}`."
        yield "- name: Send logs to logsink"
        yield "  hosts: all"
        yield "  become: true"
        yield "  tasks:"
        yield "    - name: Install packages"
        yield "      ansible.builtin.package:"
        yield f"        name: [{', '.join(bundle.packages)}]"
        yield "        state: present"
        for directory in sorted({str(PurePosixPath(file.path).parent) for file in bundle.files}):
            yield f"    - name: Make {directory}"
            yield f'      ansible.builtin.file: {{path: {directory}, state: directory, mode: "0755"}}'
        for file in bundle.files:
            unsafe = "!unsafe " if re.search(r"\{[{%#]", file.text) else ""  # what ansible takes for a template
            yield f"    - name: Write {file.path}"
            yield "      ansible.builtin.copy:"
            yield f"        dest: {file.path}"
            yield f'        mode: "{file.mode}"'
            if file.check:
                yield f"        validate: {file.check} %s"
            yield f"        content: {unsafe}|"
            yield _block(file, 10)
            yield "      notify: Restart"
        if bundle.fetch:
            yield "    - name: Ask the metadata service at each boot"
            yield "      ansible.builtin.systemd_service: {name: logsink-identity, enabled: true, daemon_reload: true}"
            yield "      notify: Ask the metadata service"
        yield "  handlers:"
        if bundle.fetch:
            yield "    - name: Ask the metadata service"
            yield "      ansible.builtin.command: /usr/local/lib/logsink-client/identity --fetch"
        for service in bundle.services:
            yield f"    - name: Restart {service}"
            yield "      listen: Restart"
            yield "      ansible.builtin.systemd_service:"
            yield f"        {{name: {service}, enabled: true, daemon_reload: true, state: restarted}}"

    return "\n".join(lines()) + "\n"


def kubernetes(bundle: Bundle, command: str) -> str:
    """Return the manifests of an agent on each node."""
    if bundle.pod is None:
        hint = "fluent-bit, vector and otel-collector run in clusters"
        raise ArgumentError(f"cannot run {bundle.services[-1]} in a Kubernetes cluster", hint=hint)
    pod, secrets = bundle.pod, [file for file in bundle.others if file.path.startswith(TLS)]
    return fill(
        "kubernetes.yaml",
        {
            "agent": bundle.services[-1],
            "command": command,
            "files": "\n".join(_entry(file) for file in pod.files),
            "secrets": "\n".join(_entry(file) for file in secrets),
            "certificates": bool(secrets),
            "image": pod.image,
            "args": ", ".join(pod.arguments),
            "directory": str(PurePosixPath(bundle.main.path).parent),
            "state": pod.state,
        },
    )


def _entry(file: File) -> str:
    """Return a file as an entry of a ConfigMap or a Secret."""
    return f"  {PurePosixPath(file.path).name}: |\n{_block(file, 4)}"


def _block(file: File, indent: int) -> str:
    """Return the text of a file as the literal block of a YAML document."""
    return textwrap.indent(file.text.rstrip("\n"), " " * indent)


FORMATS: dict[str, Callable[[Bundle, str], str]] = {
    "plain": plain,
    "cloud-init": cloud_init,
    "ansible": ansible,
    "kubernetes": kubernetes,
    "systemd-dropin": systemd_dropin,
}
"""Formats by name: each takes a bundle and the command that asked for it."""
