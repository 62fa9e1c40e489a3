"""``logsink drain``, and what a service manager hears of a receiver's life."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.receiver import Receiver, query_frames, run, until


def drain(ready: Path, store: str, *more: str) -> tuple[int, str]:
    done = run("drain", "--ready-file", str(ready), "--store", store, *more)
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_it_ends_when_everything_is_archived(tmp_path: Path, workers: str) -> None:
    url, notify = f"file://{tmp_path}/store", str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(notify)
        heard.settimeout(60)
        with Receiver(url, tmp_path, environ={"NOTIFY_SOCKET": notify}, workers=workers) as receiver:
            assert heard.recv(100) == b"READY=1"
            with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sender:
                sender.sendall(b"<13>1 - - a - - - one\n")
                receiver.wait_for("logsink_journal_segments_total", 1)
            code, said = drain(tmp_path / "ready.json", url, "--wait")
            assert (code, "everything that it stored is archived" in said) == (0, True), said
            assert heard.recv(100) == b"STOPPING=1"
            assert receiver.wait() == 0
    assert query_frames(url) == [b"<13>1 - - a - - - one"]
    code, said = drain(tmp_path / "ready.json", url, "--wait")
    assert (code, "and removes it when it ends" in said) == (2, True), said


def test_without_waiting_and_with_a_sender_that_stays(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    with (
        Receiver(url, tmp_path, receive__drain_timeout="3s") as receiver,
        socket.create_connection(("127.0.0.1", receiver.port("tcp"))),
    ):
        receiver.wait_for("logsink_connections_accepted_total", 1)
        code, said = drain(tmp_path / "ready.json", url, "--wait", "--timeout", "0.1")
        assert (code, "still drains after 0.1 s" in said) == (1, True), said
        assert drain(tmp_path / "ready.json", url)[0] == 0
        assert receiver.wait() == 0


def test_without_time_for_senders_there_is_still_time_for_the_store(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    with Receiver(
        url, tmp_path, receive__drain_timeout="0s", journal__ack_delay="1m", journal__max_delay="1m"
    ) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sender:
            sender.sendall(b"<13>1 - - a - - - one\n")
            receiver.wait_for("logsink_frames_total", 1)
        assert drain(tmp_path / "ready.json", url)[0] == 0
        assert receiver.wait() == 0
    assert query_frames(url) == [b"<13>1 - - a - - - one"]


def test_what_is_no_receiver_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ready.json").write_text(json.dumps({"pid": os.getpid(), "http": None}))
    assert "it is no receiver" in drain(tmp_path / "ready.json", "file:///tmp")[1]
    (tmp_path / "ready.json").write_text("{}")
    assert "no file of `logsink serve --ready-file`" in drain(tmp_path / "ready.json", "file:///tmp")[1]
    missing = drain(tmp_path / "none.json", "file:///tmp")[1]
    assert "none.json: No such file or directory (`logsink serve --ready-file` writes it" in missing


def test_a_process_with_the_number_of_a_receiver_that_has_ended_is_left_alone(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    with subprocess.Popen([sys.executable, "-c", "input()", "serve"], stdin=subprocess.PIPE) as other:
        assert other.stdin
        ready.write_text(json.dumps({"pid": other.pid, "birth": "another machine's 1", "http": None}))
        code, said = drain(ready, "file:///tmp")
        assert (code, "the receiver has ended already" in said) == (2, True), said
        assert other.poll() is None
        other.stdin.close()


def test_another_store_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    own, other, absent = (f"file://{tmp_path}/{name}" for name in ("own", "other", "absent"))
    made = run("init", "--store", other)
    assert made.returncode == 0, made.stderr
    with Receiver(own, tmp_path) as receiver:
        store = str(receiver.readiness()[1]["store"])
        for url, said_of_it in ((other, "is store "), (absent, "has no marker of a store")):
            code, said = drain(tmp_path / "ready.json", url, "--wait")
            assert code == 2, said
            assert f"it uses store {store}, and {url} {said_of_it}" in said
            assert "give this command the receiver's settings" in said
        assert receiver.readiness()[0] == 200, "it was not told to drain"


def test_without_http_nobody_knows(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    receiver = Receiver(url, tmp_path)
    del receiver.listen["http"]
    with receiver:
        code, said = drain(tmp_path / "ready.json", url, "--wait")
        assert (code, "is not known: the receiver has no HTTP address" in said) == (1, True), said
        assert receiver.wait() == 0


def test_what_a_worker_that_was_killed_has_stored_is_waited_for(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    with Receiver(url, tmp_path, workers="2", archive__max_age="90s") as receiver:
        assert receiver.process is not None
        for _ in range(20):  # to both workers
            with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sender:
                sender.sendall(b"<13>1 - - a - - - one\n")
        receiver.wait_for("logsink_frames_total", 20)
        asyncio.run(until(lambda: len({path.parts[-3] for path in tmp_path.glob("store/journal/*/*/*.arrow")}) == 2))
        workers = Path(f"/proc/{receiver.process.pid}/task/{receiver.process.pid}/children").read_text().split()
        killed = next(int(pid) for pid in workers if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(killed, signal.SIGKILL)
        receiver.wait_for("logsink_workers_ended_total", 1)
        code, said = drain(tmp_path / "ready.json", url, "--wait", "--timeout", "10")
        assert (code, "segments in the journal: " in said) == (1, True), said
        assert receiver.wait() == 0
