"""A network of several machines with a name server: network namespaces around a bridge. Needs root and Linux.

::

    with Lan(["web-1", "web-2"]) as lan:
        lan.names["logs.internal"] = lan.CENTER[0]      # what the hosts are told from now on
        lan.command("web-1")                            # what stands before a command that is to run on that host
        lan.run(function)                               # a function, run in the middle, where CENTER are the addresses
        lan.destroy("web-1")                            # its cable is gone; its processes are whoever's started them
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from tests.support.network import add_space, command_in, delete_space, enter, ip, need_root

P = ParamSpec("P")
T = TypeVar("T")

_HEADER = 12
_A, _INTERNET, _RESPONSE, _NO_SUCH_NAME = 1, 1, 0x8480, 3


class Lan:
    """``names`` are the addresses that the name server answers with; it answers nothing that may be cached."""

    CENTER = ("192.0.2.11", "192.0.2.12")
    _NAME_SERVER = "192.0.2.53"

    def __init__(self, hosts: Sequence[str]) -> None:
        need_root()
        self.names: dict[str, str] = {}
        self._hosts = list(hosts)
        self._center = self._space("center")
        self._thread = ThreadPoolExecutor(1, "center", self._enter)
        self._socket: socket.socket | None = None
        self._answering: threading.Thread | None = None

    def command(self, host: str | None = None) -> list[str]:
        """What stands before a command that is to run on a host, or in the middle; it becomes that command."""
        return command_in(self._space(host or "center"))

    def run(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Call a function in the middle."""
        return self._thread.submit(function, *args, **options).result()

    def destroy(self, host: str) -> None:
        """Take a host off the network: no FIN, no RST, no packet any more, and no namespace once its processes are gone."""
        ip("-n", self._space(host), "link", "delete", "lan")
        self._forget(host)

    def __enter__(self) -> Self:
        try:
            self._build()
            self._socket = self.run(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind((self._NAME_SERVER, 53))
            self._answering = threading.Thread(target=self._answer, args=(self._socket,), name="name server")
            self._answering.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._answering is not None:
            self.run(self._say_goodbye)
            self._answering.join()
        if self._socket is not None:
            self._socket.close()
        self._thread.shutdown()
        for host in [*self._hosts, "center"]:
            self._forget(host)

    def _build(self) -> None:
        add_space(self._center)
        ip("-n", self._center, "link", "add", "bridge", "type", "bridge")
        for address in (*self.CENTER, self._NAME_SERVER):
            ip("-n", self._center, "address", "add", f"{address}/24", "dev", "bridge")
        ip("-n", self._center, "link", "set", "bridge", "up")
        for number, host in enumerate(self._hosts):
            self._connect(host, number)

    def _connect(self, host: str, number: int) -> None:
        space, port = self._space(host), f"port{number}"
        add_space(space)
        ip("-n", self._center, "link", "add", port, "type", "veth", "peer", "name", "lan", "netns", space)
        ip("-n", self._center, "link", "set", port, "master", "bridge", "up")
        ip("-n", space, "address", "add", f"192.0.2.{101 + number}/24", "dev", "lan")
        ip("-n", space, "link", "set", "lan", "up")
        files = Path("/etc/netns") / space  # `ip netns exec` shows them to programs there as files of /etc
        files.mkdir(parents=True)
        (files / "resolv.conf").write_text(f"nameserver {self._NAME_SERVER}\noptions timeout:1\n")
        (files / "hosts").write_text("127.0.0.1 localhost\n")

    def _forget(self, host: str) -> None:
        space = self._space(host)
        delete_space(space)
        shutil.rmtree(Path("/etc/netns") / space, ignore_errors=True)

    def _enter(self) -> None:
        enter(self._center)

    @staticmethod
    def _space(host: str) -> str:
        return f"logsink-{host}-{os.getpid()}"

    def _say_goodbye(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"", (self._NAME_SERVER, 53))

    def _answer(self, server: socket.socket) -> None:
        while True:
            query, client = server.recvfrom(512)
            if not query:
                return
            server.sendto(answer(query, self.names), client)


def answer(query: bytes, names: dict[str, str]) -> bytes:
    """Return the reply of a name server (RFC 1035, section 4.1): an address, or nothing of another kind, or no such name."""
    labels, at = [], _HEADER
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    address = names.get(".".join(labels).lower())
    kind, _ = struct.unpack_from(">HH", query, at + 1)
    found = kind == _A and address is not None
    flags = _RESPONSE | (0 if address else _NO_SUCH_NAME)
    reply = query[:2] + struct.pack(">HHHHH", flags, 1, int(found), 0, 0) + query[_HEADER : at + 5]
    if found and address is not None:
        reply += struct.pack(">HHHIH", 0xC00C, _A, _INTERNET, 0, 4) + socket.inet_aton(address)
    return reply
