"""Index objects for the files of a store, as its upkeep puts them."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from logsink.archive import DataFile, DeltaLog, read_tail, tail_tag
from logsink.index import FILTERS, NewSection, SectionBuilder, encode_object, index_key, new_section
from logsink.parse import ROWS_SCHEMA
from logsink.store import Store


def section_of(file: DataFile, body: bytes) -> NewSection:
    """The section of a data file."""
    parquet, builder = pq.ParquetFile(pa.BufferReader(body)), SectionBuilder(5)
    for group in range(parquet.num_row_groups):
        builder.add(parquet.read_row_group(group).select(ROWS_SCHEMA.names).cast(ROWS_SCHEMA).combine_chunks())
    tag = tail_tag(file.tags)
    tail = b"" if tag is None else body[-tag.size :]
    if tag is not None:
        read_tail(file.key, tail, tag)
    return new_section(file.path, file.size, "" if tag is None else str(tag), file.rows, builder.finish(), tail)


async def put_index(
    store: Store, files: Iterable[DataFile] | None = None, *, together: bool = True, of: str = ""
) -> list[str]:
    """Put an index object for each date of these files (all), or for each file; return the keys. ``of``: a store's id."""
    found = list((await DeltaLog(store).load()).files.values()) if files is None else list(files)
    parts = defaultdict[tuple[datetime.date, int], list[NewSection]](list)
    for number, file in enumerate(found):
        parts[file.date, -1 if together else number].append(section_of(file, await store.get(file.key)))
    keys = []
    for number, ((date, _), sections) in enumerate(parts.items()):
        keys.append(index_key(date, f"{number:016x}", FILTERS))
        await store.put(keys[-1], encode_object(date, of, sections))
    return keys
