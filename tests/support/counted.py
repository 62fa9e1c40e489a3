"""Counts for the files of a store, as its upkeep puts them; stores of which some counts are lost."""

from __future__ import annotations

import asyncio
import datetime
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.archive import (
    CountedFile,
    Counts,
    DataFile,
    DeltaLog,
    encode_counts,
    union_counts,
)
from logsink.archive import counts as stored
from logsink.index import COUNTS, CountsBuilder, index_key
from logsink.journal.segment import SegmentName
from logsink.parse import ROWS_SCHEMA
from logsink.query.read import tail
from logsink.store import Store
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import Row, archive, journal, json_parse


def counts_of(file: DataFile, body: bytes) -> Counts | None:
    """The counts of a data file; None where it has none."""
    parquet, builder = pq.ParquetFile(pa.BufferReader(body)), CountsBuilder()
    for group in range(parquet.num_row_groups):
        builder.add(parquet.read_row_group(group).select(ROWS_SCHEMA.names).cast(ROWS_SCHEMA).combine_chunks())
    table = builder.finish(file.path)
    return None if table is None else Counts({file.path: CountedFile.of(file)}, table)


async def put_counts(store: Store, files: Iterable[DataFile] | None = None, *, together: bool = False) -> list[str]:
    """Put an object with the counts of each of these files (all), or one for each date; return the keys."""
    found = list((await DeltaLog(store).load()).files.values()) if files is None else list(files)
    parts = defaultdict[tuple[datetime.date, int], list[Counts]](list)
    for number, file in enumerate(found):
        if (counts := counts_of(file, await store.get(file.key))) is not None:
            parts[file.date, -1 if together else number].append(counts)
    keys = []
    for number, ((date, _), some) in enumerate(parts.items()):
        keys.append(index_key(date, f"{number:016x}", COUNTS))
        await store.put(keys[-1], memoryview(encode_counts(union_counts(some))))
    return keys


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A store with rows, some of which are counted.

    files      rows of each data file, which has row groups of ``group`` rows
    last       rows that are in the journal only
    together   whether the counts of a date are one object; else each file has its own
    lost       which objects with counts are lost
    fewer      ``FEWER`` of ``archive.counts``: 0: there are counts by day in any case; n: if they are at most 1/n of all
    """

    files: Sequence[Sequence[Row]]
    last: Sequence[Row]
    together: bool
    lost: set[int]
    fewer: int
    group: int

    @property
    def archived(self) -> list[Row]:
        """All rows of the data files."""
        return [one for some in self.files for one in some]

    def run(self, check: Callable[[MemoryStore], Awaitable[None]]) -> None:
        """Make the store, and await ``check`` with it."""

        async def made() -> None:
            store = MemoryStore()
            await archive(store, self.files, group=self.group)
            if self.last:
                await journal(store, SegmentName("r9", 0, 1), self.last)
            keys = await put_counts(store, together=self.together)
            await store.delete([key for number, key in enumerate(keys) if number in self.lost])
            await check(store)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stored, "FEWER", self.fewer)
            patch.setattr(tail, "parse", json_parse)
            asyncio.run(made())
