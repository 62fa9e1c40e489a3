"""``logsink drain``, and what a service manager hears of a receiver's life."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tests.support.receiver import Receiver, query_frames, run


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
    assert (code, "the receiver has ended already" in said) == (2, True), said


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


def test_what_is_no_receiver_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ready.json").write_text(json.dumps({"pid": os.getpid(), "http": None}))
    assert "it is no receiver" in drain(tmp_path / "ready.json", "file:///tmp")[1]
    (tmp_path / "ready.json").write_text("{}")
    assert "no file of `logsink serve --ready-file`" in drain(tmp_path / "ready.json", "file:///tmp")[1]
    assert "No such file" in drain(tmp_path / "none.json", "file:///tmp")[1]
