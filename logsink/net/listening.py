"""Addresses to listen on: those that the system chooses, what is wrong with others, and how programs are told."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from logsink.config import Listen
from logsink.errors import ConfigError, LogsinkError
from logsink.kinds import Address

KINDS = ("tcp", "udp", "relp", "tls", "relp_tls")
"""The settings of ``listen`` that name where syslog is received."""


def cannot_listen(kind: str, address: Address, error: OSError) -> LogsinkError:
    """What to tell of an address that cannot be had."""
    hint = "ports below 1024 need CAP_NET_BIND_SERVICE" if isinstance(error, PermissionError) else ""
    return ConfigError(f"cannot listen on {address} ({kind}): {error.strerror or error}", hint=hint)


def chosen(listen: Listen) -> tuple[Listen, list[socket.socket]]:
    """``listen`` with ports in place of 0, for several processes, and what holds them until these listen."""
    holding: list[socket.socket] = []

    def choose(kind: str, address: Address) -> Address:
        if address.port:
            return address
        try:
            family, of, protocol, _, where = socket.getaddrinfo(
                address.host, 0, type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
            )[0]
            holding.append(socket.socket(family, of, protocol))
            holding[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holding[-1].bind(where)
        except OSError as error:
            raise cannot_listen(kind, address, error) from error
        return Address(address.host, holding[-1].getsockname()[1])

    ports: dict[str, Any] = {kind: tuple(choose(kind, one) for one in getattr(listen, kind)) for kind in KINDS}
    return listen._replace(**ports), holding


def write_ready_file(path: Path, addresses: Mapping[str, Sequence[str]], http: str | None) -> None:
    """Tell a program that waits for it where this process listens; the file appears whole."""
    ready = {"pid": os.getpid()} | dict(addresses) | {"http": http}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(ready) + "\n", encoding="utf8")
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write --ready-file {path}: {error.strerror}") from error
