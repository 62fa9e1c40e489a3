"""A run of ``logsink query``: from the options to what is printed."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from typing import Any

from logsink.cli import report as reporting
from logsink.cli.conditions import wanted
from logsink.cli.output import BINARY, output_of
from logsink.cli.summaries import arranged, check, show, summary_of
from logsink.errors import Unavailable
from logsink.query import Query, Report, Tuning, search
from logsink.query.formats import Output
from logsink.query.plan import plan
from logsink.query.scan import fold
from logsink.query.summary import Summary
from logsink.store import Store, open_store

CONTACT = 10.0
"""Seconds within which a store must give its first answer."""

GRACE = 1.0
"""Seconds after an interrupt in which what was found has to be there."""

INTERRUPTED = 130


def searched(url: str, given: Mapping[str, Any], zone: dt.tzinfo, limit: int | None) -> int:
    """Run it; the exit code."""
    try:
        return asyncio.run(_Run(url, given, zone, limit).run())
    except asyncio.CancelledError:
        return INTERRUPTED


class _Run:
    """One run of the command."""

    def __init__(self, url: str, given: Mapping[str, Any], zone: dt.tzinfo, limit: int | None) -> None:
        self._url, self._given, self._zone, self._limit = url, given, zone, limit
        self._terminal = sys.stdout.isatty()
        self._stopped = False

    async def run(self) -> int:
        """The exit code."""
        given = self._given
        summary = summary_of(given, self._zone)
        output = output_of({**given, "output": "text"} if summary else given, self._zone, terminal=self._terminal)
        if summary:
            check(given)
        columns = tuple(summary.columns if summary else output.columns)
        limit = None if summary else self._limit
        query = Query(wanted(given, self._zone), columns, limit, given["reverse"], given["dedupe"])
        report, tuning = Report(), Tuning(stop=lambda: self._stopped)
        began = time.monotonic()
        self._listen_for_interrupts(report)
        async with open_store(self._url) as store:
            await _reached(store)
            if given["explain"]:
                return await self._explain(store, query)
            if summary:
                await self._summarise(store, query, summary, report, tuning)
            else:
                await self._rows(store, query, output, report, tuning)
        reporting.unreadable(report)
        if not given["quiet"]:
            reporting.summary(report, query, time.monotonic() - began, url=self._url, zone=self._zone)
        if report.interrupted:
            return INTERRUPTED
        return 2 if report.unreadable else 0 if report.rows else 1

    def _listen_for_interrupts(self, report: Report) -> None:
        """The first interrupt asks for what was found so far; before anything can have been, and a second time, it ends all."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def interrupted() -> None:
            if self._stopped or not report.began:
                task.cancel()
            else:
                self._stopped = True
                loop.call_later(GRACE, task.cancel)

        with suppress(NotImplementedError, ValueError, RuntimeError):  # not in the main thread
            loop.add_signal_handler(signal.SIGINT, interrupted)

    async def _explain(self, store: Store, query: Query) -> int:
        sys.stdout.write(reporting.explain(await plan(store, query.filter), query, self._url))
        return 0

    async def _rows(self, store: Store, query: Query, output: Output, report: Report, tuning: Tuning) -> None:
        wanted_bar = not self._given["quiet"]
        with self._destination() as write:
            async with (
                reporting.progress(report, wanted=wanted_bar) as quiet,
                aclosing(search(store, query, report, tuning)) as found,
            ):
                async for rows in found:
                    if self._terminal:
                        quiet()
                    await asyncio.to_thread(_write_all, write, output, rows)
            write(output.finish())

    async def _summarise(self, store: Store, query: Query, summary: Summary, report: Report, tuning: Tuning) -> None:
        async with reporting.progress(report, wanted=not self._given["quiet"]):
            parts = await fold(store, query, summary.part, report, tuning)
        with self._destination() as write:
            if parts and (report.rows or self._given["count"]):
                show(arranged(summary.whole(parts), self._given, self._limit), self._given, self._zone, write)
            elif self._given["count"]:
                write(b"0\n")

    @contextmanager
    def _destination(self) -> Iterator[Callable[[bytes | memoryview], object]]:
        """Where output goes: stdout, or a pager in front of the terminal."""
        pager = (
            _pager() if self._terminal and not self._given["no_pager"] and self._given["output"] not in BINARY else None
        )
        if pager is None:
            yield sys.stdout.buffer.write
            sys.stdout.buffer.flush()
            return
        environ = {"LESS": "FRSXMK"} | os.environ
        with subprocess.Popen(pager, stdin=subprocess.PIPE, env=environ) as process:
            assert process.stdin is not None
            try:
                yield process.stdin.write
            finally:
                with suppress(BrokenPipeError):
                    process.stdin.close()


def _write_all(write: Callable[[bytes | memoryview], object], output: Output, rows: Any) -> None:
    for part in output.write(rows):
        write(part)
    if write == sys.stdout.buffer.write:
        sys.stdout.buffer.flush()


def _pager() -> list[str] | None:
    """The pager that PAGER names, or less; None without any."""
    named = os.environ.get("PAGER")
    command = shlex.split(named) if named is not None else ["less"]
    return command if command and command[0] != "cat" and shutil.which(command[0]) else None


async def _reached(store: Store) -> None:
    """``Unavailable`` when the store gives no answer at all."""
    try:
        await asyncio.wait_for(store.exists(), CONTACT)
    except TimeoutError as error:
        hint = "look at the network, and at AWS_ENDPOINT_URL if it is set"
        raise Unavailable(f"cannot reach {store.url}: no answer in {CONTACT:g} s", hint=hint) from error
