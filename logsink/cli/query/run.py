"""A run of ``logsink query``: from the options to what is printed."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import os
import signal
import stat
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from logsink.cli import report as reporting
from logsink.cli.options.context import rule_of
from logsink.cli.options.output import OutputOptions, row_writer_of
from logsink.cli.options.summaries import SummaryOptions, arranged, check_format, summary_of, written
from logsink.cli.options.terms import filter_of
from logsink.cli.terminal.pager import Pager, pager_command
from logsink.cli.terminal.printing import Printer, Write
from logsink.cli.terminal.streams import reader_gone
from logsink.errors import ArgumentError, FormatError, NotFound, ReaderGone, StoreError, Unavailable
from logsink.query import Cursor, Follower, Query, Report, search
from logsink.query.output import FORMATS, RowWriter
from logsink.query.read import Answer, Fold, Plan, fold, make_plan
from logsink.query.request import GLOB_COLUMNS
from logsink.query.views import (
    AroundMatches,
    AroundTime,
    FutureRows,
    Histogram,
    Neighbours,
    Rule,
    Summary,
    archive_times,
    around_matches,
    around_time,
    in_other_case,
    missing_values,
    with_context,
)
from logsink.store import CountingStore, Store, open_store

CONTACT = 10.0
"""Seconds within which a store must give its first answer."""

GRACE = 1.0
"""Seconds after an interrupt in which what was found has to be there."""

INTERRUPTED = 130

INTERVALS = (0.5, 1.0)
"""Seconds from look to look of a follower: at a directory, at S3."""


def searched(url: str, given: Mapping[str, Any], zone: dt.tzinfo, limit: int | None) -> int:
    """Run it; the exit code."""
    run = _Run(url, given, zone, limit)
    try:
        return asyncio.run(run.run())
    except asyncio.CancelledError:
        return INTERRUPTED
    except ReaderGone:  # an interrupt ends the pager as well
        return INTERRUPTED if run.stopped else 0
    finally:
        run.close()


class _Run:
    """One run of the command."""

    def __init__(self, url: str, given: Mapping[str, Any], zone: dt.tzinfo, limit: int | None) -> None:
        self._url, self._given, self._zone, self._limit = url, given, zone, limit
        self._output_options, self._summary_options = OutputOptions.of(given), SummaryOptions.of(given)
        self._format = FORMATS[self._output_options.output]
        self._terminal = sys.stdout.isatty()
        self.stopped = False
        self._ended = 0.0
        self._notes: list[Callable[[], None]] = []
        self._plan: Plan | None = None
        self._running: Answer | Fold | None = None
        self._follower: Follower | None = None
        self._began, self._hints = 0.0, Report()
        self._kept = ""
        self._printer: Printer | None = None
        self._cursor: str | None = given["after_cursor"]
        file: Path | None = given["cursor_file"]
        if file is not None and self._cursor is None and file.exists():
            self._cursor = file.read_text(encoding="ascii", errors="replace").strip()

    def close(self) -> None:
        """Wait for what was found and is not written yet; outside of the event loop, where an interrupt ends that."""
        if self._printer:
            self._printer.close()

    async def run(self) -> int:
        """The exit code."""
        given = self._given
        filter = filter_of(given, self._zone)
        globs = {column: given[column] for column in GLOB_COLUMNS}
        summary = summary_of(self._summary_options, self._zone, filter, globs)
        rule = rule_of(given, self._zone)
        plain = dataclasses.replace(self._output_options, output="text") if summary else self._output_options
        blocks = isinstance(rule, Neighbours | AroundMatches)
        writer = row_writer_of(plain, self._zone, filter, terminal=self._terminal, blocks=blocks)
        if summary:
            check_format(self._output_options.output)
        columns = tuple(summary.columns if summary else writer.columns)
        limit = None if summary else self._limit
        query = Query(filter, columns, limit, given["reverse"], given["dedupe"], given["sort"])
        self._check(summary, rule)
        began = time.monotonic()
        self._listen_for_interrupts()
        async with open_store(self._url) as store:
            await _reached(store)
            if given["explain"]:
                return await self._explain(store, query, rule)
            with self._at_an_interrupt_what_there_is():
                if summary:
                    await self._summarise(store, query, summary)
                elif self._cursor is not None:
                    await self._beyond(store, query, writer, Cursor.parse(self._cursor))
                else:
                    await self._rows(store, query, rule, writer)
                if not (self._report.rows or self.stopped or self._cursor):
                    self._ended = self._ended or time.monotonic()
                    await self._say_why_nothing(CountingStore(store, self._hints), query)
        report = self._report.with_reads(self._hints)
        reporting.unreadable(report)
        self._tell()
        if not given["quiet"]:
            ended = self._ended or time.monotonic()
            reporting.summary(report, query, ended - began, url=self._url, zone=self._zone)
        if self.stopped:
            return INTERRUPTED
        return 2 if report.unreadable else 0 if report.rows else 1

    @property
    def _report(self) -> Report:
        """What was found and read so far, by all that ran."""
        report = Report(began=self._began) if self._running is None else self._running.report
        if self._follower is not None:
            followed = self._follower.report
            report = replace(report.including(followed), rows=report.rows + followed.rows)
        return replace(report, interrupted=report.interrupted or (self.stopped and not self._given["follow"]))

    def _listen_for_interrupts(self) -> None:
        """The first interrupt asks for what was found so far; before anything can have been, and a second time, it ends all."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._wakened = asyncio.Event()

        def interrupted() -> None:
            if self.stopped or not self._report.began:
                task.cancel()
            else:
                self.stopped = True
                if self._running is not None:
                    self._running.stop()
                self._wakened.set()
                loop.call_later(GRACE, task.cancel)

        with suppress(NotImplementedError, ValueError, RuntimeError):  # not in the main thread
            loop.add_signal_handler(signal.SIGINT, interrupted)

    @contextmanager
    def _at_an_interrupt_what_there_is(self) -> Iterator[None]:
        """Go on behind this when an interrupt's grace is over."""
        try:
            yield
        except asyncio.CancelledError:
            if not self.stopped:
                raise

    async def _explain(self, store: Store, query: Query, rule: Rule | AroundTime | AroundMatches | None) -> int:
        sys.stdout.write(reporting.explain(await make_plan(store, query.filter), query, rule, self._url))
        return 0

    def _tell(self) -> None:
        """Say what is to be noted of the rows that were shown."""
        while self._notes:
            self._notes.pop()()

    async def _say_why_nothing(self, store: Store, query: Query) -> None:
        """Tell people which values are not there, and what is there instead."""
        if self._given["quiet"] or not self._format.for_people:
            return
        with suppress(StoreError, FormatError):  # the answer has been given, and is right
            missing = await missing_values(store, query.filter)
            for each in missing:
                reporting.absent(each)
            if not missing and (found := await in_other_case(store, query.filter)):
                reporting.in_other_case(*found)
            if self._plan and (times := archive_times(self._plan)):
                reporting.beyond(query, times, self._zone)

    async def _rows(
        self,
        store: Store,
        query: Query,
        rule: Rule | AroundTime | AroundMatches | None,
        writer: RowWriter,
    ) -> None:
        rows_of = _source(rule)
        with self._destination() as write:
            printer = self._printer = Printer(writer, write)
            if query.limit == 0:  # nothing old, only where it ends
                self._began = time.time()
                self._plan = await make_plan(store, query.filter)
            else:
                ahead = FutureRows()
                self._running = answer = rows_of(store, query)
                async with (
                    reporting.progress(answer, wanted=not self._given["quiet"]) as end_bar,
                    aclosing(answer) as found,
                ):
                    await _each_while_the_next_comes(ahead.count_in(found), printer, end_bar)
                self._plan = answer.plan
                if ahead.rows and query.limit is not None and query.sort == "time" and not self._given["quiet"]:
                    self._notes.append(partial(reporting.ahead, ahead))
                    if self._given["follow"]:
                        self._tell()
            assert self._plan is not None
            cursor = Cursor.at_end_of(self._plan)
            if self._given["follow"] and not self.stopped:
                self._follower = follower = Follower(store, query, cursor)
                await follower.settle(self._plan)
                await self._follow(follower, printer)
            await self._keep(cursor)
            printer.finish()

    async def _beyond(self, store: Store, query: Query, writer: RowWriter, cursor: Cursor) -> None:
        """What was stored after a cursor."""
        self._began = time.time()
        self._follower = follower = Follower(store, query, cursor)
        with self._destination() as write:
            printer = self._printer = Printer(writer, write)
            await self._new(follower, printer, look=True)
            if self._given["follow"]:
                await self._follow(follower, printer)
            await self._keep(cursor)
            printer.finish()

    async def _follow(self, follower: Follower, printer: Printer) -> None:
        """Show what comes until told to stop. Trouble of the store is said once, and it is tried again."""
        interval = INTERVALS[self._url.startswith("s3:")]
        if sys.stderr.isatty() and not self._given["quiet"]:
            reporting.say("waiting for new lines; Ctrl-C ends it")
        trouble = ""
        while not self.stopped:
            began = time.monotonic()
            try:
                await self._new(follower, printer)
                await self._keep(follower.cursor)
                trouble = ""
            except (Unavailable, NotFound) as error:
                if str(error) != trouble and not self._given["quiet"]:
                    reporting.say(f"{error}; trying again")
                trouble = str(error)
            left = interval - (time.monotonic() - began)
            if reader_gone():
                raise ReaderGone("cannot write to standard output: nobody reads it")
            if left > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wakened.wait(), left)

    async def _new(self, follower: Follower, printer: Printer, *, look: bool = False) -> None:
        async with aclosing(follower.poll(check_archive=look)) as found:
            async for rows in found:
                await asyncio.wrap_future(printer.add(rows))

    async def _keep(self, cursor: Cursor) -> None:
        """The cursor where it is wanted, when everything up to it is written."""
        file: Path | None = self._given["cursor_file"]
        if file is not None and cursor.text != self._kept:
            self._kept = cursor.text
            draft = file.with_name(f".{file.name}.{os.getpid()}")
            await asyncio.to_thread(_replace, draft, file, self._kept + "\n")
        if self._given["show_cursor"] and (self.stopped or not self._given["follow"]):
            reporting.say(f"cursor: {cursor.text}")

    def _check(self, summary: Summary | None, rule: Rule | AroundTime | AroundMatches | None) -> None:
        """``ArgumentError`` for options that do not go together."""
        given = self._given
        following = "--follow" if given["follow"] else "--cursor-file" if given["cursor_file"] else ""
        following = "--after-cursor" if given["after_cursor"] else following
        for name, other in (("--reverse", given["reverse"]), ("--explain", given["explain"]), ("a summary", summary)):
            if following and other:
                raise ArgumentError(f"cannot use {name} with {following}")
        options = "--around" if given["around"] else "-A, -B, -C, -M"
        for name, other in ((following, following), ("--dedupe", given["dedupe"]), ("a summary", summary)):
            if rule is not None and other:
                raise ArgumentError(f"cannot show what belongs to a match with {name}", hint=f"leave out {options}")
        for name, other in ((f"--around or {options}", rule), ("--dedupe", given["dedupe"]), ("a summary", summary)):
            if given["sort"] != "time" and other:
                raise ArgumentError(f"cannot use --sort {given['sort']} with {name}")
        if given["follow"] and self._format.needs_end:
            raise ArgumentError(f"cannot follow with -o {self._format.name}", hint="it has an end; write json or csv")

    async def _summarise(self, store: Store, query: Query, summary: Summary) -> None:
        self._running = folding = fold(store, query, summary.part)
        with self._at_an_interrupt_what_there_is():
            async with reporting.progress(folding, wanted=not self._given["quiet"]):
                await folding.run()
        self._plan, parts = folding.plan, folding.parts
        with self._destination() as write:
            if parts and (folding.report.rows or self._given["count"]):
                quiet = self._given["quiet"]
                found = arranged(summary.whole(parts), self._summary_options)
                shown = found.slice(0, self._limit)
                for part in written(
                    shown, self._summary_options, self._output_options, self._zone, terminal=self._terminal
                ):
                    write(part)
                if self._limit is not None and found.num_rows > self._limit and not quiet:
                    reporting.say(f"only the first {self._limit} of {found.num_rows:,} are shown; -n all shows all")
                if isinstance(summary, Histogram) and summary.shortened and not quiet:
                    reporting.say("of empty steps in a row only the first and last are shown; longer steps show all")
            elif self._given["count"]:
                write(b"0\n")

    @contextmanager
    def _destination(self) -> Iterator[Write]:
        """Where output goes: stdout, or a pager in front of the terminal; never a pager for what has no end."""
        given = self._given
        paged = self._terminal and not (given["no_pager"] or given["follow"] or self._format.binary)
        command = pager_command(os.environ) if paged else None
        if command is None:
            yield sys.stdout.buffer.write
            sys.stdout.buffer.flush()
            return
        with Pager(command) as pager:
            try:
                yield pager.write
            finally:
                self._ended = time.monotonic()  # what comes is somebody reading


def _source(rule: Rule | AroundTime | AroundMatches | None) -> Callable[[Store, Query], Answer]:
    """What finds the rows."""
    if isinstance(rule, AroundTime):
        return partial(around_time, moment=rule)
    if isinstance(rule, AroundMatches):
        return partial(around_matches, span=rule)
    return search if rule is None else partial(with_context, rule=rule)


async def _each_while_the_next_comes(
    found: AsyncGenerator[Any, None], printer: Printer, end_bar: Callable[[], Awaitable[None]]
) -> None:
    """Write tables in order, while the next ones are looked for and sorted."""
    under_way: deque[asyncio.Future[None]] = deque()
    async for rows in found:
        if not _into_a_file():
            await end_bar()
        under_way.append(asyncio.wrap_future(printer.add(rows)))
        under_way[-1].add_done_callback(lambda done: done.cancelled() or done.exception())  # trouble is told once
        if len(under_way) > printer.ahead:
            await under_way.popleft()
    for table in under_way:
        await table


def _into_a_file() -> bool:
    """Whether nobody sees stdout: what reads a pipe may write to the terminal."""
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _replace(draft: Path, file: Path, text: str) -> None:
    draft.write_text(text, encoding="ascii")
    draft.replace(file)


async def _reached(store: Store) -> None:
    """``Unavailable`` when the store gives no answer at all."""
    try:
        await asyncio.wait_for(store.exists(), CONTACT)
    except TimeoutError as error:
        hint = "look at the network, and at AWS_ENDPOINT_URL if it is set"
        raise Unavailable(f"cannot reach {store.url}: no answer in {CONTACT:g} s", hint=hint) from error
