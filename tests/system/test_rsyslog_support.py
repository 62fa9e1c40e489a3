"""The harness itself: what a plain server reads is exactly what the harness says has left rsyslogd."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.rsyslog import FORWARD, SYSLOG23, TEMPLATES, TRADITIONAL, Rsyslog, relp, tcp, udp

LINES = [
    b"<13>Jan  5 10:00:00 web1 app[12]: number %d" % n
    if n % 3
    else b"<34>1 2026-01-05T10:00:00.123456+02:00 web2 su %d ID47 [a@1 b=\"c\"] caf\xc3\xa9 \xff\ttab" % n
    for n in range(3000)
]  # fmt: skip


class Lines(asyncio.Protocol):
    """Keeps what it reads; ``ended`` when the sender closes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


def forward(directory: Path, action: str, template: str, rate: int | None = None) -> list[bytes]:
    with Rsyslog(directory, action, template=template, rate=rate) as rsyslog:
        rsyslog.send(LINES)
        rsyslog.wait(len(LINES))
    return rsyslog.frames


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("octet_counted", [False, True])
async def test_tcp(tmp_path: Path, template: str, octet_counted: bool) -> None:
    peer = Lines()
    server = await asyncio.get_running_loop().create_server(lambda: peer, "127.0.0.1", 0)
    async with server:
        action = tcp(server.sockets[0].getsockname()[1], octet_counted=octet_counted)
        frames = await asyncio.to_thread(forward, tmp_path, action, template)
        await peer.ended.wait()
    assert len(frames) == len(LINES)
    end = b"\n" if template == SYSLOG23 else b""
    if octet_counted:
        assert bytes(peer.data) == b"".join(b"%d %b%b" % (len(f + end), f, end) for f in frames)
    else:
        assert bytes(peer.data) == b"".join(frame + b"\n" for frame in frames)


async def test_templates_differ(tmp_path: Path) -> None:
    heads = {}
    for template in TEMPLATES:
        peer = Lines()
        server = await asyncio.get_running_loop().create_server(lambda p=peer: p, "127.0.0.1", 0)
        (tmp_path / template).mkdir()
        async with server:
            action = tcp(server.sockets[0].getsockname()[1])
            heads[template] = (await asyncio.to_thread(forward, tmp_path / template, action, template))[0]
    assert heads[TRADITIONAL].startswith(b"<34>Jan  5 ")
    assert heads[FORWARD].startswith(b"<34>2026-01-05T10:00:00.123456+02:00 web2 su[0] caf\xc3\xa9 \xff#011tab")
    assert heads[SYSLOG23].startswith(b"<34>1 2026-01-05T10:00:00.123456+02:00 web2 su 0 ID47 ")


async def test_udp(tmp_path: Path) -> None:
    datagrams: list[bytes] = []
    every = asyncio.Event()

    class Datagrams(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            datagrams.append(data)
            if len(datagrams) == len(LINES):
                every.set()

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    try:
        action = udp(transport.get_extra_info("sockname")[1])
        frames = await asyncio.to_thread(forward, tmp_path, action, FORWARD, 10_000)
        await asyncio.wait_for(every.wait(), 60)
    finally:
        transport.close()
    assert datagrams == frames


class Relp(asyncio.Protocol):
    """Enough of a RELP server to acknowledge everything."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames, self._data = frames, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while len(head := self._data.split(b" ", 3)) > 2:
            number, command, length = head[0], head[1], head[2].partition(b"\n")[0]
            start = len(number) + len(command) + len(length) + 3
            end = start + int(length) + (length != b"0")
            if len(self._data) < end:
                return
            body, self._data = self._data[start : end - 1], self._data[end:]
            if command == b"syslog":
                self._frames.append(body)
                self._transport.write(b"%b rsp 6 200 OK\n" % number)
            elif command == b"open":
                reply = b"200 OK\nrelp_version=0\ncommands=syslog"
                self._transport.write(b"%b rsp %d %b\n" % (number, len(reply), reply))
            else:
                self._transport.write(b"%b rsp 0\n0 serverclose 0\n" % number)
                self._transport.close()


@pytest.mark.parametrize("window", [128, 10_000])
async def test_relp(tmp_path: Path, window: int) -> None:
    received: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(lambda: Relp(received), "127.0.0.1", 0)
    async with server:
        action = relp(server.sockets[0].getsockname()[1], window=window)
        frames = await asyncio.to_thread(forward, tmp_path, action, FORWARD)
    assert received == frames
    assert len(frames) == len(LINES)


def test_a_configuration_that_rsyslogd_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="does not start"), Rsyslog(tmp_path, "type='nonsense", rate=1):
        pass
