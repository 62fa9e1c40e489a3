"""The bar appears for long work on a terminal only."""

from __future__ import annotations

import asyncio
import io

import pytest

from logsink.cli.terminal import progress
from logsink.integrity import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "enabled", "shown"), [(True, True, True), (True, False, False), (False, True, False)]
)
async def test_a_bar(monkeypatch: pytest.MonkeyPatch, terminal: bool, enabled: bool, shown: bool) -> None:
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    async with asyncio.timeout(20), progress.showing("checking", Progress(10, 5), enabled=enabled):
        while shown and "checking" not in stderr.getvalue():  # noqa: ASYNC110  rich tells nobody that it has drawn
            await asyncio.sleep(0.01)
        for _ in range(10):
            await asyncio.sleep(0)
    assert ("checking" in stderr.getvalue()) is shown
