"""Every bit of a data file counts: what is read is what was written, or it is an error."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.archive import Tail, chunk_span, tail_size, tail_tag
from logsink.archive.file import NewFile, write_files
from logsink.errors import FormatError
from logsink.parse import FILE_SCHEMA
from logsink.query.read import datafile
from logsink.query.read.datafile import Chunks, OpenFile, open_file
from logsink.query.read.reader import Reader
from logsink.store.memory import MemoryStore
from tests.unit.archive.rows import TableRows, row

pytestmark = pytest.mark.usefixtures("ranged")

KEY = "logs/x.parquet"
NEEDLES = ((b"message",),)


@cache
def written() -> NewFile:
    """Dictionaries, plain values, differences, nulls and columns of nulls."""
    rows = [
        row(time=10 * k, received=k // 9, nth=k % 3, host=f"h{k % 5}", app="a", severity=k % 8 if k % 4 else None,
            message=f"message {k * k}", procid=None if k % 2 else str(k), wire="%message", raw=bytes([k]) if k % 6 else None)
        for k in range(120)
    ]  # fmt: skip
    (new,) = write_files(TableRows(rows), {"r.0": (1, 2)}, "r", "abc")
    return new


class Remote:
    """One object that is read in parts."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[tuple[int, int]] = []

    async def fetch(self, key: str, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        return self.body[start:end]

    async def open(self, tail: Tail | None) -> OpenFile:
        return await open_file(self.fetch, KEY, len(written().body), tail)

    async def read(self, file: OpenFile, columns: Sequence[str]) -> pa.Table:
        chunks = Chunks(file.row_groups(())[0])
        await chunks.fetch(self.fetch, columns)
        return chunks.read(columns)


def flipped(bit: int) -> bytes:
    body = bytearray(written().body)
    body[bit // 8] ^= 1 << bit % 8
    return bytes(body)


def tags(tagged: bool) -> Tail | None:
    return tail_tag(written().file.tags) if tagged else None


@pytest.mark.parametrize("tagged", [True, False])
async def test_every_bit_of_the_tail(tagged: bool) -> None:
    size = len(written().body)
    for bit in range(8 * (size - tail_size(memoryview(written().body))), 8 * size):
        with pytest.raises(FormatError, match=f"cannot read data file {KEY}: "):
            await Remote(flipped(bit)).open(tags(tagged))


async def test_every_bit_of_the_column_chunks() -> None:
    """Page headers and dictionary pages too: whoever reads the column fails, and nobody else."""
    remote = Remote(bytes(written().body))
    file = await remote.open(tags(True))
    whole = await remote.read(file, FILE_SCHEMA.names)
    chunks = file.metadata.row_group(0)
    covered = 4
    for name in FILE_SCHEMA.names:
        start, end = chunk_span(chunks.column(file.columns[name]))
        assert start == covered
        covered = end
        others = [other for other in FILE_SCHEMA.names if other != name]
        for bit in range(8 * start, 8 * end):
            damaged = Remote(flipped(bit))
            with pytest.raises(FormatError, match=f"column {name} of row group 0 does not match its checksum"):
                await damaged.read(file, (name,))
            if bit % 101 == 0:
                assert (await damaged.read(file, others)).equals(whole.select(others))
                with pytest.raises(FormatError, match="does not match its checksum"):
                    await damaged.read(file, FILE_SCHEMA.names)
    assert covered == len(written().body) - tail_size(memoryview(written().body))


async def test_pages_are_not_searched_unproved() -> None:
    remote = Remote(bytes(written().body))
    file = await remote.open(tags(True))
    start, end = chunk_span(file.metadata.row_group(0).column(file.columns["message"]))
    for byte in range(start, end):
        damaged = Remote(flipped(8 * byte))
        chunks = Chunks(file.row_groups(())[0])
        await chunks.fetch(damaged.fetch, ("message",))
        with pytest.raises(FormatError, match="column message of row group 0 does not match its checksum"):
            chunks.candidates("message", np.ones(120, np.bool_), NEEDLES)


async def test_a_column_is_proved_once_and_each_that_is_fetched_later() -> None:
    remote = Remote(bytes(written().body))
    file = await remote.open(tags(True))
    chunks = Chunks(file.row_groups(())[0])
    await chunks.fetch(remote.fetch, ("host",))
    assert chunks.read(("host",)).num_rows == 120
    start, _ = chunk_span(file.metadata.row_group(0).column(file.columns["app"]))
    remote.body = flipped(8 * start)
    await chunks.fetch(remote.fetch, ("app",))
    assert chunks.array("host")[0].as_py() is not None
    with pytest.raises(FormatError, match="column app of row group 0"):
        chunks.read(("host", "app"))


async def test_the_tail_is_one_request_of_just_its_bytes() -> None:
    remote, tail = Remote(bytes(written().body)), tags(True)
    assert tail is not None
    await remote.open(tail)
    assert remote.asked == [(len(remote.body) - tail.size, len(remote.body))]


@pytest.mark.parametrize("footer", [8, 28, 100, 1 << 20])
async def test_without_a_tag_as_much_is_read_as_the_tail_needs(footer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datafile, "FOOTER", footer)
    remote = Remote(bytes(written().body))
    file = await remote.open(None)
    assert file.proof is not None
    assert remote.asked[-1][0] == (0 if footer == 1 << 20 else len(remote.body) - tail_size(remote.body))
    assert all(a[0] == b[1] for a, b in zip(remote.asked, remote.asked[1:], strict=False))


@pytest.mark.parametrize("tagged", [True, False])
async def test_a_file_that_is_cut_grown_or_another(tagged: bool) -> None:
    body = bytes(written().body)
    (other,) = write_files(TableRows([row(message="another")]), {"r.0": (1, 2)}, "r", "abc")
    for damaged in (b"", body[:-1], body[: len(body) // 2], bytes(len(body)), bytes(other.body)):
        with pytest.raises(FormatError, match=f"cannot read data file {KEY}"):
            await Remote(damaged).open(tags(tagged))
    await Remote(body + b"more").open(tags(tagged))  # what follows is no part of it


async def test_another_file_of_the_same_size_in_its_place() -> None:
    """It proves itself, but the log does not know it."""
    table = pq.read_table(pa.BufferReader(written().body))
    swapped = table.set_column(
        10, FILE_SCHEMA.field("message"), pa.array([text.as_py()[::-1] for text in table["message"]], pa.string())
    )
    (other,) = write_files(TableRows(swapped.to_pylist()), {"r.0": (1, 2)}, "r", "abc")
    tail = tags(True)
    assert tail is not None
    with pytest.raises(FormatError, match="do not match their checksum in the table's log"):
        await open_file(Remote(bytes(other.body)).fetch, KEY, other.file.size, tail)


async def test_a_query_reads_the_tail_that_the_log_says() -> None:
    """A file that proves itself is another one, unless the log has a tag for just this."""
    (other,) = write_files(TableRows([row(message="another")]), {"r.0": (1, 2)}, "r", "abc")
    store, file = MemoryStore(), written().file
    await store.put(file.key, bytes(written().body))
    with ThreadPoolExecutor(1) as pool:
        reader = Reader(store, pool, ("time",))
        assert (await reader.footer(file)).proof is not None
        swapped = other.file.tagged(file.tags)
        await store.put(swapped.key, bytes(other.body))
        assert (await reader.footer(other.file)).proof is not None
        with pytest.raises(FormatError, match="cannot read data file"):
            await reader.footer(swapped)
