"""Counts for the files of a store, as its upkeep puts them."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from logsink.archive import (
    CountedFile,
    Counts,
    DataFile,
    DeltaLog,
    encode_counts,
    union_counts,
)
from logsink.index import COUNTS, CountsBuilder, index_key
from logsink.parse import ROWS_SCHEMA
from logsink.store import Store


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
