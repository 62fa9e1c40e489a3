"""A receiver's own life in the archive: how each of its lives began and ended."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

from tests.support.receiver import Receiver, query


def test_the_next_life_can_explain_the_last(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    with Receiver(url, tmp_path / "killed", receive__own_events="true") as killed:
        killed.wait_for("logsink_journal_segments_total", 1)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    with Receiver(url, tmp_path / "ended", receive__own_events="true") as ended:
        with socket.create_connection(("127.0.0.1", ended.port("tcp"))) as sender:
            sender.sendall(b"<13>1 - - a - - - one\n")
        ended.wait_for("logsink_frames_total", 1)
        assert ended.stop() == 0
        assert ended.exit_code == 0, ended.log
    rows = [json.loads(line) for line in query(url, "-u", "logsink", "-o", "json").splitlines()]
    assert [row["msgid"] for row in rows] == ["ready", "ready", "draining", "stopping"]
    assert len({row["receiver"] for row in rows}) == 2
    for row in rows:
        assert (row["transport"], row.get("sender"), row["role"], row["flags"]) == ("internal", None, "logsink", [])
        assert (row["facility"], row["severity"], row["instance"]) == (5, 6, row["host"])
    assert rows[-1]["message"].startswith("SIGTERM: stops after ")
    assert len(query(url, "-o", "cat").splitlines()) == len(rows) + 1
