"""Where runs are cut, and statistics at the edges of what can be said."""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.archive import file
from logsink.archive.file import NewFile, write_files
from logsink.archive.merge import Input, Unreadable
from logsink.parse import ROWS_SCHEMA
from tests.unit.archive.rows import TableRows, row
from tests.unit.archive.tables import as_by_an_older_version


def written(*rows: dict[str, Any]) -> NewFile:
    (new,) = write_files(TableRows(rows), {"r.0": (1, 2)}, "r", "abc")  # type: ignore[arg-type]
    return new


@pytest.mark.parametrize(
    ("times", "runs"),
    [
        ([0, 1, 2, 3, 4, 5, 6], [4, 3]),
        ([0, 1, 1, 2, 2, 2, 3], [3, 4]),  # the cut moves back to where the instant begins
        ([0, 0, 0, 0, 0, 0, 1], [4, 3]),  # one instant of more rows than a run: it is cut
        ([0, 5, 5, 5, 5, 5, 5], [1, 4, 2]),
        ([6, 5, 4, 3, 2, 1, 0], [4, 3]),
        ([0, 0, 0, 0], [4]),
    ],
)
def test_runs_are_cut_at_a_change_of_time(monkeypatch: pytest.MonkeyPatch, times: list[int], runs: list[int]) -> None:
    monkeypatch.setattr(file, "RUN", 4)
    new = written(*(row(time=time, host=str(k % 3)) for k, time in enumerate(times)))
    parquet = pq.ParquetFile(new.body)
    assert orjson.loads(parquet.metadata.metadata[b"logsink.runs"]) == runs
    found, end = parquet.read()["time"].cast(pa.int64()).to_pylist(), 0
    for length in runs:
        assert sorted(found[end : end + length]) == sorted(times)[end : end + length]
        end += length


def test_the_whole_order_within_a_run() -> None:
    """Messages by their octets, those beyond 65,534 by host at once."""
    keys = [(None, None, None, 0, 0, 0), (None, "", "a", 0, 0, 0), (None, "b", None, 0, 0, 0), ("", "", "", 0, 0, 0)]
    keys += [("a", "zz", "b", 0, 9, 9), ("a", "yy", "b", 1, 0, 1), ("a", "xx", "b", 1, 1, 0), ("a", "zz", "b", 1, 1, 2)]
    keys += [("a", "aa", "c", 0, 0, 0), ("a", "éa", "a", 0, 0, 0), ("a", "z" * 65_536, "a", 0, 0, 0)]
    keys += [("a", "z" * 65_535, "b", 0, 0, 0), ("ab", None, None, 0, 0, 0), ("é", "", "a", 0, 0, 0)]
    names = ("app", "message", "host", "time", "received", "nth")
    new = written(*(row(**dict(zip(names, key, strict=True))) for key in [*keys[::2], *keys[1::2][::-1]]))
    table = pq.read_table(new.body)
    columns = [table[name].cast(pa.int64()) if name in ("time", "received") else table[name] for name in names]
    assert list(zip(*(column.to_pylist() for column in columns), strict=True)) == keys


@pytest.mark.parametrize("proved", [True, False])
def test_a_bit_that_flipped_is_no_row_of_a_merged_file(proved: bool) -> None:
    """By the hash of its column chunk, or in a file of an older version, which has none, by its page's checksum."""
    new = written(*(row(message=f"message {k * k}", time=k) for k in range(500)))
    body = bytearray(new.body if proved else as_by_an_older_version(new))
    group = pq.read_metadata(pa.BufferReader(body)).row_group(0)
    message = next(one for one in map(group.column, range(group.num_columns)) if one.path_in_schema == "message")
    body[message.data_page_offset + message.total_compressed_size // 2] ^= 4
    with pytest.raises(Unreadable, match="does not match its checksum" if proved else "CRC") as caught:
        Input("date=2026-11-28/x.parquet", bytes(body), 500).read(0, ROWS_SCHEMA.names)
    assert caught.value.path == "date=2026-11-28/x.parquet"


def test_more_hosts_than_fit_a_small_number() -> None:
    rows = [row(host=f"h{k * 7919 % 70_001:05}", time=k) for k in range(70_000)]
    table = pq.read_table(written(*rows).body)
    assert table["host"].to_pylist() == sorted(one["host"] for one in rows)


@pytest.mark.parametrize(
    ("per_read", "encoding"), [(1, "DELTA_BINARY_PACKED"), (7, "DELTA_BINARY_PACKED"), (8, "RLE_DICTIONARY")]
)
def test_received_is_kept_as_is_smaller(per_read: int, encoding: str) -> None:
    """Times of reads with few rows by their differences, of those with many by a dictionary."""
    new = written(*(row(time=k, received=1_000_003 * (k // per_read)) for k in range(560)))
    parquet = pq.ParquetFile(new.body)
    assert encoding in parquet.metadata.row_group(0).column(1).encodings
    assert parquet.read()["received"].cast(pa.int64()).to_pylist() == [1_000_003 * (k // per_read) for k in range(560)]


def test_dictionaries_hold_only_what_a_row_group_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "GROUP", 2)
    new = written(*(row(time=k, procid="x" * 1000 + str(k)) for k in range(100)))
    footer = pq.read_metadata(pa.BufferReader(new.body))
    column = footer.schema.names.index("procid")
    sizes = [footer.row_group(g).column(column).total_uncompressed_size for g in range(footer.num_row_groups)]
    assert len(sizes) == 50
    assert max(sizes) < 3000


def test_statistics_are_where_the_format_says() -> None:
    footer = pq.read_metadata(pa.BufferReader(written(row(host="h", app="a", severity=3, message="m")).body))
    group = footer.row_group(0)
    columns = [group.column(k) for k in range(group.num_columns)]
    said = {column.path_in_schema for column in columns if column.is_stats_set}
    assert said == {"time", "received", "app", "host", "severity"}
    assert {column.compression for column in columns} == {"ZSTD"}
    assert [order.column_index for order in group.sorting_columns] == [4]


def test_instants_without_a_four_digit_year_have_no_bound() -> None:
    stats = written(row(time=-(10**17)), row(time=3 * 10**17)).file.stats
    assert "time" not in stats.minimum
    assert "time" not in stats.maximum
    assert stats.minimum["received"] == stats.maximum["received"] == 0
