"""Reading one thing at a time: some segments, a file's footer, a row group: ``Reader``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from logsink.archive import DataFile, tail_tag
from logsink.errors import FormatError, NotFound
from logsink.journal import Segment, SegmentName, StoredSegment
from logsink.query.read import tail
from logsink.query.read.claims import Claims
from logsink.query.read.datafile import Chunks, OpenFile, RowGroup, open_file
from logsink.query.read.newest import Newest
from logsink.query.read.selection import MESSAGE, Selection
from logsink.query.read.tuning import FETCHES
from logsink.query.read.turns import Turn
from logsink.query.request import Filter
from logsink.store import Store

T = TypeVar("T")

Part = Callable[[pa.Table], pa.Table]
"""Returns the sum of some rows, as a table; called in threads."""


class Found(NamedTuple):
    """What was found in one thing: the number of rows, and a table of them, or ``part`` of that."""

    rows: int
    table: pa.Table


Failed = tuple[SegmentName, FormatError | NotFound]
"""A segment whose rows are missing, and why."""

Reached = Mapping[str, tuple[int, int]]
"""Receiver -> ordinal of the last of its segments that was read, and when the last of its rows in the journal was received."""


class Reader:
    """Reads parts of a store: fetches what is needed, and decodes and filters it in the threads of ``pool``.

    ``columns`` are those of the rows that it returns; with ``part``, it returns that of the rows. How far it reads the journal
    is noted in ``reached``.
    """

    def __init__(
        self,
        store: Store,
        pool: ThreadPoolExecutor,
        columns: Sequence[str],
        part: Part | None = None,
        reached: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        self._store, self._pool = store, pool
        self._reached = {} if reached is None else reached
        self.columns, self.part = columns, part
        self._slots = asyncio.Semaphore(FETCHES)
        self.claims = Claims()
        """What the segments that were read say of others."""

    async def segments(self, group: Sequence[StoredSegment], filter: Filter) -> tuple[Found, list[Failed]]:
        """Return the rows of some segments that meet the filter, and which segments could not be read."""
        read = await asyncio.gather(*(self._segment(stored.name, filter) for stored in group))
        failed: list[Failed] = [each for each in read if not isinstance(each, Segment)]
        segments = [each for each in read if isinstance(each, Segment)]
        found, unparsed = await self._threaded(self._found_in_segments, segments, filter)
        return found, [*failed, *unparsed]

    async def _segment(self, name: SegmentName, filter: Filter) -> Segment | Failed:
        try:
            async with self._slots:
                body = await self._store.get(name.key)
            segment, last = await self._threaded(tail.decode, body, name, filter)
        except (FormatError, NotFound) as error:
            return name, error
        self.claims.add(segment)
        if last is not None:
            ordinal, received = self._reached.get(name.receiver, (0, last))
            self._reached[name.receiver] = max(ordinal, segment.ordinal), max(received, last)
        return segment

    def _found_in_segments(self, segments: Sequence[Segment], filter: Filter) -> tuple[Found, Sequence[Failed]]:
        rows, failed = tail.parse_readable(segments, filter, self.columns)
        return Found(rows.num_rows, rows if self.part is None else self.part(rows)), failed

    async def footer(self, file: DataFile, tail: bytes | None = None) -> OpenFile:
        """Read a file's footer. ``FormatError`` when it is damaged, or none of ours.

        ``tail`` is the file's tail as somebody else has it, which counts if the file's tag in the table's log proves it.
        """
        opened = await open_file(self._fetch, file.key, file.size, tail_tag(file.tags), tail)
        rows, logged = opened.metadata.num_rows, file.known_rows
        if logged not in (None, rows):
            raise FormatError(
                f"cannot read data file {file.key}", f"it has {rows:,} rows, and the table's log says {logged:,}"
            )
        return opened

    async def row_group(
        self, group: RowGroup, filter: Filter, sort: str, newest: Newest | None, turn: Turn
    ) -> Found | None:
        """Return the rows of a row group that meet the filter; None where there are none. ``FormatError`` for damage.

        With a limit, ``newest`` judges them by their column ``sort``. Columns are fetched and decoded only when conditions
        on smaller ones left something, and each step waits for its ``turn``.
        """
        selection = Selection(Chunks(group), group.rows)
        small, large = filter.split(MESSAGE)
        every = (*filter.columns(), *((sort,) if newest is not None else ()), *self.columns)
        if selection.chunks.missing(every) <= turn.few:  # not worth a round trip for each step
            await self._fetch_columns(selection, every, turn)
        if small.conditions:
            await self._fetch_columns(selection, small.columns(), turn)
            await turn.filter()
            await self._threaded(selection.filter_small, small)
        if large.conditions and selection.mask.any():
            await self._fetch_columns(selection, (MESSAGE,), turn)
            await turn.filter()
            await self._threaded(selection.filter_messages, large)
        if newest is not None and selection.mask.any():
            await self._fetch_columns(selection, (sort,), turn)
            await turn.filter()
            selection.mask = newest.choose(await self._threaded(selection.column, sort), selection.mask)
        count = int(np.count_nonzero(selection.mask))
        if not count:
            return None
        await self._fetch_columns(selection, [name for name in self.columns if name not in selection.decoded], turn)
        await turn.decode()
        return Found(count, await self._threaded(self._selected, selection))

    async def _fetch_columns(self, selection: Selection, columns: Sequence[str], turn: Turn) -> None:
        """Fetch columns that were not fetched yet, when it is their turn."""
        await turn.fetch(selection.chunks.missing(columns))
        await selection.chunks.fetch(self._fetch, columns)

    def _selected(self, selection: Selection) -> pa.Table:
        rows = selection.rows(self.columns)
        return rows if self.part is None else self.part(rows)

    async def _fetch(self, key: str, start: int, end: int) -> bytes:
        async with self._slots:
            return await self._store.get(key, start, end)

    async def _threaded(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)
