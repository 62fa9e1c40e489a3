"""Work that nobody waits for gives way, where threads have priorities of their own."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from logsink.platform.threads import NICENESS, background_thread


def nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no priority of its own here")
def test_its_thread_has_a_lower_priority_and_no_other_thread() -> None:
    before = nice()
    with background_thread("archive") as pool:
        assert pool.submit(nice).result() == min(19, before + NICENESS)
    assert nice() == before


def test_what_forbids_it_is_no_reason_not_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbidden)
    with background_thread("archive") as pool:
        assert pool.submit(threading.current_thread).result().name == "archive_0"
