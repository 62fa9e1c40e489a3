"""Takes over sockets that a service manager has opened (systemd's socket activation, sd_listen_fds(3)).

::

    LISTEN_PID      the process that the sockets are for
    LISTEN_FDS      how many there are, from descriptor 3 on
    LISTEN_FDNAMES  their names, with colons between: FileDescriptorName= of their .socket unit; here, the kind of listener
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

from logsink.errors import ConfigError
from logsink.kinds import Address
from logsink.net.ports import KINDS, HandedSockets

FIRST: Final = 3
"""The first descriptor that is handed over."""

_NAMES: Final = (*KINDS, "http")


def handed_sockets(environ: Mapping[str, str], pid: int) -> HandedSockets:
    """Return the sockets for process ``pid`` by kind of listener and address. ``ConfigError``: one of them cannot be used."""
    if environ.get("LISTEN_PID") != str(pid):
        return {}
    count = environ.get("LISTEN_FDS", "")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found: dict[tuple[str, Address], socket.socket] = {}
    for number in range(int(count) if count.isdigit() else 0):
        name = names[number] if number < len(names) else ""
        sock = _socket(FIRST + number, name)
        try:
            kind, address = _purpose(name.replace("-", "_"), sock)
            if kind == "http" and any(other == "http" for other, _ in found):
                raise ConfigError(f"cannot serve HTTP on {address} as well", hint="hand over one socket named http")
        except ConfigError:
            for one in (sock, *found.values()):
                one.close()
            raise
        sock.set_inheritable(False)
        sock.setblocking(False)
        found[kind, address] = sock
    return found


def _purpose(kind: str, sock: socket.socket) -> tuple[str, Address]:
    """Return the kind of listener that a socket is for, by its name, and its address."""
    where = sock.getsockname()
    told = str(Address(*where[:2])) if isinstance(where, tuple) else repr(where)
    if kind not in _NAMES:
        hint = f"write FileDescriptorName= with {', '.join(_NAMES[:-1])} or {_NAMES[-1]} into its .socket unit"
        raise ConfigError(f"cannot tell what to receive on {told}: its socket is named {kind!r}", hint=hint)
    of, line = (socket.SOCK_DGRAM, "ListenDatagram") if kind == "udp" else (socket.SOCK_STREAM, "ListenStream")
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != of:
        hint = f"write {line}= with an address and a port into its .socket unit"
        raise ConfigError(f"cannot receive {kind} on {told}: that is another kind of socket", hint=hint)
    if of == socket.SOCK_STREAM and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        hint = "take Accept=yes out of its .socket unit: logsink accepts connections itself"
        raise ConfigError(f"cannot receive {kind} on {told}: that socket does not listen", hint=hint)
    return kind, Address(*where[:2])


def _socket(descriptor: int, name: str) -> socket.socket:
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        hint = "systemd hands over sockets of .socket units; LISTEN_FDS says how many"
        raise ConfigError(
            f"cannot use descriptor {descriptor} ({name!r}) as a socket: {error.strerror}", hint=hint
        ) from error
