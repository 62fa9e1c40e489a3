"""Sums from counts: of the data files of a plan, those are summed up unread whose rows the archive has counted.

Counts (``index.counts``, stored by ``archive.counts``) say how many rows a file has for each hour and each combination of its
short columns. A row of counts takes part in a sum as its rows would, if all of them meet the filter's conditions on time and
fall into one step of the sum. Where only some of them do, all rows of that hour are read from their files: those files remain
in the plan, for these hours. So do files without counts, and the journal's tail. Either way each row counts once.

Objects that are missing, damaged, foreign or stale are as if they were not there (invariant I13): a file's counts count only
where size, tail and number of rows are those that the table's log says. What the store refuses here is read from the files.

A number of all rows (``logged``) needs not even counts: the table's log has the rows of each file.

::

    LIST index/ -> objects of each planned date -> their ends -> a file's counts from one of them -> columns -> sums
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from logsink.archive import (
    CountedFile,
    CountsHead,
    DataFile,
    check_sums,
    chunk_span,
    decode_days,
    fetch_counts_end,
    read_counts_head,
)
from logsink.errors import FormatError, StoreError
from logsink.index import COUNTED, COUNTS, COUNTS_SCHEMA, DAY, HOUR, index_date
from logsink.query.columns import Int64, Mask, as_array, as_integers, joined, one_chunk
from logsink.query.read.datafile import FetchedFile
from logsink.query.read.plan import Plan, file_bounds
from logsink.query.read.prefetch import prefetched
from logsink.query.read.reader import Found
from logsink.query.read.report import Report
from logsink.query.read.tuning import FETCHES
from logsink.query.request import Between, Condition, Filter, InSpans, Verdict
from logsink.store import Entry, Store

T = TypeVar("T")

_HOURS: Final = 1 << 12
"""Hours from the first to the last of an object up to which all of them are looked at, those without rows, too."""

MEASURES: Final = {"bytes": np.add, "first": np.minimum, "last": np.maximum}
"""Columns of counts beside ``rows``, and what makes one of several."""

_TEXTS: Final = [field.name for field in COUNTS_SCHEMA if pa.types.is_dictionary(field.type)]


class Sums(NamedTuple):
    """How a sum is made of rows of counts.

    columns   the columns of ``COUNTED`` that it needs
    part      returns the sum of some rows, each of which stands for so many: it has ``columns``, ``measures``, and ``time`` if
              ``steps``
    steps     returns which spans of time, from first to last, lie in one step each; None where time has no part in the sum
    unit      microseconds that fit into the steps without a rest
    measures  other columns of counts that it sums up: those of ``MEASURES``
    """

    columns: Sequence[str]
    part: Callable[[pa.Table, Int64], pa.Table]
    steps: Callable[[Int64, Int64], Mask] | None = None
    unit: int = HOUR
    measures: Sequence[str] = ()


def countable(filter: Filter, sums: Sums | None) -> bool:
    """Return whether counts can answer: the sum and all conditions ask for nothing that they do not have."""
    if sums is None or not set(sums.columns) <= set(COUNTED):
        return False
    if sums.unit < HOUR:  # most hours would lie in several steps
        return False
    return all(condition.column in COUNTED or _is_range(condition) for condition in filter.conditions)


def _is_range(condition: Condition) -> bool:
    return isinstance(condition, Between) and condition.column == "time"


def is_logged(filter: Filter, sums: Sums | None) -> bool:
    """Return whether the table's log can answer: the sum is the number of all rows."""
    return sums is not None and not sums.columns and sums.steps is None and not filter.conditions


def logged(plan: Plan, filter: Filter, sums: Sums, report: Report) -> tuple[list[Found], Plan]:
    """Return the sum of the files whose rows the table's log tells, and the plan of what must be read to complete it.

    The log tells them where it proves itself: not while it is damaged, nor where all of its commits are of older versions of
    logsink, which prove nothing.
    """
    proved = plan.snapshot.intact and plan.snapshot.sealed
    if not is_logged(filter, sums) or not proved or report.interrupted:
        return [], plan
    known = {file.path: rows for file in plan.files if (rows := file.known_rows) is not None}
    report.counted += len(known)
    report.passed += sum(file.size for file in plan.files if file.path in known)
    total = sum(known.values())
    found = [Found(total, sums.part(pa.table({}), np.array([total], np.int64)))] if total else []
    return found, plan._replace(files=[file for file in plan.files if file.path not in known])


class _Taken(NamedTuple):
    """What the counts of one date gave: sums, the paths of the files that were counted, and what is left of some of them."""

    found: Sequence[Found]
    counted: Sequence[str]
    left: Mapping[str, Condition]


class Counted:
    """Sums up the files of a plan that have counts: iterate over ``found`` once, then read ``rest``."""

    def __init__(
        self,
        store: Store,
        pool: ThreadPoolExecutor,
        listed: Sequence[Entry],
        plan: Plan,
        filter: Filter,
        sums: Sums,
        report: Report,
    ) -> None:
        self._store, self._pool, self._plan, self._report = store, pool, plan, report
        self._sums = sums
        self._ranges = [
            condition for condition in filter.conditions if isinstance(condition, Between) and _is_range(condition)
        ]
        self._filter = Filter(tuple(condition for condition in filter.conditions if not _is_range(condition)))
        self._slots = asyncio.Semaphore(FETCHES)
        self._listed = defaultdict[str, list[Entry]](list)
        for entry in listed:
            if index_date(entry.key, COUNTS) is None:
                continue
            self._listed[entry.key.split("/")[1]].append(entry)
        self.rest = plan
        """The plan of what must be read to complete the sums; complete when ``found`` has come to its end."""

    async def found(self) -> AsyncGenerator[Found, None]:
        """Yield the sums, and take what they are of out of ``rest``."""
        by_date = defaultdict[str, list[DataFile]](list)
        for file in self._plan.files:
            if (date := file.path.partition("/")[0]) in self._listed:
                by_date[date].append(file)
        dates = iter(by_date.items())

        def next_job() -> Coroutine[Any, Any, _Taken] | None:
            date = None if self._report.interrupted else next(dates, None)
            return None if date is None else self._date(self._listed[date[0]], date[1])

        counted, left = set[str](), dict[str, Condition]()
        async with aclosing(prefetched(next_job, lambda _: FETCHES)) as results:
            async for taken in results:
                counted.update(taken.counted)
                left.update(taken.left)
                for found in taken.found:
                    yield found
        files = [file for file in self._plan.files if file.path not in counted or file.path in left]
        self._report.counted += len(counted)
        self._report.passed += sum(file.size for file in self._plan.files if file.path in counted.difference(left))
        self.rest = self._plan._replace(files=files, left=left)

    async def _date(self, entries: Sequence[Entry], files: Sequence[DataFile]) -> _Taken:
        """Return the sums of those files of a date that have counts."""
        opened = [each for each in await asyncio.gather(*map(self._open, entries)) if each is not None]
        wanted = {file.path: file for file in files}
        use = {
            each.key: [path for path, said in each.head.files.items() if _is_of(said, wanted.get(path))]
            for each in opened
        }
        found, counted, left = list[Found](), list[str](), dict[str, Condition]()
        for each in sorted(opened, key=lambda each: -len(use[each.key])):
            paths = [path for path in use[each.key] if path in wanted]
            taken = await self._sum(each, [wanted[path] for path in paths]) if paths else None
            if taken is not None:
                found += taken.found
                counted += paths
                left |= taken.left
                for path in paths:
                    del wanted[path]
        return _Taken(found, counted, left)

    async def _open(self, entry: Entry) -> _Object | None:
        """Return an object whose end was read; None where it cannot be read."""
        try:
            end = await fetch_counts_end(self._get, entry.key, entry.size)
            head = read_counts_head(entry.key, end)
        except (FormatError, StoreError):
            return None
        return _Object(entry.key, entry.size, head, [(entry.size - len(end), memoryview(end))])

    async def _sum(self, object: _Object, files: Sequence[DataFile]) -> _Taken | None:
        """Return the sums of these files by the counts of an object; None where it cannot be read."""
        ranges = [r for r in self._ranges if any(r.verdict(file_bounds(f, "time")) is not Verdict.ALL for f in files)]
        names = {"file", "rows", *self._sums.columns, *self._sums.measures, *self._filter.columns()}
        names.update(["hour"] if self._sums.steps or self._sums.measures else [])
        bounds = {"hour", "first", "last"}
        if (taken := await self._sum_days(object, names, files, ranges)) is not None:
            return taken
        try:
            if not ranges and not bounds <= names:
                await object.fetch(self._get, names)
                if (taken := await self._threaded(self._take, object, names, files, ranges)) is not None:
                    return taken
            await object.fetch(self._get, names | bounds)
            return await self._threaded(self._take, object, names | bounds, files, ranges)
        except (FormatError, StoreError):
            return None

    async def _sum_days(
        self, object: _Object, names: Collection[str], files: Sequence[DataFile], ranges: Sequence[Between]
    ) -> _Taken | None:
        """Return the sums of these files by the days of an object; None where it has none, or hours are needed."""
        if object.head.days is None:
            return None
        names = {*names, *(("first", "last", "hour") if ranges else ("hour",) if self._sums.steps else ())}
        try:
            await object.fetch_from(self._get, object.head.days.start)
            return await self._threaded(self._take_days, object, names, files, ranges)
        except (FormatError, StoreError):
            return None

    def _take_days(
        self, object: _Object, names: Collection[str], files: Sequence[DataFile], ranges: Sequence[Between]
    ) -> _Taken | None:
        """Return the sums of these files by the fetched days of an object; None where the times in a day matter."""
        table = object.days([name for name in COUNTS_SCHEMA.names if name in names])
        if self._sums.steps is not None and not self._in_one_step(table, DAY):
            return None
        taken = self._summed(object, table, files, ranges)
        return None if taken.left else taken

    def _take(
        self, object: _Object, names: Collection[str], files: Sequence[DataFile], ranges: Sequence[Between]
    ) -> _Taken | None:
        """Return the sums of these files by the fetched columns of an object; None where the times in an hour matter."""
        table = object.read([name for name in COUNTS_SCHEMA.names if name in names])
        if "first" not in names and not self._in_one_step(table, HOUR):
            return None
        return self._summed(object, table, files, ranges)

    def _summed(self, object: _Object, table: pa.Table, files: Sequence[DataFile], ranges: Sequence[Between]) -> _Taken:
        """Return the sums of these files by rows of counts of an object, and what is left of the files."""
        check_sums(object.key, object.head.files, table)
        chosen, mask = one_chunk(table.column("file")), np.ones(table.num_rows, np.bool_)
        if len(files) < len(object.head.files):
            mask = np.isin(chosen.dictionary.to_pylist(), [file.path for file in files])[chosen.indices.to_numpy()]
        if mask.any() and self._filter.conditions:
            mask[mask] = self._filter.mask(table if mask.all() else table.filter(as_array(mask)))
        left, spans = np.zeros(len(mask), np.bool_), None
        if {"first", "last", "hour"}.issubset(table.column_names):
            mask, left, spans = self._divide(table, mask, ranges)
        found = self._found(table if mask.all() else table.filter(as_array(mask)))
        partly = dict.fromkeys(chosen.filter(as_array(left)).unique().to_pylist(), spans) if spans else {}
        return _Taken(found, (), partly)

    def _in_one_step(self, table: pa.Table, length: int) -> bool:
        """Return whether each hour, or day, of ``length`` microseconds lies in one step, whatever the times in it are."""
        if self._sums.steps is None:
            return True
        hours = as_integers(table.column("hour"))
        if (
            len(hours) and hours.max() - hours.min() < _HOURS * length
        ):  # as good as always, and sorting them takes longer
            hours = np.arange(hours.min(), hours.max() + 1, length)
        return bool(self._sums.steps(hours, hours + (length - 1)).all())

    def _found(self, rows: pa.Table) -> list[Found]:
        """Return the sum of rows of counts; none where there are no rows."""
        if not rows.num_rows:
            return []
        names, each = list(self._sums.columns), as_integers(rows.column("rows"))
        if self._sums.steps is not None:  # a time of theirs, or the beginning of their hour where that says enough
            rows = rows.append_column("time", rows.column("first" if "first" in rows.column_names else "hour"))
            names.append("time")
        return [Found(int(each.sum()), self._sums.part(*_without_repeats(rows, names, each, self._sums.measures)))]

    def _divide(self, table: pa.Table, mask: Mask, ranges: Sequence[Between]) -> tuple[Mask, Mask, Condition | None]:
        """Return which rows of counts in ``mask`` count, which do not though some of their rows may, and the hours of those."""
        first, last, hours = (as_integers(table.column(name)) for name in ("first", "last", "hour"))
        some, whole = mask.copy(), mask.copy()
        for condition in ranges:
            if condition.low is not None:
                some &= last >= condition.low
                whole &= first >= condition.low
            if condition.high is not None:
                some &= first < condition.high
                whole &= last < condition.high
        if self._sums.steps is not None:
            whole &= self._sums.steps(first, last)
        split = np.unique(hours[some & ~whole])
        if not len(split):
            return whole, some & ~whole, None
        left = some & np.isin(hours, split)
        return whole & ~left, left, InSpans.of("time", split, split + (HOUR - 1))

    async def _get(self, key: str, start: int, end: int) -> bytes:
        async with self._slots:
            return await self._store.get(key, start, end)

    async def _threaded(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)


class _Object:
    """An object with counts, of which the end and perhaps more was read."""

    def __init__(self, key: str, size: int, head: CountsHead, parts: list[tuple[int, memoryview]]) -> None:
        self.key, self.head = key, head
        self._size, self._parts = size, parts

    async def fetch(self, get: Callable[[str, int, int], Coroutine[Any, Any, bytes]], names: set[str]) -> None:
        """Fetch what is missing of these columns, in one read. ``StoreError``; ``FormatError`` where it is cut."""
        spans = [chunk_span(self._chunk(name)) for name in names]
        await self.fetch_from(get, min(start for start, _ in spans))

    async def fetch_from(self, get: Callable[[str, int, int], Coroutine[Any, Any, bytes]], begins: int) -> None:
        """Fetch what is missing from this byte on, in one read, as ``fetch`` does."""
        end = self._parts[0][0]
        if begins >= end:
            return
        body = await get(self.key, begins, end)
        if len(body) != end - begins:
            raise FormatError(f"cannot read counts {self.key}", f"it ends at byte {begins + len(body)} of {self._size}")
        self._parts[0] = begins, memoryview(body + self._parts[0][1])

    def days(self, names: Sequence[str]) -> pa.Table:
        """Return columns of the days, which were fetched. ``FormatError`` where they do not prove themselves."""
        assert self.head.days is not None
        (at, body), (start, size, _) = self._parts[0], self.head.days
        return decode_days(self.key, self.head.days, body[max(0, start - at) : max(0, start - at) + size], names)

    def read(self, names: Sequence[str]) -> pa.Table:
        """Return fetched columns, one chunk each. ``FormatError`` where they do not prove themselves."""
        fetched = FetchedFile(self._size, self._parts)
        source = pa.PythonFile(fetched, "r")
        try:
            for name in names:
                number = COUNTS_SCHEMA.get_field_index(name)
                if not self.head.proof.holds(number, fetched.part(*chunk_span(self._chunk(name)))):
                    raise FormatError(f"cannot read counts {self.key}", f"column {name} does not match its checksum")
            parquet = pq.ParquetFile(source, metadata=self.head.metadata, read_dictionary=_TEXTS, pre_buffer=False)
            table = parquet.read_row_group(0, columns=list(names), use_threads=False)
            return joined([table.select(names).cast(pa.schema([COUNTS_SCHEMA.field(name) for name in names]))])
        except (pa.ArrowException, OSError) as error:
            raise FormatError(f"cannot read counts {self.key}", str(error)) from error

    def _chunk(self, name: str) -> pq.ColumnChunkMetaData:
        return self.head.metadata.row_group(0).column(COUNTS_SCHEMA.get_field_index(name))


def _is_of(said: CountedFile, file: DataFile | None) -> bool:
    """Return whether counts are those of a live file."""
    try:
        return file is not None and said == CountedFile.of(file)
    except FormatError:
        return False


def _without_repeats(
    rows: pa.Table, names: Sequence[str], each: Int64, measures: Sequence[str]
) -> tuple[pa.Table, Int64]:
    """Return rows of counts, and for how many rows each stands, with one in the place of neighbours that agree in ``names``.

    Rows are sorted by file, app, severity and hour: a sum by these has a hundredth of the rows left.
    """
    if not names and not measures:
        return rows, each
    changed = np.zeros(len(each) - 1, np.bool_)
    for name in names:
        column = one_chunk(rows.column(name))
        values = as_integers(column.indices if pa.types.is_dictionary(column.type) else column, -1)
        changed |= values[1:] != values[:-1]
    begins = np.flatnonzero(np.append(True, changed))
    if 2 * len(begins) > len(each):
        return rows, each
    taken = rows.select(names).take(as_array(begins))
    for name in measures:
        values = MEASURES[name].reduceat(as_integers(rows.column(name)), begins)
        taken = taken.append_column(name, as_array(values).cast(rows.schema.field(name).type))
    return taken, np.add.reduceat(each, begins)
