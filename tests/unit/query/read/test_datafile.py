"""Data files read in parts."""

from __future__ import annotations

import io
import random
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.errors import FormatError
from logsink.parse import FILE_SCHEMA
from logsink.query.columns import SCHEMA
from logsink.query.read import datafile, pages
from logsink.query.read.datafile import Bounds, Chunks, OpenFile, open_file
from tests.unit.query.archives import START, Row, parquet, row, rows_of, table

pytestmark = pytest.mark.usefixtures("ranged")


class Remote:
    """One object, and which ranges of it were asked for."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[tuple[int, int]] = []

    async def fetch(self, key: str, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        return self.body[start:end]

    async def open(self) -> OpenFile:
        return await open_file(self.fetch, "logs/x.parquet", len(self.body))


def rows(count: int) -> list[Row]:
    return [
        row(i, host=f"h{i // 10}", app=None, severity=i % 8, message=f"message {i} " + "x" * (i % 50))
        for i in range(count)
    ]


async def test_columns_of_a_row_group() -> None:
    stored = rows(25)
    remote = Remote(parquet(stored, group=10))
    groups = (await remote.open()).row_groups(("time", "host", "severity", "app", "message"))
    assert [g.rows for g in groups] == [10, 10, 5]
    assert groups[1].bounds["time"] == Bounds(START + 10, START + 19, 0)
    assert groups[1].bounds["host"] == Bounds("h1", "h1", 0)
    assert groups[2].bounds["severity"] == Bounds(0, 7, 0)
    assert groups[2].bounds["app"].nulls == 5
    assert groups[2].bounds["app"].low is None
    chunks = Chunks(groups[1])
    await chunks.fetch(remote.fetch, ("host", "message"))
    found = chunks.read(("message", "host"))
    assert found.schema.names == ["message", "host"]
    assert found.schema.field("host").type == SCHEMA.field("host").type
    assert rows_of([found]) == [{"message": r["message"], "host": r["host"]} for r in stored[10:20]]
    await chunks.fetch(remote.fetch, ("host", "severity"))
    assert rows_of([chunks.read(("severity",))]) == [{"severity": r["severity"]} for r in stored[10:20]]


async def test_neighbours_are_fetched_together_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Remote(parquet(rows(200), group=100))
    file = await remote.open()
    monkeypatch.setattr(datafile, "GAP", 0)
    group = file.row_groups(())[0]
    remote.asked.clear()
    chunks = Chunks(group)
    await chunks.fetch(remote.fetch, ("time", "received"))
    assert len(remote.asked) == 1
    await chunks.fetch(remote.fetch, ("time", "received", "message"))
    assert len(remote.asked) == 2
    await chunks.fetch(remote.fetch, ("host", "transport"))
    assert len(remote.asked) == 4
    asked = sorted(remote.asked)
    assert all(before[1] <= after[0] for before, after in pairwise(asked))
    monkeypatch.setattr(datafile, "GAP", 1 << 20)
    assert len(file.spans(0, ("time", "transport"))) == 1


async def test_a_small_file_is_fetched_once_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = rows(25)
    remote = Remote(parquet(stored, group=10))
    monkeypatch.setattr("logsink.query.read.datafile.WHOLE", len(remote.body))
    opened = await remote.open()
    for group, first in zip(opened.row_groups(()), (0, 10, 20), strict=True):
        chunks = Chunks(group)
        assert chunks.missing(("host", "message")) == 0
        await chunks.fetch(remote.fetch, ("host", "message"))
        found = rows_of([chunks.read(("message", "host"))])
        assert found == [{"message": r["message"], "host": r["host"]} for r in stored[first : first + 10]]
    assert remote.asked == [(0, len(remote.body))]


async def test_of_a_larger_file_its_end_is_fetched_and_no_more_of_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Remote(parquet(rows(25), group=10))
    monkeypatch.setattr("logsink.query.read.datafile.WHOLE", len(remote.body) - 1)
    opened = await remote.open()
    assert opened.body is None
    chunks = Chunks(opened.row_groups(())[0])
    assert 0 < chunks.missing(("host", "message")) < len(remote.body)


async def test_a_footer_longer_than_the_first_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datafile, "FOOTER", 100)
    remote = Remote(parquet(rows(30), group=10))
    assert len((await remote.open()).row_groups(())) == 3
    assert [end for _, end in remote.asked] == [len(remote.body), len(remote.body) - 100]


async def test_a_file_without_rows() -> None:
    assert (await Remote(parquet([])).open()).row_groups(("time",)) == []


@pytest.mark.parametrize("name", FILE_SCHEMA.names)
async def test_a_file_that_lacks_a_column_of_its_format_is_damaged(name: str) -> None:
    sink = io.BytesIO()
    pq.write_table(table(rows(3)).drop_columns([name]), sink)
    with pytest.raises(FormatError, match=rf"cannot read data file logs/x\.parquet: it has no column '{name}'"):
        await Remote(sink.getvalue()).open()


async def test_a_column_of_a_later_version_is_null_in_a_file_that_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = pa.schema([field for field in FILE_SCHEMA if field.name not in ("identity", "flags")])
    monkeypatch.setattr("logsink.query.read.datafile.FILE_SCHEMA", earlier)
    sink = io.BytesIO()
    pq.write_table(table(rows(3)).drop_columns(["identity", "flags"]), sink)
    remote = Remote(sink.getvalue())
    group = (await remote.open()).row_groups(("flags",))[0]
    chunks = Chunks(group)
    await chunks.fetch(remote.fetch, ("identity", "flags", "nth"))
    assert rows_of([chunks.read(("identity", "flags", "nth"))]) == [{"nth": 0}] * 3
    assert rows_of([chunks.read(("flags",))]) == [{}] * 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "does not end"),
        (b"nonsense that is long enough", "does not end"),
        (b"x" * 50 + b"\xff\xff\x00\x00PAR1", "cannot read data file"),
        (b"x" * 50 + b"\x20\x00\x00\x00PAR1", "cannot read data file"),
    ],
)
async def test_what_is_no_parquet_file_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        await Remote(body).open()


async def test_a_later_format_is_refused_with_a_hint() -> None:
    remote = Remote(parquet(rows(3), **{"logsink.format": "2"}))
    with pytest.raises(FormatError, match="of format 2, and this version reads 1 to 1") as caught:
        await remote.open()
    assert caught.value.hint == "upgrade logsink"


async def test_a_damaged_column_is_refused() -> None:
    body = bytearray(parquet(rows(100)))
    remote = Remote(bytes(body))
    file = await remote.open()
    ((start, end),) = file.spans(0, ("message",))
    body[start:end] = bytes(end - start)
    remote.body = bytes(body)
    chunks = Chunks(file.row_groups(())[0])
    await chunks.fetch(remote.fetch, ("message",))
    with pytest.raises(FormatError, match=r"logs/x\.parquet"):
        chunks.read(("message",))


async def test_a_bit_that_flipped_is_noticed_whatever_it_is_in() -> None:
    body = bytearray(parquet(rows(500)))
    remote = Remote(bytes(body))
    file = await remote.open()
    group, rnd = file.row_groups(())[0], random.Random(1)
    for name in ("time", "host", "severity", "message"):
        ((start, end),) = file.spans(0, (name,))
        while start < end:
            header, start = pages._struct(memoryview(body), start)
            page = range(start, start := start + header[3])
            for at in rnd.sample(page, min(60, len(page))):
                body[at] ^= 1 << at % 8
                remote.body = bytes(body)
                body[at] ^= 1 << at % 8
                chunks = Chunks(group)
                await chunks.fetch(remote.fetch, (name,))
                with pytest.raises(FormatError, match=r"cannot read data file logs/x\.parquet: .*CRC"):
                    chunks.read((name,))


async def test_a_file_shorter_than_its_size_is_refused() -> None:
    remote = Remote(parquet(rows(100)))
    file = await remote.open()
    remote.body = remote.body[:200]
    with pytest.raises(FormatError, match="ends at byte"):
        await Chunks(file.row_groups(())[0]).fetch(remote.fetch, ("message",))
