"""Broken RELP sessions over real sockets: what is sent again is stored once, what may be is flagged, nothing else is."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from logsink import telemetry
from logsink.flags import Flag
from logsink.net import relp, resends, senders
from logsink.net.relp import RelpConnection
from tests.support.bench import Bench, close, connected, make, until

AGAIN = int(Flag.MAYBE_RESENT)
TWICE = AGAIN | int(Flag.SENT_TWICE)
OPEN = b"1 open 30 relp_version=0\ncommands=syslog\n"


class Client:
    """A client that sends frames as told. ``answers`` reads acknowledgements."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.txnr = reader, writer, 1

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self.txnr += 1
            self.writer.write(b"%d syslog %d %b\n" % (self.txnr, len(frame), frame))

    async def answers(self, count: int) -> list[bytes]:
        async with asyncio.timeout(20):
            return [await self.reader.readuntil(b"\n") for _ in range(count)]

    async def farewell(self) -> None:
        """``close``, and its answer."""
        self.txnr += 1
        self.writer.write(b"%d close 0\n" % self.txnr)
        async with asyncio.timeout(20):
            assert (await self.reader.read()).endswith(b"%d rsp 0\n0 serverclose 0\n" % self.txnr)
        self.writer.close()

    def reset(self) -> None:
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Scene:
    """A bench with a RELP port."""

    def __init__(self, bench: Bench, port: int) -> None:
        self.bench, self.port = bench, port

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        client.writer.write(OPEN)
        answer = await client.reader.readuntil(b"commands=syslog\n")
        assert b"200 OK" in answer
        return client

    async def gone(self, left: int = 0) -> None:
        """Until so many connections are left."""
        await until(lambda: len(self.bench.intake.connections) == left)

    async def taken(self, count: int) -> None:
        """Until so many frames of all connections have been taken, stored or held."""
        start = self.bench.intake
        await until(lambda: sum(c._relp.taken for c in start.connections) >= count)  # type: ignore[attr-defined]

    async def stored(self) -> list[tuple[bytes, int]]:
        return [(frame, flags) for frame, flags, *_ in await self.bench.rows()]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    bench = await make()
    yield Scene(bench, await bench.listen(RelpConnection))
    await close(bench)


async def broken(scene: Scene, *frames: bytes) -> None:
    """A session that breaks before anything of it is stored."""
    scene.bench.store.free.clear()
    client = await scene.client()
    client.send(*frames)
    await scene.taken(len(frames))
    client.reset()
    await scene.gone()


async def test_resends_are_acknowledged_with_the_original_and_stored_once(scene: Scene) -> None:
    before = telemetry.RESENT._value.get()
    await broken(scene, b"<13>a", b"<13>b")
    client = await scene.client()
    client.send(b"<13>a", b"<13>b", b"<13>c")
    await scene.taken(3)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.reader.read(1)
    scene.bench.store.free.set()
    assert await client.answers(3) == [b"%d rsp 6 200 OK\n" % n for n in (2, 3, 4)]
    assert await scene.stored() == [(b"<13>a", AGAIN), (b"<13>b", AGAIN), (b"<13>c", 0)]
    assert telemetry.RESENT._value.get() - before == 2
    await client.farewell()


async def test_resends_in_small_pieces_and_with_empty_frames(scene: Scene) -> None:
    await broken(scene, b"<13>a", b"", b"<13>b")
    client = await scene.client()
    for n, frame in enumerate((b"<13>a", b"", b"<13>b", b"<13>c"), 1):
        client.send(frame)
        await scene.taken(n)
    scene.bench.store.free.set()
    assert len(await client.answers(4)) == 4
    assert [frame for frame, _ in await scene.stored()] == [b"<13>a", b"<13>b", b"<13>c"]
    await client.farewell()


async def test_something_else_is_stored_and_flagged(scene: Scene) -> None:
    await broken(scene, b"<13>a", b"<13>b")
    scene.bench.store.free.set()
    client = await scene.client()
    client.send(b"<13>a", b"<13>x")
    assert len(await client.answers(2)) == 2
    assert sorted(await scene.stored()) == sorted(
        [(b"<13>a", AGAIN), (b"<13>b", AGAIN), (b"<13>a", AGAIN), (b"<13>x", AGAIN)]
    )
    await client.farewell()


async def test_a_true_repeat_after_everything_was_acknowledged_is_kept(scene: Scene) -> None:
    client = await scene.client()
    client.send(b"<13>a")
    await client.answers(1)
    client.reset()
    await scene.gone()
    client = await scene.client()
    client.send(b"<13>a")
    await client.answers(1)
    assert await scene.stored() == [(b"<13>a", AGAIN), (b"<13>a", TWICE)]
    await client.farewell()


async def answered(scene: Scene, *frames: bytes) -> None:
    """A session of which everything is acknowledged; its client resets it without having read that."""
    client = await scene.client()
    client.send(*frames)
    await until(lambda: all(c._relp.answered == len(frames) for c in scene.bench.intake.connections))  # type: ignore[attr-defined]
    client.reset()
    await scene.gone()


async def test_what_was_acknowledged_and_comes_again_is_stored_and_marked(scene: Scene) -> None:
    await answered(scene, b"<13>a", b"", b"<13>b", b"<13>c")
    client = await scene.client()
    for frame in (b"<13>b", b"", b"<13>c", b"<13>d", b"<13>a"):
        client.send(frame)
        await client.answers(1)
    assert (await scene.stored())[3:] == [(b"<13>b", TWICE), (b"<13>c", TWICE), (b"<13>d", AGAIN), (b"<13>a", AGAIN)]
    await client.farewell()


async def test_a_session_that_breaks_while_it_sends_again_what_was_acknowledged(scene: Scene) -> None:
    frames = [b"<13>%d" % n for n in range(6)]
    await answered(scene, *frames)
    await answered(scene, *frames[1:4])
    await answered(scene, *frames[1:], b"<13>x")
    client = await scene.client()
    client.send(*frames[4:], b"<13>x", b"<13>y")
    await client.answers(4)
    flags = [flags for _, flags in await scene.stored()]
    assert flags == [AGAIN] * 6 + [TWICE] * 3 + [TWICE] * 5 + [AGAIN] + [TWICE] * 3 + [AGAIN]
    await client.farewell()


async def test_only_the_beginning_of_a_session_can_be_what_was_acknowledged(scene: Scene) -> None:
    await answered(scene, b"<13>a", b"<13>b")
    client = await scene.client()
    client.send(b"<13>x", b"<13>a", b"<13>b")
    await client.answers(3)
    assert [flags for _, flags in await scene.stored()] == [AGAIN] * 5
    await client.farewell()


async def test_a_close_forgets_what_was_acknowledged(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "REOPENED", -1.0)
    await answered(scene, b"<13>a")
    client = await scene.client()
    await client.farewell()
    await scene.gone()
    client = await scene.client()
    client.send(b"<13>a")
    await client.answers(1)
    assert [flags for _, flags in await scene.stored()] == [AGAIN, AGAIN]
    await client.farewell()


async def test_behind_recognised_frames_nothing_is_marked(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resends, "REOPENED", -1.0)
    await answered(scene, b"<13>c")
    await broken(scene, b"<13>a", b"<13>b")
    scene.bench.store.free.set()
    client = await scene.client()
    client.send(b"<13>a", b"<13>b", b"<13>c")
    await client.answers(3)
    assert (await scene.stored())[1:] == [(b"<13>a", AGAIN), (b"<13>b", AGAIN), (b"<13>c", AGAIN)]
    await client.farewell()


async def test_recognised_frames_whose_acknowledgements_get_lost_are_marked_the_next_time(scene: Scene) -> None:
    await broken(scene, b"<13>a", b"<13>b")
    scene.bench.store.free.set()
    await answered(scene, b"<13>a", b"<13>b")
    client = await scene.client()
    client.send(b"<13>a", b"<13>b")
    await client.answers(2)
    assert (await scene.stored())[2:] == [(b"<13>a", TWICE), (b"<13>b", TWICE)]
    await client.farewell()


async def test_what_is_not_flagged_need_not_be_marked(scene: Scene) -> None:
    """A query tells its copy by that: so it is not remembered."""
    scene.bench.intake.senders.window = 3
    client = await scene.client()
    for n in range(5):
        client.send(b"<13>%d" % n)
        await client.answers(1)
    client.reset()
    await scene.gone()
    client = await scene.client()
    client.send(b"<13>2", b"<13>3", b"<13>4")
    await client.answers(3)
    assert [flags for _, flags in await scene.stored()] == [AGAIN, AGAIN, AGAIN, 0, 0, TWICE, AGAIN, AGAIN]
    await client.farewell()


@pytest.mark.parametrize("unconfirmed", [0, 1])
async def test_a_session_that_is_open_only_here(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, unconfirmed: int
) -> None:
    """The link is cut in silence, and the client has connected anew: its system has not confirmed the acknowledgements."""
    monkeypatch.setattr(relp, "_unconfirmed", lambda _: unconfirmed)
    older = await scene.client()
    older.send(b"<13>a", b"<13>b")
    await older.answers(2)
    client = await scene.client()
    client.send(b"<13>a", b"<13>b", b"<13>c")
    await client.answers(3)
    again = TWICE if unconfirmed else AGAIN
    assert [flags for _, flags in await scene.stored()] == [AGAIN, AGAIN, again, again, AGAIN]
    await older.farewell()
    await client.farewell()


async def test_acknowledgements_that_were_written_count_when_the_client_missed_them(scene: Scene) -> None:
    client = await scene.client()
    client.send(b"<13>a")
    await client.answers(1)
    scene.bench.store.free.clear()
    client.send(b"<13>b")
    await scene.taken(2)
    client.reset()
    await scene.gone()
    client = await scene.client()
    client.send(b"<13>a", b"<13>b")
    await scene.taken(2)
    scene.bench.store.free.set()
    await client.answers(2)
    assert [frame for frame, _ in await scene.stored()] == [b"<13>a", b"<13>b"]
    await client.farewell()


async def test_a_session_that_breaks_while_it_sends_again(scene: Scene) -> None:
    """Twice: before it is clear what it sends, and after."""
    await broken(scene, b"<13>a", b"<13>b")
    await broken(scene, b"<13>a")
    await broken(scene, b"<13>a", b"<13>b", b"<13>c")
    client = await scene.client()
    client.send(b"<13>a", b"<13>b", b"<13>c")
    await scene.taken(3)
    scene.bench.store.free.set()
    await client.answers(3)
    assert [frame for frame, _ in await scene.stored()] == [b"<13>a", b"<13>b", b"<13>c"]
    await client.farewell()


async def test_a_close_ends_all_doubt(scene: Scene) -> None:
    client = await scene.client()
    client.send(b"<13>a")
    await client.answers(1)
    await client.farewell()
    await scene.gone()
    client = await scene.client()
    client.send(b"<13>a")
    await client.answers(1)
    assert await scene.stored() == [(b"<13>a", AGAIN), (b"<13>a", 0)]
    await client.farewell()


async def test_a_part_of_a_list_followed_by_close_is_new(scene: Scene) -> None:
    await broken(scene, b"<13>a", b"<13>b")
    client = await scene.client()
    client.send(b"<13>a")
    await scene.taken(1)
    scene.bench.store.free.set()
    await client.farewell()
    assert sorted(frame for frame, _ in await scene.stored()) == [b"<13>a", b"<13>a", b"<13>b"]


async def test_a_part_of_a_list_and_silence_is_new(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resends, "QUIET", 0.05)
    await broken(scene, b"<13>a", b"<13>b")
    scene.bench.store.free.set()
    client = await scene.client()
    client.send(b"<13>a")
    await client.answers(1)
    assert [flags for frame, flags in await scene.stored() if frame == b"<13>a"] == [AGAIN, AGAIN]
    await client.farewell()


async def test_older_sessions_are_read_to_their_ends_first(scene: Scene) -> None:
    """The first session is closed by its client while reading is held back; its frames come again on a second one."""
    bench = scene.bench
    bench.store.free.clear()
    first = await scene.client()
    bench.intake.pressure(True)
    first.send(b"<13>a", b"<13>b")
    first.writer.write_eof()
    (older,) = bench.intake.connections
    await until(older.hung_up)  # type: ignore[attr-defined]
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(OPEN + b"2 syslog 5 <13>a\n3 syslog 5 <13>b\n4 syslog 5 <13>c\n")
    await connected(bench, 2)
    bench.intake.pressure(False)
    await scene.gone(1)
    bench.store.free.set()
    await reader.readuntil(b"4 rsp 6 200 OK\n")
    assert [frame for frame, _ in await scene.stored()] == [b"<13>a", b"<13>b", b"<13>c"]
    first.writer.close()
    writer.close()


async def test_sessions_side_by_side_from_one_address(scene: Scene) -> None:
    clients = [await scene.client() for _ in range(20)]
    for n, client in enumerate(clients):
        client.send(b"<13>%d" % n, b"<13>same")
    for client in clients:
        assert len(await client.answers(2)) == 2
    assert len(await scene.stored()) == 40
    for client in clients:
        await client.farewell()


async def test_many_sessions_break_and_come_back_in_another_order(scene: Scene) -> None:
    scene.bench.store.free.clear()
    clients = [await scene.client() for _ in range(20)]
    for n, client in enumerate(clients):
        client.send(b"<13>same", b"<13>%d" % n)
    await scene.taken(40)
    for client in clients:
        client.reset()
    await scene.gone()
    clients = [await scene.client() for _ in range(20)]
    for n, client in zip(reversed(range(20)), clients, strict=True):
        client.send(b"<13>same", b"<13>%d" % n, b"<13>new")
    await scene.taken(60)
    scene.bench.store.free.set()
    for client in clients:
        assert len(await client.answers(3)) == 3
    assert len(await scene.stored()) == 60
    for client in clients:
        await client.farewell()


async def test_past_the_bound_of_what_is_held_back_frames_are_stored(scene: Scene) -> None:
    await broken(scene, b"<13>a" * 100, b"<13>b")
    assert scene.bench.intake.senders.hold(scene.bench.intake.senders._room - 100)
    scene.bench.store.free.set()
    client = await scene.client()
    client.send(b"<13>a" * 100)
    await client.answers(1)
    assert len(await scene.stored()) == 3
    await client.farewell()


async def test_what_is_remembered_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "FRAMES", 3)
    before = telemetry.RESENDS_FORGOTTEN._value.get()
    await broken(scene, b"<13>a", b"<13>b")
    await broken(scene, b"<13>c", b"<13>d")
    assert telemetry.RESENDS_FORGOTTEN._value.get() - before == 2
    scene.bench.store.free.set()
    client = await scene.client()
    client.send(b"<13>c", b"<13>d")
    await client.answers(2)
    assert [flags for frame, flags in await scene.stored() if frame == b"<13>c"] == [AGAIN, AGAIN]
    await client.farewell()
    await scene.gone()
    assert scene.bench.intake.senders._frames == 0


async def test_only_what_comes_right_after_open_is_flagged(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resends, "QUIET", 0.02)
    client = await scene.client()
    client.send(b"<13>a")
    await client.answers(1)
    await asyncio.sleep(0.05)
    client.send(b"<13>b")
    await client.answers(1)
    assert await scene.stored() == [(b"<13>a", AGAIN), (b"<13>b", 0)]
    await client.farewell()


async def test_a_drain_does_not_wait_for_the_rest_of_a_list(scene: Scene) -> None:
    await broken(scene, b"<13>a", b"<13>b")
    scene.bench.store.free.set()
    client = await scene.client()
    client.send(b"<13>a")
    await scene.taken(1)
    scene.bench.intake.drain()
    assert await client.answers(2) == [b"2 rsp 6 200 OK\n", b"0 serverclose 0\n"]
    assert await client.reader.read() == b""
    assert len(await scene.stored()) == 3
    client.writer.close()


async def test_what_no_window_holds_is_not_flagged(scene: Scene) -> None:
    scene.bench.intake.senders.window = 5
    client = await scene.client()
    for n in range(0, 9, 3):
        client.send(*(b"<13>%d" % (n + i) for i in range(3)))
        await client.answers(3)
    assert await scene.stored() == [(b"<13>%d" % n, AGAIN if n < 5 else 0) for n in range(9)]
    await client.farewell()


async def test_known_resends_are_part_of_the_window(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session comes late: it may have been with another receiver, and what it sends behind the known ones is flagged."""
    monkeypatch.setattr(resends, "REOPENED", -1.0)
    scene.bench.intake.senders.window = 4
    await broken(scene, b"<13>a", b"<13>b")
    scene.bench.store.free.set()
    client = await scene.client()
    client.send(b"<13>a", b"<13>b", b"<13>c")
    await client.answers(3)
    client.send(b"<13>d", b"<13>e")
    await client.answers(2)
    assert (await scene.stored())[2:] == [(b"<13>c", AGAIN), (b"<13>d", AGAIN), (b"<13>e", 0)]
    await client.farewell()


async def test_a_client_that_has_more_unacknowledged_shows_its_window(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """All that it sends before it can have an answer may be resends; so many of its next session may be, too."""
    scene.bench.intake.senders.window = 5
    scene.bench.store.free.clear()
    client = await scene.client()
    for n in range(12):
        client.send(b"<13>%02d" % n)
        await scene.taken(n + 1)
    scene.bench.store.free.set()
    await client.answers(12)
    assert [flags for _, flags in await scene.stored()] == [AGAIN] * 12
    assert scene.bench.intake.senders.window >= 12
    assert "has 6 unacknowledged frames, and receive.relp_window is 5" in caplog.text
    await client.farewell()


async def test_the_pause_counts_from_the_last_answer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that come one by one, each answered for itself, and then the pause."""
    monkeypatch.setattr(resends, "QUIET", 0.3)
    client = await scene.client()
    for n in range(20):
        client.send(b"<13>%02d" % n)
        await client.answers(1)
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3 + 0.06)
    client.send(b"<13>x")
    await client.answers(1)
    assert (await scene.stored())[-1] == (b"<13>x", 0)
    await client.farewell()


async def test_a_pause_before_the_answers_ends_no_doubt(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while an acknowledgement is due, nor in the middle of a frame: the link may be down."""
    monkeypatch.setattr(resends, "QUIET", 0.02)
    scene.bench.store.free.clear()
    client = await scene.client()
    client.send(b"<13>a")
    await scene.taken(1)
    await asyncio.sleep(0.1)
    client.send(b"<13>b")
    await scene.taken(2)
    client.writer.write(b"4 syslog 5 <1")
    await asyncio.sleep(0)
    scene.bench.store.free.set()
    await client.answers(2)
    await asyncio.sleep(0.1)
    client.writer.write(b"3>c\n")
    await client.answers(1)
    assert await scene.stored() == [(b"<13>a", AGAIN), (b"<13>b", AGAIN), (b"<13>c", AGAIN)]
    client.writer.close()


async def test_a_client_that_has_not_confirmed_its_answers_may_be_cut_off(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resends, "QUIET", 0.02)
    monkeypatch.setattr(relp, "_unconfirmed", lambda _: 1)
    client = await scene.client()
    client.send(b"<13>a")
    await client.answers(1)
    await asyncio.sleep(0.1)
    client.send(b"<13>b")
    await client.answers(1)
    assert await scene.stored() == [(b"<13>a", AGAIN), (b"<13>b", AGAIN)]
    await client.farewell()


async def test_a_close_vouches_for_one_session(scene: Scene) -> None:
    """The next one of the same address is another client's, which may come from another receiver."""
    client = await scene.client()
    await client.farewell()
    await scene.gone()
    for frame in (b"<13>a", b"<13>b"):
        client = await scene.client()
        client.send(frame)
        await client.answers(1)
        client.reset()
        await scene.gone()
    assert await scene.stored() == [(b"<13>a", 0), (b"<13>b", AGAIN)]


async def test_the_first_frame_a_second_time_is_marked_once(scene: Scene) -> None:
    scene.bench.intake.senders.window = 2
    client = await scene.client()
    for pair in ((b"<13>a", b"<13>b"), (b"<13>b", b"<13>c"), (b"<13>a", b"<13>a")):
        client.send(*pair)
        await client.answers(2)
    expected = [(b"a", AGAIN), (b"b", AGAIN), (b"b", 0), (b"c", 0), (b"a", TWICE), (b"a", 0)]
    assert await scene.stored() == [(b"<13>" + text, flags) for text, flags in expected]
    await client.farewell()


async def test_the_first_frame_twice_at_once(scene: Scene) -> None:
    """As rsyslog does with a message alone; the first one may be known from a broken session."""
    client = await scene.client()
    client.send(b"", b"<13>a", b"<13>a")
    await client.answers(3)
    assert await scene.stored() == [(b"<13>a", AGAIN), (b"<13>a", TWICE)]
    await client.farewell()
    await scene.gone()
    await broken(scene, b"<13>x", b"<13>y")
    scene.bench.store.free.set()
    client = await scene.client()
    client.send(b"<13>x", b"<13>y", b"<13>z", b"<13>x")
    await client.answers(4)
    assert [flags for frame, flags in await scene.stored() if frame == b"<13>x"][1:] == [TWICE]
    await client.farewell()
