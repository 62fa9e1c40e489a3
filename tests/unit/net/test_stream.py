"""What stands before the syslog on a connection: PROXY headers, what does not belong there, compression."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from logsink import telemetry
from logsink.config import Tls
from logsink.flags import Flag
from logsink.journal.fill import FRAME_OVERHEAD
from logsink.kinds import Address
from logsink.net.intake import READ
from logsink.net.rates import Rates
from logsink.net.relp import RelpConnection
from logsink.net.stream import TURN, Port, StreamConnection
from logsink.net.tcp import TcpConnection
from logsink.net.tls import Certificates
from logsink.net.udp import UdpListener
from tests.support.bench import MAX, Bench, close, connected, make, until
from tests.support.certificates import Authority

LISTED = (ipaddress.ip_network("127.0.0.0/8"),)
OPEN = b"1 open 30 relp_version=0\ncommands=syslog\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 514\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"
    + socket.inet_aton("192.0.2.7")
    + socket.inet_aton("127.0.0.1")
    + b"\x9c\x40\x02\x02"
)
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = await make()
    yield bench
    await close(bench)


async def listen(bench: Bench, port: Port, connection: type[StreamConnection] = TcpConnection) -> int:
    return await bench.listen(lambda intake: connection(intake, port))  # type: ignore[call-arg, arg-type]


def rejected(kind: str, transport: str = "tcp") -> float:
    labels = {"transport": transport, "kind": kind}
    return telemetry.REGISTRY.get_sample_value("logsink_connections_rejected_total", labels) or 0.0


async def send(bench: Bench, port: int, *reads: bytes, whole: bool = True) -> bytes:
    """Connect, send, end; what the server answered. ``whole`` False: it may close before all is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with contextlib.nullcontext() if whole else contextlib.suppress(ConnectionError):
        for read in reads:
            writer.write(read)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof()
        answer = await reader.read()
    writer.close()
    async with asyncio.timeout(20):
        await bench.intake.empty.wait()
    return answer


# --- PROXY headers


@pytest.mark.parametrize(
    ("header", "sender"),
    [(V1, "192.0.2.7"), (V2, "192.0.2.7"), (LOCAL, "127.0.0.1"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")],
)
async def test_the_client_of_a_listed_load_balancer_is_the_sender(bench: Bench, header: bytes, sender: str) -> None:
    port = await listen(bench, Port(proxies=LISTED))
    for reads in ((header + b"<13>one\n",), (header, b"<13>one\n"), [bytes([o]) for o in header + b"<13>one\n"]):
        await send(bench, port, *reads)
    assert await bench.rows() == [(b"<13>one", 0, sender, "tcp")] * 3


async def test_a_proxy_header_before_tls(bench: Bench, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("sink.example.com")
    tls = Tls(cert=str(server.cert), key=str(server.key), client_ca=None, permitted_peers=())
    port = await listen(bench, Port(Certificates(tls), proxies=LISTED))
    for header in (V1, V2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(header)
        await writer.start_tls(authority.client(), server_hostname="sink.example.com")
        writer.write(b"<13>one\n")
        writer.close()
        await writer.wait_closed()
        assert await reader.read() == b""
    await bench.intake.empty.wait()
    assert await bench.rows() == [(b"<13>one", 0, "192.0.2.7", "tls")] * 2


async def test_a_proxy_header_before_relp(bench: Bench) -> None:
    port = await listen(bench, Port(proxies=LISTED), RelpConnection)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(V1 + OPEN + b"2 syslog 7 <13>one\n3 close 0\n")
    assert (await reader.read()).endswith(b"\n2 rsp 6 200 OK\n3 rsp 0\n0 serverclose 0\n")
    writer.close()
    assert [row[::2] for row in await bench.rows()] == [(b"<13>one", "192.0.2.7")]


@pytest.mark.parametrize("sent", [b"<13>one\n", V1[:-2] + b"\n<13>one\n", V2[:12] + b"\x11" + V2[13:]])
async def test_a_listed_load_balancer_without_a_header_is_closed(bench: Bench, sent: bytes) -> None:
    port, before = await listen(bench, Port(proxies=LISTED)), rejected("no_proxy_header")
    await send(bench, port, sent, whole=False)
    assert rejected("no_proxy_header") == before + 1
    assert await bench.rows() == []


async def test_a_header_has_a_time_limit(bench: Bench) -> None:
    port, before = await listen(bench, Port(proxies=LISTED, opening_timeout=0.05)), rejected("proxy_timeout")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(V1[:9])
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    await bench.intake.empty.wait()
    assert rejected("proxy_timeout") == before + 1
    writer.close()


async def test_a_check_by_the_load_balancer_is_no_failure(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    port = await listen(bench, Port(proxies=LISTED))
    for sent in (b"", LOCAL, V2[:20]):
        await send(bench, port, sent)
    assert caplog.records == []


# --- what does not belong here


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (V1, "proxy"),
        (V2, "proxy"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh"),
        (OPEN, "relp"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls"),
    ],
)
async def test_foreign_protocols_are_closed_counted_and_explained_once(
    bench: Bench, sent: bytes, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    port, before = await listen(bench, Port()), rejected(kind)
    for reads in ((sent,), [bytes([o]) for o in sent], (sent, b"<13>more\n")):
        await send(bench, port, *reads, whole=False)
    assert rejected(kind) == before + 3
    assert len([r for r in caplog.records if "127.0.0.1" in r.getMessage()]) == 1
    assert await bench.rows() == []


async def test_syslog_on_the_relp_port(bench: Bench) -> None:
    port, before = await listen(bench, Port(), RelpConnection), rejected("syslog", "relp")
    await send(bench, port, b"<13>one\n", whole=False)
    assert rejected("syslog", "relp") == before + 1


@pytest.mark.parametrize("sent", [b"GET", b"1 open 86", b"PROXY ", b"SSH-", b"x", b"x^2", b"\x28", b"12"])
async def test_what_only_resembles_something_is_kept_when_the_connection_ends(bench: Bench, sent: bytes) -> None:
    await send(bench, await listen(bench, Port()), sent)
    assert [row[0] for row in await bench.rows()] == [sent]


async def test_only_the_first_octets_are_judged(bench: Bench) -> None:
    lines = [b"<13>first", b"GET / HTTP/1.1", b"SSH-2.0-x", b"1 open 86 relp_version=0"]
    await send(bench, await listen(bench, Port()), b"\r\n".join(lines) + b"\n")
    assert [row[0] for row in await bench.rows()] == lines


async def test_undecided_octets_count_as_unfinished_and_can_be_cut(bench: Bench) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", await listen(bench, Port()))
    (connection,) = await connected(bench, 1)
    writer.write(b"GET /" + b"x" * 95)
    await until(lambda: bench.intake._unfinished)
    assert bench.intake._unfinished == {connection: 100}
    connection.cut()
    writer.write(b"yy HTTP/1.1\r\n<13>next\n")
    writer.close()
    await bench.intake.empty.wait()
    rows = [(row[0], row[1]) for row in await bench.rows()]
    assert rows == [(b"GET /" + b"x" * 95, Flag.TRUNCATED), (b"<13>next", 0)]


# --- compression


LINES = [b"<13>%05d " % n + b"x" * 90 for n in range(5000)]


def packed(data: bytes, finish: bool = True) -> bytes:
    stream = zlib.compressobj(9)
    return stream.compress(data) + stream.flush(zlib.Z_FINISH if finish else zlib.Z_SYNC_FLUSH)


def zstd(data: bytes) -> bytes:
    try:
        from compression.zstd import compress
    except ImportError:
        from backports.zstd import compress
    return bytes(compress(data))


@pytest.mark.parametrize("pack", [packed, zstd, lambda data: packed(data, finish=False)])
async def test_compressed_streams(bench: Bench, pack) -> None:  # type: ignore[no-untyped-def]
    port, data = await listen(bench, Port()), pack(b"\n".join(LINES) + b"\n<13>tail")
    await send(bench, port, data)
    assert [row[0] for row in await bench.rows()] == [*LINES, b"<13>tail"]


async def test_compressed_streams_in_small_reads(bench: Bench) -> None:
    data = packed(b"\n".join(LINES[:50]) + b"\n")
    await send(bench, await listen(bench, Port()), *[data[i : i + 3] for i in range(0, len(data), 3)])
    assert [row[0] for row in await bench.rows()] == LINES[:50]


async def test_a_compressed_stream_that_breaks_keeps_what_was_before(bench: Bench) -> None:
    before = rejected("compression")
    data = packed(b"\n".join(LINES[:50]) + b"\n<13>half a li", finish=False) + b"\xff" * 50
    await send(bench, await listen(bench, Port()), data, whole=False)
    assert rejected("compression") == before + 1
    assert [row[0] for row in await bench.rows()] == [*LINES[:50], b"<13>half a li"]


async def test_a_compressed_stream_that_is_cut_off_keeps_what_there_is(bench: Bench) -> None:
    data = packed(b"\n".join(LINES) + b"\n")
    await send(bench, await listen(bench, Port()), data[: len(data) // 2])
    rows = [row[0] for row in await bench.rows()]
    assert len(rows) > 1000
    assert rows[:-1] == LINES[: len(rows) - 1]
    assert LINES[len(rows) - 1].startswith(rows[-1])


async def test_a_compressed_stream_that_expands_too_much_is_closed(bench: Bench) -> None:
    before = rejected("inflation")
    port = await listen(bench, Port(max_inflation=20))
    await send(bench, port, packed(b"<13>" + b"x" * 90 + b"\n" + b"y\n" * (16 << 20)), whole=False)
    assert rejected("inflation") == before + 1
    rows = [row[0] for row in await bench.rows()]
    assert rows[0] == b"<13>" + b"x" * 90
    assert len(rows) > 1000


@pytest.mark.parametrize("ending", ["while held", "afterwards"])
async def test_a_held_back_compressed_stream_is_inflated_later_and_whole(ending: str) -> None:
    """Sixteen times the memory limit, in a few kilobytes: it waits as what it is."""
    bench = await make(memory_limit=1 << 18, max_message=MAX)
    bench.store.free.clear()
    lines = [b"<13>%05d " % n + b"x" * 1000 for n in range(4000)]
    _, writer = await asyncio.open_connection("127.0.0.1", await listen(bench, Port()))
    writer.write(packed(b"\n".join(lines) + b"\n<13>tail"))
    await until(lambda: bench.intake.waits("127.0.0.1"))
    if ending == "while held":
        writer.write_eof()
        for _ in range(100):
            await asyncio.sleep(0)
    assert bench.journal.unstored < (1 << 18) + 2 * len(bench.intake.buffer)
    bench.store.free.set()
    if ending == "afterwards":
        writer.write_eof()
    async with asyncio.timeout(30):
        await bench.intake.empty.wait()
    assert [row[0] for row in await bench.rows()] == [*lines, b"<13>tail"]
    writer.close()
    await close(bench)


async def test_a_held_back_compressed_stream_that_is_aborted_is_still_inflated() -> None:
    bench = await make(memory_limit=1 << 18, max_message=MAX)
    bench.store.free.clear()
    lines = [b"<13>%05d " % n + b"x" * 1000 for n in range(4000)]
    _, writer = await asyncio.open_connection("127.0.0.1", await listen(bench, Port()))
    writer.write(packed(b"\n".join(lines) + b"\n"))
    await until(lambda: bench.intake.waits("127.0.0.1"))
    (connection,) = await connected(bench, 1)
    connection.abort()
    async with asyncio.timeout(30):
        await bench.intake.empty.wait()
    bench.store.free.set()
    assert [row[0] for row in await bench.rows()] == lines
    writer.close()
    await close(bench)


async def test_a_compressed_stream_waits_where_it_becomes_too_much_too_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short frames count for what they take of the memory, which is more than their octets."""
    bench = await make(memory_limit=1 << 26, max_message=MAX)
    asked: list[int] = []

    def take(_: str | None, octets: int, __: float) -> float:
        asked.append(octets)
        return 0.001

    monkeypatch.setattr(bench.intake.rates, "take", take)
    limited = telemetry.INFLATION_LIMITED.labels("stream")._value.get
    before, data = limited(), b"<13>x\n" * 400_000
    await send(bench, await listen(bench, Port()), packed(data))
    assert len(await bench.rows()) == 400_000
    assert len(asked) >= len(data) // READ
    assert sum(asked) >= 400_000 * (len(b"<13>x") + FRAME_OVERHEAD)
    assert limited() == before + len(asked)
    await close(bench)


async def test_a_stream_that_is_aborted_is_inflated_so_far_and_no_further() -> None:
    bench = await make(memory_limit=1 << 18, max_message=MAX)
    bench.store.free.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", await listen(bench, Port()))
    writer.write(packed(b"<13>" + b"x" * 95 + b"\n" + b"y" * 99 + b"\n" + (b"z" * 99 + b"\n") * 400_000))
    await until(lambda: bench.intake.waits("127.0.0.1"))
    (connection,) = await connected(bench, 1)
    connection.abort()
    async with asyncio.timeout(30):
        await bench.intake.empty.wait()
    assert bench.journal.taken <= TURN + (1 << 20)
    bench.store.free.set()
    writer.close()
    await close(bench)


async def test_streams_that_look_back_too_far_are_closed(bench: Bench) -> None:
    """Of 4 MiB, the limit of this bench, one sender's streams get a quarter."""
    before = rejected("inflation_memory")
    port = await listen(bench, Port())
    line = b"<13>" + b"x" * 1000 + b"\n"
    await send(bench, port, zstd(line * 800))
    assert rejected("inflation_memory") == before
    await send(bench, port, zstd(line * 4000), whole=False)
    assert rejected("inflation_memory") == before + 1
    assert (bench.intake.windows._held, bench.intake.windows._total) == ({}, 0)
    await send(bench, port, zstd(line * 800))


async def test_datagrams_that_become_too_much_too_fast_stay_compressed(bench: Bench) -> None:
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    bench.intake.rates = Rates(1)
    limited = telemetry.INFLATION_LIMITED.labels("datagram")._value.get
    before, body = limited(), b"<13>" + b"x" * 996
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.2", 0))
        for sock in (one, one, one, one, one, other):
            sock.sendto(z(body), listener.socket.getsockname())
    async with asyncio.timeout(20):
        while len(await bench.rows()) < 6:  # noqa: ASYNC110
            await asyncio.sleep(0)
    rows = await bench.rows()
    assert (body, int(Flag.INFLATED), "127.0.0.2", "udp") in rows
    kept = [row for row in rows if row[0] == z(body)]
    assert len(kept) == 4
    assert {row[1] for row in kept} == {0}
    assert limited() == before + len(kept)
    listener.close()


def z(message: bytes) -> bytes:
    return b"z" + zlib.compress(message, 9)


async def test_compressed_messages_over_tcp(bench: Bench) -> None:
    messages = [b"<13>%05d " % n + b"x" * (n % 700) for n in range(2000)]
    frames = [z(m) if n % 3 else m for n, m in enumerate(messages)]
    await send(bench, await listen(bench, Port()), b"".join(b"%d %b" % (len(f), f) for f in frames))
    expected = [(m, Flag.INFLATED if n % 3 else 0) for n, m in enumerate(messages)]
    assert [row[:2] for row in await bench.rows()] == expected


async def test_compressed_messages_over_udp(bench: Bench) -> None:
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    ends_like_a_line = next(m for m in (b"<13>%d" % n for n in range(100_000, 200_000)) if z(m).endswith(b"\n"))
    bodies = [z(b"<13>one\n"), b"zebra\n", z(b"y" * (MAX + 9)), b"zx\x9cbroken\n", z(ends_like_a_line), b"<13>plain\n"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for body in bodies:
            sender.sendto(body, listener.socket.getsockname())
    async with asyncio.timeout(20):
        while len(await bench.rows()) < len(bodies):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert [row[:2] for row in await bench.rows()] == [
        (b"<13>one", Flag.INFLATED),
        (b"zebra", 0),
        (b"y" * MAX, Flag.INFLATED | Flag.TRUNCATED),
        (b"zx\x9cbroken", 0),
        (ends_like_a_line, Flag.INFLATED),
        (b"<13>plain", 0),
    ]
    listener.close()
