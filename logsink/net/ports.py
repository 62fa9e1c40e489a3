"""Opens listening sockets, and sees to it that an address belongs to those who may share it.

An address belongs to one process. The kernel refuses it to a second one, since sockets are opened without SO_REUSEPORT, except

- for the workers of one process (`Ports(member=True)`), among which the kernel deals out what comes, and
- for processes that all say ``listen.share_ports = true``.

Workers need SO_REUSEPORT, and with that a process that shares could join them, although they do not. So the process that holds
them together keeps a claim: a socket in the abstract namespace (Linux; as ports, of one network namespace) whose name is the
address. Whoever shares opens its addresses first and then looks for claims; whoever claims does that first and then looks
whether its addresses are free. Whichever comes first, the other one sees it.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from logsink.config import Listen
from logsink.errors import ConfigError, LogsinkError
from logsink.kinds import Address, collide

BACKLOG: Final = 1024
"""Connections that the kernel may hold until they are accepted."""

KINDS: Final = ("tcp", "udp", "relp", "tls", "relp_tls")
"""Kinds of listeners for syslog: the settings of ``listen`` with their addresses."""

_ABSENT: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""Errors of a machine without IPv6, or without IPv4, for one of the addresses of a name that has both."""

_EVERYWHERE: Final = ("0.0.0.0", "::")

_CLAIMS: Final = Path("/proc/net/unix")

_LINUX: Final = sys.platform == "linux"

HandedSockets = Mapping[tuple[str, Address], socket.socket]
"""Sockets that were open before this process began, by kind and address."""


class Ports:
    """Opens the addresses of ``listen`` for one receiver.

    ``handed`` sockets are used where they have an address that is asked for. A ``member`` is a worker: the process that began
    it has seen to it that the addresses are theirs.
    """

    def __init__(self, listen: Listen, handed: HandedSockets | None = None, *, member: bool = False) -> None:
        self._listen, self._handed, self._member = listen, dict(handed or {}), member
        self._opened: list[tuple[str, Address]] = []

    def open(self, kind: str, address: Address) -> list[socket.socket]:
        """Return listening sockets at ``address``, several where that is a name. ``ConfigError``: it cannot be had."""
        if (sock := self._handed.pop((kind, address), None)) is not None:
            return [sock]
        shared = self._member or self._listen.share_ports
        _apart(kind, address, self._opened)
        opened = bound(kind, address, shared=shared, alone=_alone(self._listen, kind, address))
        try:
            for sock in opened if kind != "udp" else ():
                sock.listen(BACKLOG)
        except OSError as error:
            for sock in opened:
                sock.close()
            raise cannot_listen(kind, address, error) from error
        self._opened += [(kind, _at(sock)) for sock in opened]
        return opened

    def prove(self) -> None:
        """Make sure, where ports are shared, that no workers claim what was opened; ``ConfigError`` if they do."""
        if self._listen.share_ports and not self._member:
            for kind, address in self._opened:
                _unclaimed(kind, address, ())


class Reservation:
    """Keeps the addresses of several workers from others until ``close``, with free ports in place of 0.

    ``ConfigError``: an address cannot be had.
    """

    def __init__(self, listen: Listen) -> None:
        self.listen = listen
        self._shared = listen.share_ports
        self._claims: list[socket.socket] = []
        self._names: set[str] = set()
        self._chosen: list[socket.socket] = []
        self._taken: list[tuple[str, Address]] = []
        try:
            ports: dict[str, Any] = {
                kind: tuple(self._take(kind, one) for one in getattr(listen, kind)) for kind in KINDS
            }
        except BaseException:
            self.close()
            raise
        self.listen = listen._replace(**ports)

    def listening(self) -> None:
        """Hold no ports any longer, for the workers listen. ``ConfigError``: somebody has claimed theirs meanwhile."""
        self._release()
        if self._shared:
            for kind in KINDS:
                for one in getattr(self.listen, kind):
                    for place in _places(kind, one):
                        _unclaimed(kind, Address(*place.where[:2]), ())

    def close(self) -> None:
        """Release ports and claims."""
        self._release()
        for claim in self._claims:
            claim.close()
        self._claims.clear()

    def _release(self) -> None:
        for sock in self._chosen:
            sock.close()
        self._chosen.clear()

    def _take(self, kind: str, address: Address) -> Address:
        """Claim an address for the workers; return it with the port that the system chose in place of 0."""
        if address.port:
            _apart(kind, address, self._taken)
            for place in _places(kind, address):
                self._own(kind, Address(*place.where[:2]))
        held = bound(kind, address, shared=self._shared, alone=_alone(self.listen, kind, address))
        self._taken += [(kind, _at(sock)) for sock in held]
        for sock in held[address.port == 0 :]:
            sock.close()
        if address.port:
            return address
        self._chosen.append(held[0])
        at = _at(held[0])
        self._own(kind, at)
        held[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # it was free: the workers may have it
        return Address(address.host, at.port)

    def _own(self, kind: str, address: Address) -> None:
        """Claim an address, and make sure that there is no other claim on it."""
        name = _claim(kind, address)
        if not self._shared and _LINUX:
            self._names.add(name)
            self._claims.append(socket.socket(socket.AF_UNIX))
            try:
                self._claims[-1].bind("\0" + name)
            except OSError as error:
                raise cannot_listen(kind, address, error) from error
        _unclaimed(kind, address, self._names)


def bound(kind: str, address: Address, *, shared: bool = False, alone: bool = False) -> list[socket.socket]:
    """Return sockets bound to ``address``, several where it is a name. ``ConfigError``: it cannot be had.

    ``shared``: other processes that say so, too, may bind it. ``alone``: a socket for every IPv6 address is not for IPv4.
    """
    opened: list[socket.socket] = []
    places = _places(kind, address)
    try:
        for left, place in zip(reversed(range(len(places))), places, strict=True):
            try:
                opened.append(_bound(place, shared=shared, alone=alone))
            except OSError as error:
                if error.errno not in _ABSENT or not (left or opened):
                    raise
    except OSError as error:
        for sock in opened:
            sock.close()
        raise cannot_listen(kind, address, error) from error
    return opened


def cannot_listen(kind: str, address: Address, error: OSError) -> LogsinkError:
    """Return the error that says why an address cannot be had, and what to do."""
    hint = ""
    if isinstance(error, PermissionError):
        hint = "ports below 1024 need CAP_NET_BIND_SERVICE"
    elif isinstance(error, socket.gaierror):
        hint = f"`getent hosts {address.host}` must find the name: correct it, or write an address of this machine"
    elif error.errno in _ABSENT:
        everywhere = Address("::" if ":" in address.host else "0.0.0.0", address.port)
        hint = f"write an address that this machine has (`ip address` shows them), or {everywhere} for all of them"
    elif error.errno == errno.EADDRINUSE:
        return _taken(kind, address, "another process has it")
    return ConfigError(f"cannot listen on {address} ({kind}): {error.strerror or error}", hint=hint)


def _taken(kind: str, address: Address, cause: str) -> LogsinkError:
    which = "u" if kind == "udp" else "t"
    hint = (
        f"`ss -{which}lnp sport = :{address.port}` shows which: stop it, or take another port; two receivers share a port, "
        + "and what comes to it, only where both have listen.share_ports = true"
    )
    return ConfigError(f"cannot listen on {address} ({kind}): the address is in use: {cause}", hint=hint)


def _apart(kind: str, address: Address, taken: Collection[tuple[str, Address]]) -> None:
    """Make sure that an address is none of those that other listeners of this process have; else ``ConfigError``.

    ``config`` compares what is written. A name leads to addresses, and with SO_REUSEPORT the kernel would let both listen.
    """
    for place in _places(kind, address) if address.port else ():
        at = Address(*place.where[:2])
        for other, theirs in taken:
            if _protocol(kind) == _protocol(other) and collide(at, theirs):
                cause = f"listen.{other} has {theirs} already" + ("" if address == at else f", and this is {at}")
                raise ConfigError(f"cannot listen on {address} ({kind}): {cause}", hint="use another port")


class _Place(NamedTuple):
    """One answer of getaddrinfo(3)."""

    family: int
    type: int
    protocol: int
    where: Any


def _places(kind: str, address: Address) -> list[_Place]:
    of = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    try:
        found = socket.getaddrinfo(address.host, address.port, type=of)
    except OSError as error:
        raise cannot_listen(kind, address, error) from error
    return list(dict.fromkeys(_Place(family, type_, protocol, where) for family, type_, protocol, _, where in found))


def _bound(place: _Place, *, shared: bool, alone: bool) -> socket.socket:
    sock = socket.socket(place.family, place.type, place.protocol)
    try:
        if (
            place.type == socket.SOCK_STREAM
        ):  # connections that have just ended keep an address; with UDP this would share it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if place.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, alone)
        sock.setblocking(False)
        sock.bind(place.where)
    except OSError:
        sock.close()
        raise
    return sock


def _at(sock: socket.socket) -> Address:
    return Address(*sock.getsockname()[:2])


def _protocol(kind: str) -> str:
    return "udp" if kind == "udp" else "tcp"


def _alone(listen: Listen, kind: str, address: Address) -> bool:
    """Return whether IPv4 addresses with this port are listed, so that an IPv6 socket must not take them."""
    kinds = ("udp",) if kind == "udp" else [one for one in KINDS if one != "udp"]
    listed = [one for other in kinds for one in getattr(listen, other)]
    if kind != "udp" and listen.http:
        listed.append(listen.http)
    return any(one.port == address.port and ":" not in one.host for one in listed)


def _claim(kind: str, address: Address) -> str:
    return f"logsink/{_protocol(kind)}/{address.port}/{address.host}"


def _unclaimed(kind: str, address: Address, own: Collection[str]) -> None:
    """Make sure that no other process claims an address that includes this one or a part of it; else ``ConfigError``."""
    try:
        table = _CLAIMS.read_text("utf-8", "replace")
    except OSError:  # not Linux: there are no claims
        return
    prefix = _claim(kind, Address("", address.port))
    for line in table.splitlines():
        name = line.rpartition(" ")[2].removeprefix("@")
        host = name.removeprefix(prefix)
        if host == name or name in own:
            continue
        if host == address.host or not {host, address.host}.isdisjoint(_EVERYWHERE):
            raise _taken(kind, address, "the workers of another receiver, which does not share, have it")
