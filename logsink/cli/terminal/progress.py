"""A progress bar on stderr, for work that takes longer than a moment."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

PATIENCE = 1.0
"""Seconds until a bar appears."""


class Measured(Protocol):
    """Work that says how far it has come."""

    @property
    def total(self) -> int: ...
    @property
    def done(self) -> int: ...


@asynccontextmanager
async def showing(verb: str, work: Measured, *, enabled: bool) -> AsyncIterator[None]:
    """Show on a terminal how far ``work`` has come, until the context is left. ``verb`` stands before the bar."""
    task = asyncio.create_task(_bar(verb, work)) if enabled and sys.stderr.isatty() else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _bar(verb: str, work: Measured) -> None:
    await asyncio.sleep(PATIENCE)
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn(verb), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, total=None)
        while True:
            bar.update(task, total=work.total or None, completed=min(work.done, work.total))
            await asyncio.sleep(0.1)
