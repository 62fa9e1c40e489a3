"""Objects with counts: what is written is read back, and nothing else is believed."""

from __future__ import annotations

import datetime
import gc
import io
import re
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from logsink.archive import (
    CountedFile,
    Counts,
    DeltaLog,
    Remove,
    check_sums,
    decode_counts,
    decode_days,
    encode_counts,
    fetch_counts_end,
    read_counts_head,
    union_counts,
)
from logsink.archive import counts as module
from logsink.archive.counts import Days
from logsink.errors import FormatError
from logsink.index import COUNTS, COUNTS_SCHEMA, HOUR, INDEX_REMEDY, CountsBuilder, by_day, index_date, index_key
from logsink.store.local import LocalStore
from logsink.store.memory import MemoryStore
from tests.data.golden.make import COUNTS_KEY, HERE, make_counts, make_days
from tests.support.counted import put_counts
from tests.unit.index.test_counts import group, plain, reference
from tests.unit.query.archives import archive, row

DATE = datetime.date(2026, 11, 22)
STORAGE = Path(__file__).parents[3] / "docs" / "storage.md"
KEY = index_key(DATE, "0123456789abcdef", COUNTS)


def counts_of(name: str, hosts: int = 3) -> Counts:
    builder, path = CountsBuilder(), f"date={DATE}/{name}.parquet"
    builder.add(group([row(n, host=f"h{n % hosts}", app="a", severity=3) for n in range(10)]))
    table = builder.finish(path)
    assert table is not None
    return Counts({path: CountedFile(1234, "99:" + 32 * "f", 10)}, table)


def body_of(*parts: Counts) -> bytes:
    return bytes(memoryview(encode_counts(union_counts(parts))))


def test_what_is_written_is_read_back() -> None:
    one, other = counts_of("b"), counts_of("a", hosts=2)
    found = decode_counts(KEY, body_of(one, other))
    assert found.files == {**one.files, **other.files}
    assert found.table.schema == COUNTS_SCHEMA
    assert found.table.to_pylist() == other.table.to_pylist() + one.table.to_pylist()


def test_a_file_is_in_the_counts_of_several_once() -> None:
    one, other = counts_of("a"), counts_of("b")
    both = union_counts([one, other])
    assert union_counts([both, one, other]) == both
    assert both.only(one.files).files == one.files
    assert both.only(one.files).table.to_pylist() == one.table.to_pylist()
    assert decode_counts(KEY, body_of(both.only(one.files))).files == one.files
    assert both.only(both.files) is both
    assert union_counts([]).table.num_rows == 0


def with_days(name: str = "a", hours: int = 12) -> Counts:
    """Counts of so many hours of two days, of which there are days."""
    builder, path = CountsBuilder(), f"date={DATE}/{name}.parquet"
    rows = [row(n * HOUR // 2, host=f"h{n % 2}", severity=n % 4, message="x" * n) for n in range(2 * hours, 6 * hours)]
    builder.add(group(rows))
    table = builder.finish(path)
    assert table is not None
    return Counts({path: CountedFile(1234, "99:" + 32 * "f", len(rows))}, table)


def days_in(body: bytes, names: Sequence[str] = COUNTS_SCHEMA.names) -> pa.Table | None:
    head = read_counts_head(KEY, body)
    return None if head.days is None else decode_days(KEY, head.days, body[head.days.start : head.days.end], names)


def test_days_stand_beside_the_counts_where_they_save_rows() -> None:
    counts = with_days()
    body = body_of(counts)
    days = days_in(body)
    assert days is not None
    assert days.equals(by_day(counts.table))
    assert 0 < 2 * days.num_rows <= counts.table.num_rows
    found = days_in(body, ["rows", "host"])
    assert found is not None
    assert found.column_names == ["rows", "host"]
    assert decode_counts(KEY, body).table.equals(counts.table)
    assert pq.read_table(pa.BufferReader(body)).num_rows == counts.table.num_rows  # as other programs read it
    assert days_in(body_of(counts_of("a"))) is None
    both = days_in(body_of(counts, with_days("b")))
    assert both is not None
    assert both.num_rows == 2 * days.num_rows


def test_every_changed_byte_of_days_is_found() -> None:
    body = body_of(with_days())
    days = read_counts_head(KEY, body).days
    assert days is not None
    for at in range(days.start, days.end, 7):
        changed = bytearray(body)
        changed[at] ^= 1 << at % 8
        with pytest.raises(FormatError, match="its days do not match their checksum"):
            decode_counts(KEY, bytes(changed))
        assert read_counts_head(KEY, bytes(changed)).days == days  # the counts themselves are still read
    with pytest.raises(FormatError, match="checksum"):
        decode_days(KEY, days, body[days.start : days.end - 1], ["rows"])
    no_parquet = Days(0, 4, xxhash.xxh3_64_hexdigest(b"none"))
    with pytest.raises(FormatError, match="cannot read counts"):
        decode_days(KEY, no_parquet, b"none", ["rows"])


def test_names() -> None:
    assert KEY == "index/date=2026-11-22/0123456789abcdef.counts.parquet"
    assert index_date(KEY, COUNTS) == DATE
    assert index_date(KEY.replace("11-22", "13-22"), COUNTS) is None
    assert index_date(KEY.removesuffix(".counts.parquet") + ".index", COUNTS) is None
    with pytest.raises(FormatError, match="no name of counts"):
        read_counts_head("logs/x.parquet", body_of(counts_of("a")))


def test_every_changed_bit_and_every_cut_is_found() -> None:
    body = body_of(counts_of("a"))
    for at in range(len(body)):
        changed = bytearray(body)
        changed[at] ^= 1 << at % 8
        if at in (*range(4), *_between(body)):  # what no reader of ours looks at
            continue
        with pytest.raises(FormatError, match="cannot read counts index/") as caught:
            decode_counts(KEY, bytes(changed))
        assert caught.value.hint == INDEX_REMEDY or "of format" in str(caught.value)
    for size in range(len(body)):
        with pytest.raises(FormatError):
            decode_counts(KEY, body[:size])


def test_a_footer_is_freed_at_once(collector: None) -> None:
    """Not when Python looks for garbage, which a command does seldom."""
    head = read_counts_head(KEY, body_of(counts_of("one")))
    gone = weakref.ref(head.metadata)
    del head
    assert gone() is None


@pytest.fixture
def collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def _between(body: bytes) -> list[int]:
    """Bytes that belong to no chunk, and stand before the tail."""
    metadata = pq.read_metadata(io.BytesIO(body))
    spans = module.proof.chunk_spans(metadata)
    inside = {at for start, end in spans for at in range(start, end)}
    return [at for at in range(spans[-1][1]) if at not in inside]


def test_counts_that_do_not_add_up() -> None:
    counts = counts_of("a")
    (path,) = counts.files
    more = Counts({path: counts.files[path]._replace(rows=11)}, counts.table)
    with pytest.raises(FormatError, match="do not add up"):
        decode_counts(KEY, body_of(more))
    other = Counts({f"{path}x": CountedFile(1, "", 10)}, counts.table)
    with pytest.raises(FormatError, match="do not add up"):
        decode_counts(KEY, body_of(other))
    none = counts.table.slice(0, 0)
    with pytest.raises(FormatError, match="do not add up"):
        check_sums(KEY, counts.files, none)
    rows = counts.table.schema.get_field_index("rows")
    negative = counts.table.set_column(rows, "rows", pa.array([20, -10, 0]))
    with pytest.raises(FormatError, match="counts nothing"):
        check_sums(KEY, counts.files, negative)


def _written(table: pa.Table, said: Any) -> bytes:
    """A Parquet file with a proof and these words about its files."""
    sink, footer = pa.BufferOutputStream(), list[pq.FileMetaData]()
    writer = pq.ParquetWriter(sink, table.schema, metadata_collector=footer)
    writer.write_table(table)
    writer.add_key_value_metadata({"logsink.counts": said, "logsink.proof": "1"})
    return bytes(memoryview(module.proof.close(sink, writer, footer, table.num_columns)[0]))


def test_objects_of_others_and_of_later_versions() -> None:
    counts = counts_of("a")
    files = {path: list(said) for path, said in counts.files.items()}
    right = orjson.dumps({"format": 1, "files": files})
    assert decode_counts(KEY, _written(counts.table, right)).files == counts.files
    with pytest.raises(FormatError, match="of format 2") as caught:
        decode_counts(KEY, _written(counts.table, orjson.dumps({"format": 2})))
    assert caught.value.hint == "upgrade logsink"
    for said in (b"", b"[]", b"{}", b'{"format":1,"files":[]}', b'{"format":1,"files":{"a":[1]}}'):
        with pytest.raises(FormatError):
            decode_counts(KEY, _written(counts.table, said))
    with pytest.raises(FormatError, match="other columns"):
        decode_counts(KEY, _written(counts.table.drop_columns(["bytes"]), right))
    plain = io.BytesIO()
    pq.write_table(counts.table.replace_schema_metadata({"logsink.counts": right}), plain)
    with pytest.raises(FormatError):
        decode_counts(KEY, plain.getvalue())


@pytest.mark.parametrize("end", [1, 8, 500, 1 << 20])
async def test_the_end_of_an_object_is_fetched_as_far_as_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    monkeypatch.setattr(module, "_END", end)
    counts, store = counts_of("a"), MemoryStore()
    body = body_of(counts)
    await store.put(KEY, body)
    found = await fetch_counts_end(store.get, KEY, len(body))
    assert body.endswith(found)
    assert read_counts_head(KEY, found).files == counts.files
    for key, size in (("longer", len(body) + 5), ("shorter", len(body) - 5)):
        await store.put(key, body)
        with pytest.raises(FormatError):
            read_counts_head(KEY, await fetch_counts_end(store.get, key, size))
    await store.put("foreign", 100 * b"x" + b"\xff\xff\xff\x7fPAR1")
    with pytest.raises(FormatError):
        read_counts_head(KEY, await fetch_counts_end(store.get, "foreign", 108))


def test_any_reader_of_parquet_reads_them(tmp_path: Path) -> None:
    (tmp_path / "a.counts.parquet").write_bytes(body_of(counts_of("a"), counts_of("b")))
    found = duckdb.sql(
        "SELECT host, sum(rows) FROM read_parquet($files) GROUP BY host ORDER BY host",
        params={"files": str(tmp_path / "*.counts.parquet")},
    ).fetchall()
    assert found == [("h0", 8), ("h1", 6), ("h2", 6)]


def test_the_golden_file_of_format_1() -> None:
    """What an older version wrote is read for ever, and says what the rows of its data file say."""
    found = decode_counts(COUNTS_KEY, (HERE / "counts-1.parquet").read_bytes())
    (path,) = found.files
    rows = pq.read_table(pa.BufferReader((HERE / "proved-1.parquet").read_bytes()))
    times = [*rows.column("time").cast(pa.int64()).to_pylist()]
    assert plain(found.table) == reference(
        [r | {"time": t} for r, t in zip(rows.to_pylist(), times, strict=True)], path
    )
    assert decode_counts(COUNTS_KEY, make_counts()).table.equals(found.table)


def test_the_golden_file_of_days() -> None:
    body = (HERE / "counts-1-days.parquet").read_bytes()
    found, days = decode_counts(COUNTS_KEY, body), days_in(body)
    assert days is not None
    assert days.equals(by_day(found.table))
    assert sum(days.column("rows").to_pylist()) == next(iter(found.files.values())).rows
    made = make_days()
    assert decode_counts(COUNTS_KEY, made).table.equals(found.table)
    assert days.equals(days_in(made))


async def test_the_example_in_the_documentation(tmp_path: Path) -> None:
    """Each live file counts once, though several objects are about it, and files that are no more do not count."""
    hour = 3_600_000_000
    async with LocalStore(tmp_path) as store:
        await archive(store, [[row(n * hour, host=f"h{n % 2}") for n in range(30)], [row(0, host="gone")]])
        old = await put_counts(store)
        log = DeltaLog(store)
        gone = sorted((await log.load()).files.values(), key=lambda file: file.path)[1]
        await log.commit(await log.load(), [Remove(gone, data_change=True)])
        await store.put(index_key(DATE, "f" * 16, COUNTS), await store.get(old[0]))
    (code,) = (text for text in re.findall(r"```python\n(.*?)```", STORAGE.read_text(), re.DOTALL) if "$counts" in text)
    code = code.replace("/home/ada/.local/share/logsink", str(tmp_path)).replace("duckdb.sql(", "found = duckdb.sql(")
    names: dict[str, Any] = {}
    exec(code, names)
    rows = names["found"].to_arrow_table().to_pylist()
    found = [(one["day"].day, one["host"], one["rows"], one["bytes"]) for one in rows]
    assert sorted(found) == [(22, "h0", 12, 60), (22, "h1", 12, 60), (23, "h0", 3, 15), (23, "h1", 3, 15)]
