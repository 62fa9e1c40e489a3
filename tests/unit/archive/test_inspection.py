"""One data file, inspected: whatever is wrong with it is said, and what can be kept of it is kept."""

from __future__ import annotations

import contextlib
import datetime
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.archive import file as layout
from logsink.archive import proof
from logsink.archive.digest import TAG as DIGESTS
from logsink.archive.file import NewFile, write_files
from logsink.archive.inspection import check_body, check_file, describe, describe_body, digests_of_body
from logsink.archive.lanes import lanes_of
from logsink.archive.salvage import salvage_file
from logsink.archive.snapshot import DataFile
from logsink.errors import FormatError
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import MIDNIGHT, as_by_an_older_version, row
from tests.unit.archive.tables import TableRows as Rows

DAY = datetime.date(2026, 11, 22)


@pytest.fixture
def new(monkeypatch: pytest.MonkeyPatch) -> NewFile:
    """A file of twelve rows in three row groups."""
    monkeypatch.setattr(layout, "GROUP", 4)
    rows = [row(time=MIDNIGHT + n, received=MIDNIGHT, nth=n, host=f"web-{n}", message=f"text {n}") for n in range(12)]
    (made,) = write_files(Rows(rows), {"r.0": (1, 3)}, "r", "x")
    return made


def flipped_in(new: NewFile, group: int) -> bytes:
    """Its bytes, with one bit changed in the messages of a row group."""
    body = bytearray(new.body)
    metadata = pq.read_metadata(pa.BufferReader(new.body))
    number = metadata.schema.names.index("message")
    start, end = proof.chunk_span(metadata.row_group(group).column(number))
    body[(start + end) // 2] ^= 1
    return bytes(body)


def with_tag(file: DataFile, name: str, value: str) -> DataFile:
    return file.tagged((dict(file.tags) | {name: value}).items())


def test_an_intact_file(new: NewFile) -> None:
    assert check_body(new.file, bytes(new.body)) == ("", 0, frozenset(), True)


def test_damaged_row_groups_are_named_and_the_others_are_kept(new: NewFile) -> None:
    body = flipped_in(new, 1)
    checked = check_body(new.file, body)
    assert (checked.what, checked.rows, checked.groups) == ("has damaged rows", 4, {1})
    lanes = lanes_of(new.file.tags)
    assert lanes is not None
    kept = salvage_file(new.file, body, {1}, lanes)
    assert kept is not None
    assert kept.file.rows == 8
    assert lanes_of(kept.file.tags) == lanes
    assert check_body(kept.file, bytes(kept.body)).what == ""
    hosts = pq.read_table(pa.BufferReader(kept.body), columns=["host"])["host"].to_pylist()
    assert len(set(hosts)) == 8
    assert salvage_file(new.file, body, {0, 1, 2}, lanes) is None


def test_what_the_log_says_of_a_file_is_compared(new: NewFile) -> None:
    body = bytes(new.body)
    assert "does not match its SHA-256" in check_body(with_tag(new.file, proof.SHA256_TAG, "00" * 32), body).what
    assert "does not have the rows" in check_body(with_tag(new.file, DIGESTS, "{}"), body).what
    other = new.file._replace(statistics=new.file.statistics.replace('"numRecords":12', '"numRecords":13'))
    with pytest.raises(FormatError, match="it has 12 rows, and 13 in the table's log"):
        check_body(other, body)
    assert new.file._replace(statistics="{}").known_rows is None


@pytest.mark.parametrize("deep", [False, True])
async def test_files_of_the_wrong_size(new: NewFile, deep: bool) -> None:
    store, body = MemoryStore(), bytes(new.body)
    assert (await check_file(store, new.file, deep=deep)).what == "is missing"
    for wrong, said in (
        (body[:-1], "is cut"),
        (b"", "is cut"),
        (body + b"x", "is longer"),
        (b"x" * len(body), "cannot be"),
    ):
        await store.put(new.file.key, wrong)
        assert (await check_file(store, new.file, deep=deep)).what.startswith(said)


@pytest.mark.parametrize("deep", [False, True])
async def test_a_file_of_an_older_version(new: NewFile, deep: bool) -> None:
    store, body = MemoryStore(), as_by_an_older_version(new)
    file = new.file._replace(size=len(body), packed="")
    await store.put(file.key, body)
    assert await check_file(store, file, deep=deep) == ("", 0, frozenset(), False)
    await store.put(file.key, body[:-4] + b"XXXX")
    assert (await check_file(store, file, deep=deep)).what.startswith("cannot be read")
    if deep:
        damaged = bytearray(body)
        damaged[len(body) // 3] ^= 1
        await store.put(file.key, bytes(damaged))
        assert (await check_file(store, file, deep=True)).what


async def test_a_file_says_what_it_holds_without_the_log(new: NewFile) -> None:
    store, body = MemoryStore(), bytes(new.body)
    await store.put(new.file.key, body)
    found = await describe(store, new.file.path, len(body))
    assert (found.rows, found.merged, found.inputs) == (12, False, ())
    said = dict(new.file.tags)
    assert dict(found.file.tags) == {name: said[name] for name in said if name != proof.SHA256_TAG}
    assert dict(describe_body(new.file.path, body).file.tags) == said
    with pytest.raises(FormatError, match="is cut"):
        await describe(store, new.file.path, len(body) + 1)
    with pytest.raises(FormatError, match="in no date's directory"):
        describe_body("elsewhere/x.parquet", body)
    with pytest.raises(FormatError, match="has damaged rows"):
        describe_body(new.file.path, flipped_in(new, 2))
    elsewhere = new.file.path.replace(f"{new.file.date}", f"{new.file.date + datetime.timedelta(1)}")
    with pytest.raises(FormatError, match=f"it has rows that were received on {new.file.date}"):
        describe_body(elsewhere, body)


def test_files_that_are_not_logsinks() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), sink)
    with pytest.raises(FormatError):
        describe_body(f"date={DAY}/x.parquet", sink.getvalue())
    with pytest.raises(FormatError):
        digests_of_body("logs/x", b"no parquet")


def test_a_flipped_bit_in_the_footer_of_an_older_file_ends_nothing(new: NewFile) -> None:
    """pyarrow 26 ends the process where it is asked for a column chunk that such a footer describes wrongly."""
    body = as_by_an_older_version(new)
    file = DataFile(new.file.path, DAY, len(body), new.file.statistics)
    footer = proof.footer_size(body[-8:])
    for bit in range(8 * (len(body) - footer), 8 * (len(body) - 8), 37):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(FormatError):
            check_body(file, bytes(flipped))
