"""Files with a proof block are Parquet to everybody, and their tags say what is in them."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

import deltalake
import duckdb
import orjson
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import xxhash

from logsink.archive import proof
from logsink.archive.digest import digests_of
from logsink.archive.file import write_files
from logsink.archive.log import Add, Txn
from logsink.parse import FILE_SCHEMA
from logsink.store.local import LocalStore
from tests.unit.archive.rows import TableRows, row
from tests.unit.archive.tables import MIDNIGHT, log_of

HOUR = 3_600_000_000
ROWS = [row(time=k, received=MIDNIGHT + k * HOUR // 50, host=f"h{k % 3}", message=f"m{k}", app="a") for k in range(200)]


def test_tags_say_what_is_in_the_file() -> None:
    (new,) = write_files(TableRows(ROWS), {"r.0": (3, 9), "r.1": (1, 1)}, "r", "abc")
    tags, body = dict(new.file.tags), bytes(new.body)
    assert list(tags) == ["logsink.digests", "logsink.lanes", "logsink.sha256", "logsink.tail"]
    assert tags["logsink.lanes"] == '{"r.0":[[3,9]],"r.1":[[1,1]]}'
    assert tags["logsink.sha256"] == hashlib.sha256(body).hexdigest()
    size, hashed = tags["logsink.tail"].split(":")
    assert hashed == xxhash.xxh3_128_hexdigest(body[-int(size) :])
    metadata = pq.read_metadata(pa.BufferReader(body))
    assert metadata.metadata[b"logsink.proof"] == b"1"
    assert metadata.metadata[b"logsink.digests"].decode() == tags["logsink.digests"]
    chunks = proof.chunk_spans(metadata)
    assert chunks[-1][1] == len(body) - int(size)
    block = b"".join(xxhash.xxh3_64_intdigest(body[a:b]).to_bytes(8, "little") for a, b in chunks)
    assert body[-int(size) :].startswith(block + len(chunks).to_bytes(4, "little"))
    hours = orjson.loads(tags["logsink.digests"])
    assert {hour: rows for hour, (rows, _) in hours.items()} == {f"2026-11-22T0{hour}": 50 for hour in range(4)}
    found = digests_of(pq.read_table(pa.BufferReader(body)))
    assert {hour: [rows, f"{digest:032x}"] for hour, (rows, digest) in found.items()} == hours


def test_a_read_that_is_split_at_midnight_says_its_lanes_in_both_files() -> None:
    rows = [row(received=MIDNIGHT - 1), row(received=MIDNIGHT)]
    one, two = write_files(TableRows(rows), {"r.0": (3, 9)}, "r", "abc")
    assert [one.file.date, two.file.date] == [datetime.date(2026, 11, 21), datetime.date(2026, 11, 22)]
    assert dict(one.file.tags)["logsink.lanes"] == dict(two.file.tags)["logsink.lanes"] == '{"r.0":[[3,9]]}'
    assert dict(two.file.tags)["logsink.digests"].startswith('{"2026-11-22T00":[1,')


@pytest.mark.parametrize("tables", [1, 3])
async def test_everybody_reads_them(tmp_path: Path, tables: int) -> None:
    async with LocalStore(tmp_path) as store:
        log = log_of(store)
        await log.create()
        for number in range(tables):
            (new,) = write_files(TableRows(ROWS), {f"r.{number}": (1, 1)}, "r", f"{number}")
            await store.put(new.file.key, memoryview(new.body))
            await log.commit(await log.load(), [Add(new.file), Txn(f"r.{number}", 1)])
    expected = sorted(one["message"] for one in ROWS) * tables
    table = deltalake.DeltaTable(str(tmp_path / "logs"))
    files = [path.removeprefix("file://") for path in table.file_uris()]
    assert len(files) == tables
    for file in files:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        assert parquet.read().num_rows == 200
        assert parquet.schema_arrow.names == FILE_SCHEMA.names
    assert sorted(ds.dataset(files).to_table(columns=["message"])["message"].to_pylist()) == sorted(expected)
    found = duckdb.sql("SELECT message FROM read_parquet($files) WHERE host IS NOT NULL", params={"files": files})
    assert sorted(message for (message,) in found.fetchall()) == sorted(expected)
    assert duckdb.sql("SELECT count(*) FROM parquet_metadata($files)", params={"files": files}).fetchall() == [
        (22 * tables,)
    ]
    assert sorted(pa.table(table.to_pyarrow_table(columns=["message"]))["message"].to_pylist()) == sorted(expected)


def test_polars_reads_them() -> None:
    polars = pytest.importorskip("polars")
    (new,) = write_files(TableRows(ROWS), {"r.0": (1, 1)}, "r", "abc")
    assert sorted(polars.read_parquet(bytes(new.body))["message"]) == sorted(one["message"] for one in ROWS)
