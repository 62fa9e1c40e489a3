"""What a real rsyslogd sends twice by RELP: which rows are flagged for it, and that ``--dedupe`` leaves each message once."""

from __future__ import annotations

import collections
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.receiver import PATIENCE, Receiver, query, query_frames
from tests.support.rsyslog import Rsyslog, relp

WINDOW = 128
QUEUE = ' queue.type="LinkedList" queue.size="100000"'


class Name:
    """A name for receivers: connections to ``port`` go to the port in ``target``; None: they are closed at once.

    While ``mute`` is set, what the receivers answer is thrown away.
    """

    def __init__(self) -> None:
        self.target: int | None = None
        self.mute = threading.Event()
        self.turned_away = 0
        self.sessions = 0
        """Connections that reached a receiver."""
        self._said = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def answers(self) -> int:
        """How many messages were acknowledged to clients since ``cut``; the answer to ``open`` is not one of them."""
        return self._said.count(b" rsp 6 200 OK\n")

    def cut(self) -> None:
        """Break all connections off."""
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for one in self._open:
            one.close()
        self._open.clear()
        del self._threads[1:]
        self._said = b""

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.target is None:
                    client.close()
                    self.turned_away += 1
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                self.sessions += 1
                self._open += (client, server)
                self._start(_pass, client, server.sendall, server)
                self._start(_pass, server, lambda piece, client=client: self._answer(piece, client), client)

    def _answer(self, piece: bytes, client: socket.socket) -> None:
        if not self.mute.is_set():
            client.sendall(piece)
            self._said += piece

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()


def _pass(source: socket.socket, give: Callable[[bytes], object], sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            give(piece)
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def name() -> Iterator[Name]:
    one = Name()
    yield one
    one.close()


def receiver(tmp_path: Path, which: str = "a") -> Receiver:
    return Receiver(f"file://{tmp_path}/store", tmp_path / which, receive__relp_window=str(WINDOW))


def rsyslog(tmp_path: Path, port: int, more: str = QUEUE) -> Rsyslog:
    (tmp_path / "rsyslog").mkdir()
    return Rsyslog(tmp_path / "rsyslog", relp(port, window=WINDOW) + more)


def lines(first: int, count: int) -> list[bytes]:
    """Messages of today: times decide what is a copy only where they are not far from that of arrival."""
    today = time.strftime("%Y-%m-%d", time.gmtime()).encode()
    return [
        b"<13>1 %sT12:%02d:00.%06dZ web app - - - line %d" % (today, n // 50_000, n + 1, n)
        for n in range(first, first + count)
    ]


def rows(url: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in query(url, "-n", "0", "-o", "json").splitlines()]


def flagged(found: list[dict[str, Any]], flag: str = "maybe_resent") -> int:
    return sum(flag in (row.get("flags") or ()) for row in found)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # other processes: nothing here is told when they change


def each_once(url: str, sent: list[bytes]) -> None:
    """``--dedupe`` shows what was sent, and nothing twice."""
    assert collections.Counter(query_frames(url, "--dedupe")) == collections.Counter(sent)


def test_a_fresh_start(tmp_path: Path) -> None:
    with receiver(tmp_path) as one, rsyslog(tmp_path, one.port("relp")) as sender:
        sender.send(lines(0, 20_000))
        sender.wait(20_000)
        one.wait_for("logsink_frames_total", 20_000)
    found = rows(one.store)
    assert len(found) == 20_000
    assert 1 <= flagged(found) <= WINDOW
    each_once(one.store, sender.frames)


def test_a_first_connection_that_fails(tmp_path: Path, name: Name) -> None:
    """The message that found it out comes first, and again behind all the others."""
    with receiver(tmp_path) as one, rsyslog(tmp_path, name.port) as sender:
        sender.send(lines(0, 1))
        until(lambda: name.turned_away > 0)
        sender.send(lines(1, 999))
        name.target = one.port("relp")
        one.wait_for("logsink_frames_total", 1_001)
        sender.wait(1_000)
    found = rows(one.store)
    assert collections.Counter(query_frames(one.store)) - collections.Counter(sender.frames) == {sender.frames[0]: 1}
    assert flagged(found, "sent_twice") == 1
    assert flagged(found) <= WINDOW + 1
    each_once(one.store, sender.frames)


def test_acknowledgements_that_get_lost(tmp_path: Path, name: Name) -> None:
    """On their way from one receiver, which goes on: early in a session, where all frames are flagged, and again later."""
    sent = came = 0
    with receiver(tmp_path) as one, rsyslog(tmp_path, name.port) as sender:
        name.target = one.port("relp")

        def send(count: int, again: int = 0) -> None:
            nonlocal sent, came
            sender.send(lines(sent, count))
            sent += count
            came += count + again
            one.wait_for("logsink_frames_total", came)

        send(40)
        until(lambda: name.answers == 40)
        for more in (2_000, 40):
            name.mute.set()
            send(50)
            until(lambda: one.metric("logsink_journal_unstored_bytes") == 0)
            name.cut()
            name.mute.clear()
            send(more, again=50)  # only now rsyslog notices
            until(lambda: name.answers == 50 + more)  # noqa: B023
        sender.stop()
    found = rows(one.store)
    assert len(found) == sent + 100
    assert flagged(found, "sent_twice") == 50
    each_once(one.store, sender.frames)


def test_receivers_that_die_before_they_have_said_so(tmp_path: Path, name: Name) -> None:
    """Three in turn behind one name; of what the first two stored last no acknowledgement arrives."""
    with rsyslog(tmp_path, name.port) as sender:
        for nth, which in enumerate("abc"):
            with receiver(tmp_path, which) as one:
                name.target = one.port("relp")
                sender.send(lines(3_000 * nth, 2_000))
                came = (
                    3_000 if nth else 2_000
                )  # what the receiver before has not acknowledged or not been sent comes here
                one.wait_for("logsink_frames_total", came)
                until(lambda wanted=came: name.answers >= wanted)  # type: ignore[misc]
                if which == "c":
                    break
                name.mute.set()
                sender.send(lines(3_000 * nth + 2_000, 1_000))
                one.wait_for("logsink_frames_total", came + WINDOW)
                until(lambda one=one: one.metric("logsink_journal_unstored_bytes") == 0)  # type: ignore[misc]
                one.kill()
                name.cut()
                name.mute.clear()
        sender.stop()
    found = rows(one.store)
    again = len(found) - 8_000
    assert again == 2 * WINDOW
    assert name.sessions >= 3  # when else it connects anew is rsyslog's affair; on a busy machine it does
    assert flagged(found) <= name.sessions * WINDOW + 3
    each_once(one.store, sender.frames)


def test_a_client_that_connects_anew_now_and_then(tmp_path: Path) -> None:
    """It closes each session in order: nothing can be sent again, and only the first session is flagged."""
    with receiver(tmp_path) as one, rsyslog(tmp_path, one.port("relp"), ' rebindInterval="1000"') as sender:
        sender.send(lines(0, 6_000))
        sender.wait(6_000)
        one.wait_for("logsink_frames_total", 6_000)
    found = rows(one.store)
    assert len(found) == 6_000
    assert flagged(found) <= WINDOW
    each_once(one.store, sender.frames)
