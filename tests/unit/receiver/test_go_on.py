"""Duties of a receiver that end with an error begin again, and the log says why."""

from __future__ import annotations

import asyncio

import pytest

from logsink.receiver import receiver
from logsink.receiver.receiver import go_on


async def test_a_duty_that_fails_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(receiver, "WATCH", 0.0)
    begun, again = 0, asyncio.Event()

    async def archive() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise OverflowError(f"attempt {begun}")
        again.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(go_on(archive))
    async with asyncio.timeout(10):
        await again.wait()
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == ["attempt 1", "attempt 2"]
    assert all("archive" in record.getMessage() for record in caplog.records)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
