"""RELP clients that are many, slow, deaf or lie: memory stays bounded, and a client that behaves is served as ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receiver import Receiver, found_once, query_frames, until
from tests.support.relp_client import RelpClient

MIB = 1 << 20
OPEN = b"1 open 30 relp_version=0\ncommands=syslog\n"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    settings = {"journal__ack_delay": "5ms", "receive__max_connections_per_sender": "5000"}
    with Receiver(f"file://{tmp_path}/store", tmp_path / "serve", **settings) as receiver:
        assert "LimitNOFILE" not in receiver.log
        yield receiver
    assert receiver.exit_code == 0, receiver.log


async def well(receiver: Receiver, name: str) -> list[bytes]:
    """A client that behaves: what it sends is acknowledged."""
    client = RelpClient(receiver.port("relp"))
    sent = [b"<13>1 - web %b - - - message %d" % (name.encode(), n) for n in range(500)]
    async with asyncio.timeout(30):
        await client.send(*sent)
        await client.close()
    assert client.acknowledged == sent
    return sent


async def test_two_thousand_connections(receiver: Receiver) -> None:
    sent = await well(receiver, "first")  # what is needed for any connection is there
    before, clients = receiver.resident, [RelpClient(receiver.port("relp")) for _ in range(2000)]
    for start in range(0, len(clients), 100):  # no more at a time than the backlog takes
        await asyncio.gather(
            *(client.send(b"<13>hello from %d" % id(client)) for client in clients[start : start + 100])
        )
    await until(lambda: receiver.metric("logsink_connections") >= len(clients))
    for turn in range(5):
        await asyncio.gather(*(client.send(b"<13>turn %d of %d" % (turn, id(client))) for client in clients))
        await asyncio.gather(*(client.settle() for client in clients))
    assert receiver.resident - before < len(clients) * 20_000 + 64 * MIB
    sent += await well(receiver, "well")
    await asyncio.gather(*(client.close() for client in clients))
    for client in clients:
        assert client.sessions == 1
        assert client.acknowledged == client.sent
        sent += client.sent
    assert receiver.stop() == 0
    found_once(receiver.store, sent)


async def test_a_client_that_never_reads_its_acknowledgements(receiver: Receiver) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # or the kernel holds hundreds of thousands of them
    sock.connect(("127.0.0.1", receiver.port("relp")))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    before, piece, count = receiver.resident, 10_000, 0
    writer.write(OPEN)
    try:
        while True:
            numbers = range(count, count + piece)
            writer.write(b"".join(b"%d syslog 13 <13>%09d\n" % (n + 2, n) for n in numbers))
            count += piece
            async with asyncio.timeout(3):
                await until(lambda count=count: receiver.metric("logsink_frames_total") >= count)
    except TimeoutError:
        pass  # nothing more is read from it
    assert receiver.resident - before < 256 * MIB
    sent = await well(receiver, "well")
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    expected = 2
    async for line in reader:
        if line.endswith(b" rsp 6 200 OK\n"):
            assert line == b"%d rsp 6 200 OK\n" % expected
            expected += 1
            if expected == count + 2:
                break
    writer.write(b"%d close 0\n" % (count + 2))
    assert await reader.readline() == b"%d rsp 0\n" % (count + 2)
    writer.close()
    assert receiver.stop() == 0
    found_once(receiver.store, sent + [b"<13>%09d" % n for n in range(count)])


async def test_a_byte_a_second(receiver: Receiver) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port("relp"))
    sent = []
    for n, octet in enumerate(OPEN + b"2 syslog 9 <13>hello\n3 close 0\n"):
        writer.write(bytes([octet]))
        if n in (0, 10, len(OPEN), len(OPEN) + 12):
            sent += await well(receiver, f"well{n}")
        else:
            await asyncio.sleep(0.01)
    *_, last = [line async for line in reader]
    assert last == b"0 serverclose 0\n"
    writer.close()
    assert receiver.stop() == 0
    found_once(receiver.store, [*sent, b"<13>hello"])


async def test_clients_that_claim_a_gigabyte(receiver: Receiver) -> None:
    """Fifty of them, and each sends 4 MiB of it."""
    before, writers = receiver.resident, []
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", receiver.port("relp"))
        writer.write(OPEN + b"2 syslog 999999999 <13>huge ")
        writers.append(writer)
    for _ in range(4):
        for writer in writers:
            writer.write(bytes(MIB))
        await asyncio.gather(*(writer.drain() for writer in writers))
    sent = await well(receiver, "well")
    await until(lambda: receiver.metric("logsink_discarded_bytes_total") >= len(writers) * 3 * MIB)
    assert receiver.resident - before < 192 * MIB
    for writer in writers:
        writer.close()
    await until(lambda: receiver.metric("logsink_connections") == 0)
    assert receiver.stop() == 0
    huge = b"<13>huge " + bytes(256 * 1024 - 9)
    found_once(receiver.store, sent + [huge] * len(writers))


FEW = 512
"""Files that a receiver may open, for tests of what happens when clients want more."""


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver with ``FEW`` files."""
    limits = ["prlimit", f"--nofile={FEW}:{FEW}", "--"]
    receiver = Receiver(f"file://{tmp_path}/store", tmp_path / "serve", receive__max_connections_per_sender="100000")
    receiver.command = [*limits, *receiver.command]
    with receiver:
        yield receiver
    assert receiver.exit_code == 0, receiver.log
    assert "Traceback" not in receiver.log
    assert len(receiver.log) < 20_000


async def half_open(port: int, sent: bytes, count: int) -> list[asyncio.StreamWriter]:
    """Clients that send that and nothing more. The receiver may close them."""
    writers = []
    for _ in range(count // 100):
        for reader, writer in await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(100))):
            writer.write(sent)
            writers.append(writer)
            reader._transport.pause_reading()  # type: ignore[attr-defined]
    return writers


@pytest.mark.parametrize(("kind", "sent"), [("http", b"GET /metrics HTT"), ("tcp", b"<13>half"), ("relp", OPEN[:9])])
async def test_no_number_of_connections_stops_acknowledgements(kind: str, sent: bytes, narrow: Receiver) -> None:
    client = RelpClient(narrow.port("relp"))  # it was there before
    await client.send(b"<13>1 - web a - - - first")
    await client.settle()
    writers = await half_open(narrow.port(kind), sent, 3000)
    frames = [b"<13>1 - web a - - - message %d" % n for n in range(500)]
    async with asyncio.timeout(30):
        await client.send(*frames)
        await client.settle()
        assert (await asyncio.to_thread(narrow.readiness))[0] == 200
        if kind == "http":
            frames += await well(narrow, "another")  # HTTP takes no connection away from senders
    for writer in writers:
        writer.transport.abort()
    await until(lambda: narrow.metric("logsink_connections") <= 1)
    frames += await well(narrow, "after")
    await client.close()
    assert narrow.stop() == 0
    halves = 0 if kind != "tcp" else len(query_frames(narrow.store)) - len(frames) - 1
    found_once(narrow.store, [*frames, b"<13>1 - web a - - - first", *[b"<13>half"] * halves])


async def test_garbage_is_a_few_lines_in_the_log(receiver: Receiver) -> None:
    """Connections that send what is no RELP, or go again before they are accepted."""
    count = 2000
    for turn in range(count // 100):
        pairs = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", receiver.port("relp")) for _ in range(100)))
        for number, (_, writer) in enumerate(pairs):
            if (number + turn) % 2:
                writer.write(b"\x00\x01garbage %d\n" % number)
                writer.close()
            else:
                writer.write(b"1 open 5 hello\n")
                writer.transport.abort()
    sent = await well(receiver, "well")
    await until(lambda: receiver.metric("logsink_connections_accepted_total") > count)
    assert receiver.stop() == 0
    lines = [line for line in receiver.log.splitlines() if "WARNING" in line]
    assert 1 <= len(lines) <= 6
    assert all("127.0.0.1" in line for line in lines)
    assert any("(one of " in line and "by sender: 127.0.0.1 " in line for line in lines)
    assert "None" not in receiver.log
    found_once(receiver.store, sent)
