"""Makes the golden files of the formats as they are now: ``python tests/data/golden/make.py`` from the project's directory.

Run once for each new version of a format. What is here already is never made again: it shows what an older logsink wrote.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, ".")  # as a script, not a module

from logsink.archive.checkpointing import checkpoint
from logsink.archive.counts import CountedFile, Counts, encode_counts
from logsink.archive.file import write_files
from logsink.archive.log import DeltaLog
from logsink.archive.rounds import Rounds
from logsink.flags import Flag
from logsink.index import CountsBuilder, SectionBuilder, encode_object, new_section
from logsink.journal.segment import VERSION, Segment, SegmentName, encode_segment
from logsink.parse import ROWS_SCHEMA, Frames, Origin, Settings, parse
from logsink.store.local import LocalStore

HERE = Path(__file__).parent
MIDNIGHT = 1_795_305_600_000_000
"""2026-11-22T00:00:00Z, microseconds since the epoch; the frames come just before and after it."""

FRAMES = (
    (
        b'<165>1 2026-11-22T00:00:01.003Z web1 nginx 4711 ID47 [deploy@32473 environment="prod" role="web" deploy="42" '
        b'instance="i-1"] \xef\xbb\xbfGET / 200'
    ),
    b"<34>1 2026-11-21T23:59:59.123456+01:00 web1 su - - - 'su root' failed",
    b"<13>Nov 22 00:00:02 db1 cron[77]: (root) CMD (true)",
    b"<0>kernel: panic",
    b"no head at all",
    b"<14>1 2026-11-22T00:00:03Z h\xc3\xa4 app - - - \xff\xfe not UTF-8",
    b"<999>1 2026-11-22T00:00:04Z web1 nginx - - [broken too far",
    b"",
)
FLAGS = (0, 0, 0, 0, 0, 0, int(Flag.INCOMPLETE), 0)
READS = (-2, -2, -1, -1, 1, 1, 2, 2)
ORIGINS = (Origin("192.0.2.1", None, "tcp"), Origin("2001:db8::1", "CN=web1,O=Example", "relp"))


def golden_segment(sequence: int) -> Segment:
    """The frames above; ``sequence`` makes them another read."""
    frames = Frames(
        np.frombuffer(b"".join(FRAMES), np.uint8),
        np.cumsum([0, *map(len, FRAMES)]).astype(np.int32),
        np.array(FLAGS, np.int32),
        np.array(READS, np.int64) + MIDNIGHT + 10 * (sequence - 1),
        np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32),
        ORIGINS,
    )
    return Segment(SegmentName("0190c0de", 1, sequence), Settings("Europe/Berlin", "deploy@32473", 1), frames)


def rows_of(objects: list[tuple[datetime.date, bytes]]) -> list[dict[str, Any]]:
    """All rows of these data files, in one order, as JSON holds them."""
    found = []
    for date, body in objects:
        table = pq.read_table(pa.BufferReader(body))
        for name in ("time", "received"):
            table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
        for one in table.to_pylist():
            raw = one.pop("raw")
            found.append({"date": str(date)} | one | {"raw": raw if raw is None else raw.hex()})
    return sorted(found, key=lambda one: (one["received"], one["nth"], one["time"], str(one["wire"]), str(one["raw"])))


async def make_table(directory: Path) -> list[dict[str, Any]]:
    """A table of two commits, a checkpoint, and one commit more."""
    async with LocalStore(directory) as store:
        log = DeltaLog(store)
        rounds = Rounds(log)
        await log.create()
        for sequence in (1, 2, 3):
            one = golden_segment(sequence)
            await rounds.archive(await log.load(), {one.name: one})
            if sequence == 2:
                assert await checkpoint(log, 1) == 2
        rounds.close()
        files = (await log.load()).files.values()
        return rows_of([(file.date, await store.get(file.key)) for file in files])


def make_file() -> tuple[bytes, dict[str, Any]]:
    """A data file with a proof block, and what the table's log says of it: of the rows of a segment, those after midnight."""
    one = golden_segment(1)
    rows = parse(one.frames, one.settings, one.name.receiver)
    *_, new = write_files(rows, {one.name.app_id: (1, 1)}, one.name.receiver, "golden")
    said = {"path": new.file.path, "statistics": new.file.statistics, "tags": dict(new.file.tags)}
    return bytes(new.body), said


INDEX_KEY = "index/date=2026-11-22/0123456789abcdef.index"


def make_index() -> bytes:
    """An index object about the golden data file."""
    body = (HERE / "proved-1.parquet").read_bytes()
    said = json.loads((HERE / "proved-1.json").read_text())
    builder, source = SectionBuilder(1), pq.ParquetFile(pa.BufferReader(body))
    for group in range(source.num_row_groups):
        builder.add(source.read_row_group(group))
    tag = said["tags"]["logsink.tail"]
    tail = body[-int(tag.partition(":")[0]) :]
    made = new_section(said["path"], len(body), tag, source.metadata.num_rows, builder.finish(), tail)
    return encode_object(datetime.date(2026, 11, 22), "9a3f6d0e-5a60-4b59-9d0a-2f8f6f3f8a55", [made])


COUNTS_KEY = "index/date=2026-11-22/0123456789abcdef.counts.parquet"


def make_counts() -> bytes:
    """An object with the counts of the golden data file."""
    body = (HERE / "proved-1.parquet").read_bytes()
    said = json.loads((HERE / "proved-1.json").read_text())
    builder, source = CountsBuilder(), pq.ParquetFile(pa.BufferReader(body))
    for group in range(source.num_row_groups):
        builder.add(source.read_row_group(group).select(ROWS_SCHEMA.names).cast(ROWS_SCHEMA).combine_chunks())
    counted = CountedFile(len(body), said["tags"]["logsink.tail"], source.metadata.num_rows)
    table = builder.finish(said["path"])
    assert table is not None
    return bytes(memoryview(encode_counts(Counts({said["path"]: counted}, table))))


def make_days() -> bytes:
    """An object whose counts have days: the rows of the golden data file, in six hours of one day and four of the next."""
    rows = pq.read_table(pa.BufferReader((HERE / "proved-1.parquet").read_bytes())).select(ROWS_SCHEMA.names)
    builder, hour, parts = CountsBuilder(), 3_600_000_000, []
    for later in (*range(1, 7), *range(25, 29)):
        times = pa.array([time + later * hour for time in rows.column("time").cast(pa.int64()).to_pylist()])
        place = rows.schema.get_field_index("time")
        parts.append(rows.set_column(place, "time", times.cast(rows.schema.field("time").type)))
    builder.add(pa.concat_tables(parts).cast(ROWS_SCHEMA).unify_dictionaries().combine_chunks())
    path = "date=2026-11-22/compacted-00c0ffee.parquet"
    table = builder.finish(path)
    assert table is not None
    return bytes(
        memoryview(encode_counts(Counts({path: CountedFile(4711, "99:" + 32 * "f", 10 * rows.num_rows)}, table)))
    )


def main() -> None:
    segment, table = HERE / f"segment-{VERSION}.arrow", HERE / "table-1"
    if not segment.exists():
        said = {"store_id": "9a3f6d0e-5a60-4b59-9d0a-2f8f6f3f8a55", "stored": {"0190c0de.0": 4}, "commit": 17}
        segment.write_bytes(encode_segment(golden_segment(1)._replace(**said)))
    if not (file := HERE / "proved-1.parquet").exists():
        body, said = make_file()
        file.write_bytes(body)
        file.with_suffix(".json").write_text(json.dumps(said, indent=1) + "\n")
    if not (index := HERE / "index-1.index").exists():
        index.write_bytes(make_index())
    if not (counts := HERE / "counts-1.parquet").exists():
        counts.write_bytes(make_counts())
    if not (days := HERE / "counts-1-days.parquet").exists():
        days.write_bytes(make_days())
    if not table.exists():
        rows = asyncio.run(make_table(table))
        (HERE / "table-1.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
