"""Lost datagrams: what the kernel says, by socket, and how often that is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from logsink.net.losses import REPORT, Losses

HEAD = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
LINE = "  100: 0100007F:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 {} 2 0000000000000000 {}\n"


def test_drops_of_our_sockets_only(tmp_path: Path) -> None:
    tables = (tmp_path / "udp", tmp_path / "udp6", tmp_path / "none")
    one, two = ((tmp_path / name).open("w") for name in ("one", "two"))
    losses = Losses(tables)
    losses.refresh()
    for file in (one, two):
        losses.watch(file.fileno())
    inodes = [os.fstat(file.fileno()).st_ino for file in (one, two)]
    tables[0].write_text(HEAD + LINE.format(inodes[0], 5) + LINE.format(1, 1000))
    tables[1].write_text(HEAD + LINE.format(inodes[1], 2))
    losses.refresh()
    assert losses.total == {"kernel": 7}
    tables[1].write_text(HEAD + LINE.format(inodes[1], 4))
    losses.refresh()
    assert losses.total == {"kernel": 9}
    tables[1].write_text(HEAD)  # a socket that is closed takes its count along
    losses.refresh()
    assert losses.total == {"kernel": 9}
    one.close()
    two.close()


def test_each_kind_is_told_once_a_minute_with_what_was_lost_since(caplog: pytest.LogCaptureFixture) -> None:
    losses = Losses(())
    losses.report(0.0)
    losses.add("memory", 3)
    losses.report(1.0)
    losses.add("memory", 4)
    losses.add("share", 1)
    losses.report(2.0)
    losses.report(1.0 + REPORT)
    losses.report(2.0 + 2 * REPORT)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["lost 3 datagrams (memory)", "lost 1 datagrams (share)", "lost 4 datagrams (memory)"]
