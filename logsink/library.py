"""Read the archive from Python, as Arrow record batches for pandas, polars, DuckDB and other libraries.

::

    import logsink

    logs = logsink.open("s3://logs/prod")
    errors = logs.scan(since="1h", host="web-*", priority="err", columns=["time", "host", "message"])
    errors.read_pandas()                    # or polars.from_arrow(errors), duckdb.from_arrow(errors), for batch in errors

    logs.sql("SELECT app, count(*) AS n FROM logs GROUP BY app", since=datetime.timedelta(hours=1))  # a pyarrow.Table

Nothing is read before the first batch is taken, and little more than what is taken. Reading happens in a thread of its own, so
that it works where an event loop runs already (notebooks).

Objects of the store that are damaged or missing do not stop the reading. Their rows are not in the result: when it ends, there
is a ``DamageWarning``, and ``logs.damage`` has their keys, what is wrong with each, and how many rows it had.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import queue
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final

import pyarrow as pa

from logsink.damage import Damage
from logsink.errors import ArgumentError
from logsink.parse import FILE_SCHEMA
from logsink.place import parse
from logsink.query import Filter, Query, search
from logsink.query.columns import plain
from logsink.query.output import DEFAULT_COLUMNS
from logsink.query.read import Answer, unordered
from logsink.query.request import REPEATED_TERMS, TERM_NAMES, SearchTerms, to_filter
from logsink.store import Store, open_store

_AHEAD: Final = 4
"""Most batches that wait to be taken."""


class DamageWarning(UserWarning):
    """Objects of the store are damaged or missing, and their rows are not in a result."""


class Archive:
    """A store to be read. ``url`` is what ``--store`` takes; anything else raises ``ConfigError``."""

    def __init__(self, url: str) -> None:
        parse(url)
        self.url = url
        self._damage: dict[str, Damage] = {}

    @property
    def damage(self) -> list[Damage]:
        """What was found damaged or missing by everything that was read to its end through this object, each object once."""
        return list(self._damage.values())

    def __repr__(self) -> str:
        return f"logsink.open({self.url!r})"

    def scan(
        self,
        *pattern: str,
        columns: Sequence[str] = DEFAULT_COLUMNS,
        limit: int | None = None,
        newest_first: bool = False,
        dedupe: bool = False,
        zone: dt.tzinfo = dt.UTC,
        **terms: Any,
    ) -> pa.RecordBatchReader:
        """Return the rows that meet every condition, in order of time, as a reader of record batches of ``columns``.

        ``terms`` are fields of ``logsink.query.request.SearchTerms``, named as the options of ``logsink query``: ``since``,
        ``until``, ``host``, ``app``, ``priority``, ``regex``, ...; where a field takes several texts, a string is one of them.
        Times without a zone are in ``zone``. With a ``limit``, the newest so many. ``ArgumentError`` is raised here, other
        ``logsink.errors`` by the reader.
        """
        filter = _filter(pattern, zone, terms)
        unknown = [name for name in columns if name not in FILE_SCHEMA.names]
        if unknown:
            raise ArgumentError(f"cannot find column {unknown[0]!r}", hint=f"there are {', '.join(FILE_SCHEMA.names)}")
        if limit is not None and limit < 0:
            raise ArgumentError(f"cannot show the newest {limit} rows", hint="limit=None shows all")
        query = Query(filter, tuple(columns), limit, newest_first, dedupe)
        schema = pa.schema([FILE_SCHEMA.field(name) for name in columns])
        found = batches(self.url, schema, lambda store: search(store, query), self._warn)
        return pa.RecordBatchReader.from_batches(schema, found)

    def sql(self, statement: str, *, zone: dt.tzinfo = dt.UTC, **terms: Any) -> pa.Table:
        """Return the result of a SQL statement, in which the rows are the table ``logs``; DuckDB runs it, as for ``logsink
        sql``.

        ``terms``: as ``scan`` takes them. The session's time zone is ``zone``: UTC, or one of ``zoneinfo``. Raises
        ``ArgumentError`` for a statement that cannot be run, ``ConfigError`` when DuckDB is not installed.
        """
        from logsink.query.sql import run

        if zone != dt.UTC and not getattr(zone, "key", None):
            hint = "take datetime.UTC, or a zone with a name: zoneinfo.ZoneInfo('Europe/Berlin')"
            raise ArgumentError(f"cannot use {zone!r} as the time zone of a session", hint=hint)
        filter, stopped = _filter((), zone, terms), threading.Event()

        def read(query: Query, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
            return batches(self.url, schema, lambda store: unordered(store, query), self._warn, stopped)

        found: pa.Table = run(
            statement, filter, zone, read, lambda rows: rows.read_all(), restartable=True, stopped=stopped
        )
        return found

    def _warn(self, answer: Answer) -> None:
        """Keep what is damaged or missing, and warn of it."""
        damage = answer.report.damage
        if damage:
            self._damage.update((each.key, each) for each in damage)
            more = f", and {len(damage) - 1:,} more" if len(damage) > 1 else ""
            text = f"rows are missing: {damage[0]}{more}; Archive.damage has what is damaged or missing in {self.url}"
            warnings.warn(DamageWarning(text), stacklevel=2)


def _filter(pattern: Sequence[str], zone: dt.tzinfo, given: dict[str, Any]) -> Filter:
    """Return the filter that search terms mean, given by their names; one string where several are possible is one of them."""
    unknown = [name for name in given if name not in TERM_NAMES]
    if unknown:
        raise ArgumentError(f"cannot use {unknown[0]!r} as a condition", hint=f"there are {', '.join(TERM_NAMES)}")
    terms: dict[str, Any] = {
        name: (value,) if name in (*REPEATED_TERMS, "pattern") and isinstance(value, str) else value
        for name, value in given.items()
    }
    terms["pattern"] = (*pattern, *terms.get("pattern", ()))
    return to_filter(SearchTerms(**terms), time.time_ns() // 1000, zone)


def batches(
    url: str,
    schema: pa.Schema,
    source: Callable[[Store], Answer],
    ended: Callable[[Answer], object] = lambda answer: None,
    stopped: threading.Event | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the batches of ``source``, which runs in a thread until the last batch is taken; closing the iterator cancels it.

    There is at least one batch, which may have no rows, because polars cannot make a frame of none. ``ended`` is called once
    with the answer of ``source`` when the last batch has been taken, in the thread that takes them. Whoever takes them in a
    thread that gets no interrupts has somebody set ``stopped`` at one: then ``KeyboardInterrupt`` is raised here.
    """
    answers: list[Answer] = []
    found: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(_AHEAD)
    left = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None] | None]] = []

    def put(item: pa.RecordBatch | BaseException | None) -> None:
        while not left.is_set():
            with suppress(queue.Full):
                found.put(item, timeout=0.1)
                return

    async def run() -> None:
        running.append((asyncio.get_running_loop(), asyncio.current_task()))
        if left.is_set():  # before it could be cancelled
            return
        async with open_store(url) as store, aclosing(source(store)) as tables:
            answers.append(tables)
            async for table in tables:
                for batch in plain(table, schema.names).cast(schema).to_batches():
                    await asyncio.to_thread(put, batch)

    def take() -> pa.RecordBatch | BaseException | None:
        if stopped is None:
            return found.get()
        while not stopped.is_set():
            with suppress(queue.Empty):
                return found.get(timeout=0.1)
        raise KeyboardInterrupt

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001  it is raised where the batches are taken
            put(error)
        else:
            put(None)

    thread = threading.Thread(target=work, name="logsink-scan", daemon=True)
    thread.start()
    some = False
    try:
        while (item := take()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            some = True
        if not some:
            yield pa.RecordBatch.from_arrays([pa.array([], kind) for kind in schema.types], schema=schema)
        ended(answers[0])
    finally:
        left.set()
        for loop, task in running:
            if task is not None:
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(task.cancel)
        thread.join()
