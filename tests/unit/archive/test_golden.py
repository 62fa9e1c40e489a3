"""What older versions wrote is read for ever: the golden files of both formats, by us and by others."""

from __future__ import annotations

import datetime
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.archive import digest, tail_tag
from logsink.archive.log import Txn
from logsink.archive.merge import Input
from logsink.archive.rounds import Rounds
from logsink.errors import FormatError
from logsink.journal.reader import read_segment
from logsink.journal.segment import SegmentName, decode_segment, written_by_newer
from logsink.parse import FILE_SCHEMA, raw_frames
from logsink.query.read.datafile import Chunks, open_file
from logsink.store import Store
from logsink.store.local import LocalStore
from tests.data.golden.make import FRAMES, golden_segment, rows_of
from tests.support import reference_digest
from tests.unit.archive.tables import fresh, log_of

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
ROWS: list[dict[str, Any]] = json.loads((GOLDEN / "table-1.json").read_text())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A copy of the golden table that a test may write to."""
    shutil.copytree(GOLDEN / "table-1", tmp_path, dirs_exist_ok=True)
    async with LocalStore(tmp_path) as opened:
        yield opened


async def rows(store: Store) -> list[dict[str, Any]]:
    files = (await fresh(store)).files.values()
    return rows_of([(file.date, await store.get(file.key)) for file in files])


@pytest.mark.parametrize("bit", [864, 865, 866, 867, 3801, *range(5154, 5209, 54), 5880, *range(6576, 6583), 6648])
def test_damage_to_a_segment_without_checksum_is_a_format_error(bit: int) -> None:
    """Format 1 cannot prove itself; but nobody fails otherwise, or waits for a newer logsink, because of a flipped bit."""
    body = bytearray((GOLDEN / "segment-1.arrow").read_bytes())
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError) as caught:
        decode_segment(bytes(body))
    assert not caught.value.hint
    assert not written_by_newer(bytes(body))


@pytest.mark.parametrize("version", [1, 2])
def test_segments_of_each_format(version: int) -> None:
    found, expected = decode_segment((GOLDEN / f"segment-{version}.arrow").read_bytes()), golden_segment(1)
    assert found.store_id == ("" if version == 1 else "9a3f6d0e-5a60-4b59-9d0a-2f8f6f3f8a55")
    assert (found.stored, found.commit) == (({}, -1) if version == 1 else ({"0190c0de.0": 4}, 17))
    assert (found.name, found.settings) == (expected.name, expected.settings)
    assert found.frames.data.tobytes() == b"".join(FRAMES)
    for name in ("offsets", "flags", "received"):
        np.testing.assert_array_equal(getattr(found.frames, name), getattr(expected.frames, name))
    origins = [[frames.origins[k] for k in frames.origin] for frames in (found.frames, expected.frames)]
    assert origins[0] == origins[1]


async def test_a_data_file_that_proves_itself() -> None:
    """Its tail, its column chunks, its lanes and its digests are what its tags say, read as queries and merges read it."""
    body, said = (GOLDEN / "proved-1.parquet").read_bytes(), json.loads((GOLDEN / "proved-1.json").read_text())
    tags = tuple(said["tags"].items())

    async def fetch(key: str, start: int, end: int) -> bytes:
        return body[start:end]

    opened = await open_file(fetch, said["path"], len(body), tail_tag(tags))
    chunks = Chunks(opened.row_groups(())[0])
    await chunks.fetch(fetch, FILE_SCHEMA.names)
    found = chunks.read(FILE_SCHEMA.names)
    one = Input(said["path"], body, found.num_rows, tags)
    one.check_digests()
    assert (
        found["message"].combine_chunks().cast(pa.string()).equals(one.read(0, ["message"])["message"].combine_chunks())
    )
    assert one.lanes == {"0190c0de.1": ((1, 1),)}
    assert digest.digests_of(found) == digest.digests_tag(tags)
    rows = [row for row in rows_of([(datetime.date(2026, 11, 22), body)]) if row.pop("date")]
    reference = reference_digest.digests(row | {"raw": row["raw"] and bytes.fromhex(row["raw"])} for row in rows)
    assert reference == digest.digests_tag(tags)
    assert [row["message"] for row in rows] == [row["message"] for row in ROWS if row["date"] == "2026-11-22"][:4]


async def test_table_format_1(store: Store) -> None:
    snapshot = await fresh(store)
    assert (snapshot.version, snapshot.checkpoint, snapshot.txn) == (3, 2, {"0190c0de.1": 3})
    assert sum(file.rows for file in snapshot.files.values()) == len(ROWS) == 3 * len(FRAMES)
    assert await rows(store) == ROWS
    for file in snapshot.files.values():
        received = [row["received"] for row in ROWS if row["date"] == str(file.date)]
        assert min(received) <= file.stats.minimum["received"] <= file.stats.maximum["received"] <= max(received)  # type: ignore[operator]


async def test_a_table_of_format_1_is_written_on(store: Store) -> None:
    log = log_of(store)
    assert await log.commit(await log.load(), [Txn("0190c0de.1", 4)]) == 4
    assert (await fresh(store)).txn == {"0190c0de.1": 4}


async def test_the_rows_of_a_segment_are_those_of_the_rules_that_it_names(tmp_path: Path) -> None:
    async with LocalStore(tmp_path) as store:
        body = (GOLDEN / "segment-1.arrow").read_bytes()
        name = SegmentName("0190c0de", 1, 1)
        await store.put(name.key, body)
        log = log_of(store)
        rounds = Rounds(log)
        await rounds.archive(await log.create(), {name: await read_segment(store, name)})
        rounds.close()
        assert await rows(store) == [row for row in ROWS if row["received"] < ROWS[0]["received"] + 10]


async def test_every_frame_comes_back_byte_for_byte(store: Store) -> None:
    found: list[bytes] = []
    for file in (await fresh(store)).files.values():
        found += raw_frames(pq.read_table(pa.BufferReader(await store.get(file.key)))).to_pylist()
    assert sorted(found) == sorted(FRAMES * 3)


async def test_deltalake_and_duckdb_read_the_same(store: LocalStore) -> None:
    table = deltalake.DeltaTable(store.root / "logs")
    assert (table.version(), table.transaction_version("0190c0de.1")) == (3, 3)
    query = "SELECT count(*) AS n, sum(severity) AS s, sum(length(message)) AS m, count(raw) AS r FROM logs"
    by_deltalake = deltalake.QueryBuilder().register("logs", table).execute(query).read_all()
    with duckdb.connect() as connection:
        files = [uri.removeprefix("file://") for uri in table.file_uris()]
        connection.read_parquet(files, hive_partitioning=True).create_view("logs")
        by_duckdb = connection.execute(query).fetchall()
        dates = dict(connection.execute("SELECT date::text, count(*) FROM logs GROUP BY 1").fetchall())
    expected = (
        len(ROWS),
        sum(row["severity"] or 0 for row in ROWS),
        sum(len(row["message"] or "") for row in ROWS),
        sum(row["raw"] is not None for row in ROWS),
    )
    assert by_duckdb == [expected]
    assert tuple(int(by_deltalake[name][0].as_py()) for name in "nsmr") == expected
    assert dates == Counter(row["date"] for row in ROWS)
