"""Data files that a repair makes: from what can be read of a damaged one, and from segments that were archived once.

Both enter the table by the repair's own commit, in the place of a damaged file. Nothing here decides what is made.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Sequence

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from logsink.archive.file import HELD, INPUTS, FileWriter, NewFile, write_files
from logsink.archive.lanes import Lanes, encode
from logsink.archive.merge import Input, merge
from logsink.archive.rounds import by_settings, gathered
from logsink.archive.snapshot import DataFile
from logsink.journal import Segment
from logsink.parse import CODED_COLUMNS, Workspace, parse


def salvage_file(file: DataFile, body: bytes, bad: Collection[int], lanes: Lanes) -> NewFile | None:
    """Return a file with the rows of all row groups of ``body`` but ``bad`` ones; None when there are none. Blocks.

    ``lanes`` are those of the damaged file, which counts as the new one's input. Raises ``FormatError`` when more is damaged.
    """
    whole = pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True)
    good = [number for number in range(whole.metadata.num_row_groups) if number not in bad]
    if not good:
        return None
    coded = [name for name in CODED_COLUMNS if name in whole.metadata.schema.names]
    parquet = pq.ParquetFile(pa.BufferReader(body), read_dictionary=coded, page_checksum_verification=True)
    sink, rows = pa.BufferOutputStream(), 0
    with pq.ParquetWriter(
        sink, whole.schema_arrow.remove_metadata(), compression="zstd", write_statistics=True
    ) as writer:
        for number in good:
            group = parquet.read_row_group(number, use_threads=False)
            writer.write_table(group.cast(whole.schema_arrow.remove_metadata()))
            rows += len(group)
        writer.add_key_value_metadata({"logsink.format": "1"})
    made = FileWriter()
    merge([Input(file.path, sink.getvalue().to_pybytes(), rows)], made)
    path = f"date={file.date}/compacted-{uuid.uuid4().hex[:16]}.parquet"
    said = {INPUTS: orjson.dumps([file.path]), HELD: encode(lanes).encode()}
    return made.finish(path, file.date, said, lanes)


def restore_rows(segments: Sequence[Segment], date: datetime.date | None) -> list[NewFile]:
    """Return files with the rows of these segments of one lane, which follow one another: of one date, or all. Blocks."""
    names = [segment.name for segment in segments]
    lanes = {names[0].app_id: (names[0].sequence, names[-1].sequence)}
    made: list[NewFile] = []
    readable = [segment for segment in segments if len(segment.frames)]
    workspace = Workspace()
    for settings, (parts, _) in by_settings(readable).items():
        rows = parse(gathered(parts, workspace), settings, names[0].receiver, workspace=workspace)
        made += write_files(rows, lanes, names[0].receiver, uuid.uuid4().hex[:16])
    return [new for new in made if date is None or new.file.date == date]
