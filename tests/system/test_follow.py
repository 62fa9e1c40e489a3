"""``logsink query -f`` while receivers receive, archive and are replaced: every line once, in order by sender."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.receiver import COMMAND, PATIENCE, Receiver

RATE = 10_000
"""Lines a second from each sender."""

AT_ONCE = 100


@contextmanager
def following(url: str, out: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command, writing to a file; interrupted at the end."""
    command = [*COMMAND, "query", "--store", url, "-f", "-q", "-o", "cat", *arguments]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LOGSINK_")}
    with out.open("wb") as file, subprocess.Popen(command, stdout=file, env=clean) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)


def send(port: int, name: str, seconds: float) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for first in range(0, int(seconds * RATE), AT_ONCE):
            sock.sendall(
                b"".join(
                    b"<13>1 - h %s - - - %s %d\n" % (name.encode(), name.encode(), n)
                    for n in range(first, first + AT_ONCE)
                )
            )
            time.sleep(max(0.0, began + first / RATE - time.monotonic()))  # the rate


def wait_for_lines(file: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while file.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, file.read_bytes()[-500:]
        time.sleep(0.1)  # another process: nothing here is told when it has written


def check(found: bytes, names: list[str], each: int) -> None:
    lines = found.split()
    assert len(lines) == 2 * each * len(names)
    for name in names:
        numbers = [int(n) for who, n in zip(lines[::2], lines[1::2], strict=True) if who == name.encode()]
        assert numbers == list(range(each))


@pytest.mark.parametrize(
    ("seconds", "max_age"), [(8, "1s"), pytest.param(300, "10s", marks=pytest.mark.slow)], ids=["seconds", "minutes"]
)
def test_two_receivers_under_load(seconds: int, max_age: str, tmp_path: Path) -> None:
    url, out = f"file://{tmp_path}/store", tmp_path / "out"
    names = ["one", "two"]
    settings = {"archive__max_age": max_age, "maintain__every": "2s"}
    with Receiver(url, tmp_path / "1", **settings) as first, Receiver(url, tmp_path / "2", **settings) as second:
        with following(url, out, "-n", "all"):
            senders = [
                threading.Thread(target=send, args=(receiver.port("tcp"), name, seconds))
                for receiver, name in zip((first, second), names, strict=True)
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            wait_for_lines(out, len(names) * seconds * RATE)
        assert first.metric("logsink_archive_commits_total") >= 2
    check(out.read_bytes(), names, seconds * RATE)


def test_a_line_is_shown_soon_and_an_interrupt_ends_it(tmp_path: Path) -> None:
    url, out = f"file://{tmp_path}/store", tmp_path / "out"
    with Receiver(url, tmp_path / "1") as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
            sock.sendall(b"".join(b"<13>1 - h a - - - old %d\n" % n for n in range(30)))
        receiver.wait_for("logsink_journal_segments_total", 1)
        with following(url, out) as process:
            wait_for_lines(out, 10)
            with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
                sock.sendall(b"<13>1 - h a - - - new 0\n")
            wait_for_lines(out, 11)
        assert process.returncode == 130
    assert out.read_text().splitlines() == [f"old {n}" for n in range(20, 30)] + ["new 0"]


def test_a_follower_that_was_stopped_for_long_catches_up_from_the_table(tmp_path: Path) -> None:
    """Segments are archived and deleted meanwhile; another receiver has taken over."""
    url, out = f"file://{tmp_path}/store", tmp_path / "out"
    cursor = tmp_path / "cursor"
    with Receiver(url, tmp_path / "1") as receiver, following(url, out, "-n", "all", "--cursor-file", str(cursor)):
        send(receiver.port("tcp"), "one", 0.5)
        wait_for_lines(out, RATE // 2)
    with Receiver(url, tmp_path / "2") as receiver:
        send(receiver.port("tcp"), "two", 0.5)
        receiver.wait_for("logsink_frames_total", RATE // 2)
    for segment in tmp_path.glob("store/journal/*/*/*.arrow"):  # both have archived all that they had when they left
        segment.unlink()
    more = tmp_path / "more"
    with following(url, more, "--cursor-file", str(cursor)):
        wait_for_lines(more, RATE // 2)
    check(out.read_bytes() + more.read_bytes(), ["one", "two"], RATE // 2)
    assert b"one" not in more.read_bytes()
