"""Real sockets on loopback, a real journal, a store in memory: what arrives is stored, acknowledged, held back, drained."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import zlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest

from logsink.errors import ConfigError
from logsink.flags import Flag
from logsink.journal.fill import FRAME_OVERHEAD, ORIGIN_OVERHEAD, READ_OVERHEAD
from logsink.journal.writer import Journal
from logsink.kinds import Address
from logsink.net import stream
from logsink.net.intake import Intake
from logsink.net.relp import RelpConnection
from logsink.net.tcp import TcpConnection
from logsink.net.udp import MOST, UdpListener
from logsink.wire.datagrams import REMEMBERED
from tests.support.bench import MAX, Bench, close, connected, make, until

IP_PKTINFO = 8
"""Of Linux: which address a datagram is sent from."""

OPEN = b"1 open 30 relp_version=0\ncommands=syslog\n"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = await make()
    yield bench
    await close(bench)


async def test_tcp_frames_of_one_connection(bench: Bench) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", await bench.listen(TcpConnection))
    writer.write(b"<13>one\n8 <13>two\n<13>three")
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await bench.intake.empty.wait()
    assert await bench.rows() == [
        (b"<13>one", 0, "127.0.0.1", "tcp"),
        (b"<13>two", 0, "127.0.0.1", "tcp"),
        (b"<13>three", 0, "127.0.0.1", "tcp"),
    ]


async def test_what_comes_in_small_pieces_and_fast_is_read_together(bench: Bench) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", await bench.listen(TcpConnection))
    (connection,) = await connected(bench, 1)
    sent = 0
    async with asyncio.timeout(20):
        while not connection._holds:  # two reads came close enough
            writer.write(b"<13>%d\n" % sent)
            sent += 1
            await asyncio.sleep(0)
    writer.write(b"<13>%d\n" % sent)
    await until(lambda: not connection._holds)
    writer.write_eof()
    await bench.intake.empty.wait()
    writer.close()
    assert [row[0] for row in await bench.rows()] == [b"<13>%d" % n for n in range(sent + 1)]


@pytest.mark.parametrize(
    ("due", "at"),
    [(0.0, 7.02), (6.9, 7.02), (7.001, 7.02), (7.002, 7.001), (7.015, 7.012), (7.035, 7.032), (8.0, 7.02)],
)
def test_what_comes_fast_is_read_in_time_for_its_fill(due: float, at: float) -> None:
    intake = Intake(max_message=MAX, max_connections=1, memory_limit=1 << 20)
    intake.attach(cast(Journal, SimpleNamespace(due=due)))
    assert intake.next_read(7.0) == pytest.approx(at)


async def test_a_read_that_fills_the_buffer_is_followed_by_the_next_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.intake.lull = 3600.0
    monkeypatch.setattr(stream, "READ", 1)
    _, writer = await asyncio.open_connection("127.0.0.1", await bench.listen(TcpConnection))
    (connection,) = await connected(bench, 1)
    for n in range(100):
        writer.write(b"<13>%d\n" % n)
        await asyncio.sleep(0)
        assert not connection._holds
    writer.close()
    await bench.intake.empty.wait()
    assert len(await bench.rows()) == 100


async def test_tcp_reset_inside_a_counted_frame_keeps_and_flags_it(bench: Bench) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", await bench.listen(TcpConnection))
    (connection,) = await connected(bench, 1)
    writer.write(b"20 <13>half")
    await until(lambda: connection._session.carry)
    writer.transport.abort()
    await bench.intake.empty.wait()
    assert await bench.rows() == [(b"<13>half", Flag.INCOMPLETE, "127.0.0.1", "tcp")]


async def test_connections_beyond_the_limit_are_closed_at_once() -> None:
    bench = await make(max_connections=1)
    port = await bench.listen(TcpConnection)
    _, first = await asyncio.open_connection("127.0.0.1", port)
    await connected(bench, 1)
    reader, second = await asyncio.open_connection("127.0.0.1", port)
    try:
        assert await reader.read() == b""
    except ConnectionResetError:
        assert len(bench.intake.connections) == 1
    first.write(b"<13>still here\n")
    first.close()
    await bench.intake.empty.wait()
    assert [frame for frame, *_ in await bench.rows()] == [b"<13>still here"]
    second.close()
    await close(bench)


async def test_memory_limit_holds_the_sender_back_and_loses_nothing() -> None:
    bench = await make(memory_limit=1 << 16)
    bench.store.free.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", await bench.listen(TcpConnection))
    frames = [b"<13>%06d " % i + b"x" * 90 for i in range(40_000)]
    writer.write(b"\n".join(frames) + b"\n")
    writer.write_eof()
    await until(lambda: bench.intake.waits("127.0.0.1"))
    held = bench.journal.unstored
    assert held < (1 << 16) + 2 * len(bench.intake.buffer)
    bench.store.free.set()
    async with asyncio.timeout(20):
        await bench.intake.empty.wait()
    assert [frame for frame, *_ in await bench.rows()] == frames
    writer.close()
    await close(bench)


async def test_unfinished_frames_past_their_share_are_cut_largest_first() -> None:
    bench = await make(memory_limit=1 << 14, max_message=MAX)  # a quarter of it: 4096 octets of unfinished frames
    port = await bench.listen(TcpConnection)
    _, small = await asyncio.open_connection("127.0.0.1", port)
    _, large = await asyncio.open_connection("127.0.0.1", port)
    small.write(b"<13>small " + b"s" * 1500)
    large.write(b"<13>large " + b"l" * 3000)
    await until(lambda: bench.released)
    large.write(b"l\n<13>next\n")
    small.write(b"s\n")
    for writer in (large, small):
        writer.write_eof()
        writer.close()
    await bench.intake.empty.wait()
    rows = sorted((frame[:9], len(frame), flags) for frame, flags, *_ in await bench.rows())
    assert rows == [
        (b"<13>large", 3010, Flag.TRUNCATED),
        (b"<13>next", 8, 0),
        (b"<13>small", 1511, 0),
    ]
    await close(bench)


async def test_one_frame_of_max_message_is_never_cut() -> None:
    bench = await make(memory_limit=4 * MAX, max_message=MAX)
    frame = b"<13>" + b"x" * (MAX - 4)
    reader, relp = await asyncio.open_connection("127.0.0.1", await bench.listen(RelpConnection))
    relp.write(OPEN + b"2 syslog %d " % MAX + frame)
    await reader.readuntil(b"commands=syslog\n")
    await until(lambda: bench.intake._unfinished_total > MAX)
    relp.write(b"\n")
    assert await reader.readuntil(b"200 OK\n") == b"2 rsp 6 200 OK\n"
    _, tcp = await asyncio.open_connection("127.0.0.1", await bench.listen(TcpConnection))
    tcp.write(frame + b"\r")
    await until(lambda: bench.intake._unfinished_total > MAX)
    tcp.write(b"\n")
    for writer in (relp, tcp):
        writer.close()
    await bench.intake.empty.wait()
    assert [(one, flags & Flag.TRUNCATED) for one, flags, *_ in await bench.rows()] == [(frame, 0), (frame, 0)]
    await close(bench)


async def test_relp_is_acknowledged_only_when_stored(bench: Bench) -> None:
    bench.store.free.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", await bench.listen(RelpConnection))
    writer.write(OPEN)
    answer = await reader.readuntil(b"commands=syslog\n")
    assert answer.startswith(b"1 rsp ")
    assert b" 200 OK\nrelp_version=0\n" in answer
    writer.write(b"2 syslog 7 <13>one\n3 syslog 0\n4 syslog 8 <13>two\n\n")
    await until(lambda: bench.journal.unstored)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.read(1)
    bench.store.free.set()
    expected = b"2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 6 200 OK\n"
    assert await reader.readexactly(len(expected)) == expected
    writer.write(b"5 close 0\n")
    assert await reader.read() == b"5 rsp 0\n0 serverclose 0\n"
    writer.close()
    assert [row[0] for row in await bench.rows()] == [b"<13>one", b"<13>two"]


async def test_relp_client_that_never_reads_is_not_read_from_for_ever(bench: Bench) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", await bench.listen(RelpConnection)))
    await loop.sock_sendall(sock, OPEN)
    (connection,) = await connected(bench, 1)
    numbers = iter(range(2, 10_000_000))

    async def flood() -> None:
        while True:
            await loop.sock_sendall(sock, b"".join(b"%d syslog 1 x\n" % next(numbers) for _ in range(5000)))

    sender = asyncio.create_task(flood())
    await until(lambda: connection._holds)
    for _ in range(1000):  # turns of the loop in which the flood could go on, if it were read
        await asyncio.sleep(0)
    assert not sender.done()
    assert connection.transport.get_write_buffer_size() < 4 << 20
    sender.cancel()
    await asyncio.gather(sender, return_exceptions=True)
    sock.close()


async def test_relp_drain_acknowledges_what_is_stored_and_says_serverclose(bench: Bench) -> None:
    bench.store.free.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", await bench.listen(RelpConnection))
    writer.write(OPEN + b"2 syslog 7 <13>one\n")
    await reader.readuntil(b"commands=syslog\n")
    await until(lambda: bench.journal.unstored)
    bench.intake.drain()
    writer.write(b"3 syslog 7 <13>two\n")
    bench.store.free.set()
    assert await reader.read() == b"2 rsp 6 200 OK\n0 serverclose 0\n"
    writer.close()
    assert [row[0] for row in await bench.rows()] == [b"<13>one"]


async def test_tcp_drain_half_closes_and_reads_to_the_end(bench: Bench) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", await bench.listen(TcpConnection))
    await connected(bench, 1)
    bench.intake.drain()
    assert await reader.read() == b""
    writer.write(b"<13>on its way\n")
    writer.write_eof()
    await bench.intake.empty.wait()
    writer.close()
    assert [row[0] for row in await bench.rows()] == [b"<13>on its way"]


async def test_udp_datagrams_with_their_senders(bench: Bench) -> None:
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    target = listener.socket.getsockname()
    bodies = [
        b"<13>plain",
        b"<13>lf\n",
        b"<13>crlf\r\n",
        b"<13>nul\0",
        b"\n",
        b"",
        b"<1>two\n<2>lines",
        b"y" * (MAX + 9),
    ]
    for source in ("127.0.0.1", "127.0.0.2"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            for body in bodies:
                sender.sendto(body, target)
    await until(lambda: bench.journal.unstored or bench.released)
    async with asyncio.timeout(20):
        while len(await bench.rows()) < 12:  # noqa: ASYNC110
            await asyncio.sleep(0)
    expected = [b"<13>plain", b"<13>lf", b"<13>crlf", b"<13>nul", b"<1>two\n<2>lines", b"y" * MAX]
    rows = await bench.rows()
    for source in ("127.0.0.1", "127.0.0.2"):
        assert [row[0] for row in rows if row[2] == source] == expected
    assert {row[1] for row in rows if row[0].startswith(b"y")} == {Flag.TRUNCATED}
    listener.close()


@pytest.mark.parametrize(
    ("listen", "family", "source", "shown"),
    [
        ("::1", socket.AF_INET6, "::1", "::1"),
        ("::", socket.AF_INET6, "::1", "::1"),
        ("::", socket.AF_INET, "127.0.0.2", "127.0.0.2"),
        ("0.0.0.0", socket.AF_INET, "127.0.0.2", "127.0.0.2"),
        ("localhost", socket.AF_INET, "127.0.0.1", "127.0.0.1"),
    ],
)
async def test_udp_over_both_internets(
    bench: Bench, listen: str, family: socket.AddressFamily, source: str, shown: str
) -> None:
    listener = await UdpListener.bound(bench.intake, Address(listen, 0))
    if listen == "localhost":
        family = listener.socket.family
        source = shown = "::1" if family == socket.AF_INET6 else source
    port = listener.socket.getsockname()[1]
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        for n in range(3):
            sender.sendto(b"<13>%d" % n, (source, port))
    async with asyncio.timeout(20):
        while len(await bench.rows()) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert [(row[0], row[2]) for row in await bench.rows()] == [(b"<13>%d" % n, shown) for n in range(3)]
    listener.close()


async def test_udp_fast_and_much_is_all_there(bench: Bench) -> None:
    """More than is received at a time, from senders in turn, some of it while the socket is not read."""
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    sent: dict[str, list[bytes]] = {"127.0.0.1": [], "127.0.0.2": []}
    with contextlib.ExitStack() as stack:
        senders = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in sent]
        for sender, source in zip(senders, sent, strict=True):
            sender.bind((source, 0))
        for n in range(3 * MOST):
            which = n * n % 7 % 2
            body = b"<13>%d" % n + b"x" * (n % 100)
            senders[which].sendto(body, listener.socket.getsockname())
            list(sent.values())[which].append(body)
            if n % 50 == 0:
                await asyncio.sleep(0)
    async with asyncio.timeout(20):
        while len(await bench.rows()) < 3 * MOST:  # noqa: ASYNC110
            await asyncio.sleep(0)
    rows = await bench.rows()
    for source, bodies in sent.items():
        assert [row[0] for row in rows if row[2] == source] == bodies
    listener.close()


async def test_udp_that_has_arrived_when_it_closes_is_taken(bench: Bench) -> None:
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for n in range(MOST + 9):
            sender.sendto(b"<13>%d" % n, listener.socket.getsockname())
        listener.close()
    assert [row[0] for row in await bench.rows()] == [b"<13>%d" % n for n in range(MOST + 9)]


async def test_an_address_that_others_have_cannot_be_had(bench: Bench) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(ConfigError, match="the address is in use"):
            await UdpListener.bound(bench.intake, Address("127.0.0.1", other.getsockname()[1]))


async def test_udp_is_dropped_and_counted_at_the_memory_limit(bench: Bench) -> None:
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    bench.intake.pressure(True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"<13>lost", listener.socket.getsockname())
    await until(lambda: bench.intake.losses.total["memory"])
    assert await bench.rows() == []
    listener.close()


async def test_connections_of_one_address_beyond_its_limit_are_closed(caplog: pytest.LogCaptureFixture) -> None:
    bench = await make(max_per_sender=2)
    port = await bench.listen(TcpConnection)
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(2)]
    await connected(bench, 2)
    reader, third = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    await connected(bench, 2)
    assert "max_connections_per_sender 2 reached" in caplog.text
    _, other = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    await connected(bench, 3)
    writers[0].close()
    await connected(bench, 2)
    _, again = await asyncio.open_connection("127.0.0.1", port)
    await connected(bench, 3)
    for writer in (*writers, third, other, again):
        writer.close()
    await close(bench)


async def test_a_flood_waits_and_others_do_not() -> None:
    bench = await make(memory_limit=1 << 20)
    bench.store.free.clear()
    port = await bench.listen(TcpConnection)
    flood = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(3)]
    lines = [b"<13>flood %05d " % n + b"x" * 90 for n in range(20_000)]
    for writer in flood:
        writer.write(b"\n".join(lines) + b"\n")
    await until(lambda: bench.intake.waits("127.0.0.1"))
    held = bench.journal.unstored
    assert (1 << 19) < held < (1 << 19) + 3 * len(bench.intake.buffer)
    assert not bench.intake.paused
    _, late = await asyncio.open_connection("127.0.0.1", port)  # the same sender's: waits like the others
    late.write(b"<13>late\n")
    await connected(bench, 4)
    _, quiet = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    quiet.write(b"<13>quiet\n")
    await until(lambda: bench.journal.unstored > held)
    assert bench.journal.unstored == held + len(b"<13>quiet") + FRAME_OVERHEAD + READ_OVERHEAD + ORIGIN_OVERHEAD
    bench.store.free.set()
    for writer in (*flood, late, quiet):
        writer.write_eof()
    async with asyncio.timeout(30):
        await bench.intake.empty.wait()
    rows = [row[0] for row in await bench.rows()]
    assert sorted(rows) == sorted([*lines * 3, b"<13>late", b"<13>quiet"])
    for writer in (*flood, late, quiet):
        writer.close()
    await close(bench)


async def test_datagrams_beyond_the_senders_share_are_dropped_and_counted() -> None:
    bench = await make(memory_limit=1 << 20)
    bench.store.free.clear()
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    target = listener.socket.getsockname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood, socket.socket(type=socket.SOCK_DGRAM) as quiet:
        quiet.bind(("127.0.0.2", 0))
        sent = 0
        async with asyncio.timeout(20):
            while not bench.intake.losses.total["share"]:
                flood.sendto(b"<13>" + b"x" * 1000, target)
                sent += 1
                await asyncio.sleep(0)
        taken = bench.journal.taken
        quiet.sendto(b"<13>quiet", target)
        await until(lambda: bench.journal.taken > taken)
    bench.store.free.set()
    async with asyncio.timeout(20):
        while len(await bench.rows()) - 1 + bench.intake.losses.total["share"] < sent:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert [row[0] for row in await bench.rows() if row[2] == "127.0.0.2"] == [b"<13>quiet"]
    listener.close()
    await close(bench)


async def test_of_many_senders_in_one_read_only_those_that_wait_lose() -> None:
    bench = await make(memory_limit=1 << 20)
    bench.store.free.clear()
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    target = listener.socket.getsockname()
    sources = [f"127.0.1.{number}" for number in range(1, 100)]
    with contextlib.ExitStack() as stack:
        flood, *quiet = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(100))
        for sock, source in zip(quiet, sources, strict=True):
            sock.bind((source, 0))
        sent = 0
        async with asyncio.timeout(20):
            while not bench.intake.losses.total["share"]:
                flood.sendto(b"<13>" + b"x" * 1000, target)
                sent += 1
                await asyncio.sleep(0)
        for sock in quiet:  # in one read, with what is dropped in between
            sock.sendto(b"<13>plain", target)
            flood.sendto(b"<13>flood", target)
            sock.sendto(b"z" + zlib.compress(b"<13>inflated"), target)
        sent += len(quiet)
    bench.store.free.set()
    async with asyncio.timeout(20):
        while len(await bench.rows()) - 2 * len(quiet) + bench.intake.losses.total["share"] < sent:  # noqa: ASYNC110
            await asyncio.sleep(0)
    rows = [row for row in await bench.rows() if row[2] != "127.0.0.1"]
    assert sorted((row[2], row[0], row[1]) for row in rows) == sorted(
        (source, *frame) for source in sources for frame in ((b"<13>plain", 0), (b"<13>inflated", int(Flag.INFLATED)))
    )
    assert bench.intake.losses.total["memory"] == 0
    listener.close()
    await close(bench)


async def test_more_senders_than_are_remembered_keep_their_frames(bench: Bench) -> None:
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    target = listener.socket.getsockname()
    sources = [f"127.2.{number >> 8}.{number & 255}" for number in range(REMEMBERED + 300)]
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        for number, source in enumerate(sources):
            packed = struct.pack("=I4s4x", 0, socket.inet_aton(source))
            sock.sendmsg([source.encode()], [(socket.IPPROTO_IP, IP_PKTINFO, packed)], 0, target)
            if number % 100 == 0:
                await asyncio.sleep(0)
    async with asyncio.timeout(60):
        while len(await bench.rows()) < len(sources):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert [(row[0].decode(), row[2]) for row in await bench.rows()] == [(source, source) for source in sources]
    listener.close()


async def test_the_kernels_drops_are_counted(bench: Bench) -> None:
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    sock = listener.socket
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(200):  # without a turn of the loop, so nothing is read meanwhile
            sender.sendto(b"<13>" + b"x" * 1000, sock.getsockname())
    bench.intake.losses.refresh()
    lost = bench.intake.losses.total["kernel"]
    assert lost
    async with asyncio.timeout(20):
        while len(await bench.rows()) < 200 - lost:  # noqa: ASYNC110
            await asyncio.sleep(0)
    bench.intake.losses.refresh()
    assert bench.intake.losses.total["kernel"] == lost
    assert len(await bench.rows()) == 200 - lost
    listener.close()
