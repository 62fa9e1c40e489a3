"""Reading one thing at a time: what is fetched of it, in which steps, and what is said of damage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import orjson
import pyarrow as pa
import pytest

from logsink.archive import DataFile, tail_tag
from logsink.archive.file import write_files
from logsink.errors import FormatError, NotFound
from logsink.journal import Segment, SegmentName, StoredSegment
from logsink.journal.segment import encode_segment
from logsink.parse import Settings
from logsink.query import Between, Filter, Holds, OneOf
from logsink.query.order import Pending
from logsink.query.read import make_plan, reader, tail
from logsink.query.read.datafile import RowGroup
from logsink.query.read.newest import Newest
from logsink.query.read.reader import Found, Reader
from logsink.query.read.turns import Turn
from tests.unit.archive.rows import TableRows
from tests.unit.archive.rows import row as archived
from tests.unit.query.archives import START, Meddled, archive, frames, journal, json_parse, row, rows_of

ROWS = [row(k, host=f"h{k % 4}", message=f"message {k} " + str(k) * 9) for k in range(40)]
COLUMNS = ("host", "message")


class Steps(Turn):
    """Notes the steps of a turn, which never waits. ``few``: bytes that are fetched together."""

    def __init__(self, few: int = 0) -> None:
        self.few = few
        self.taken: list[str] = []

    async def fetch(self, nbytes: int) -> None:
        self.taken += ["fetch"] if nbytes else []

    async def filter(self) -> None:
        self.taken.append("filter")

    async def decode(self) -> None:
        self.taken.append("decode")


class Setting:
    """A store with one file, and a reader of it."""

    def __init__(self, store: Meddled, pool: ThreadPoolExecutor, file: DataFile) -> None:
        self.store, self.pool, self.file = store, pool, file

    def reader(self, *columns: str) -> Reader:
        return Reader(self.store, self.pool, columns or COLUMNS)

    async def group(self, *conditions: str) -> RowGroup:
        opened = await self.reader().footer(self.file)
        self.store.reads.clear()
        return opened.row_groups(conditions)[0]


@pytest.fixture
async def setting(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setting]:
    monkeypatch.setattr(tail, "parse", json_parse)
    monkeypatch.setattr("logsink.query.read.datafile.GAP", 0)
    monkeypatch.setattr("logsink.query.read.datafile.WHOLE", 0)
    store = Meddled()
    await archive(store, [ROWS])
    (file,) = (await make_plan(store, Filter())).files
    with ThreadPoolExecutor(2) as pool:
        yield Setting(store, pool, file)


def rows(found: Found | None) -> list[object]:
    return [] if found is None else [one["message"] for one in rows_of([found.table])]


async def test_without_conditions_all_rows_are_fetched_and_decoded_at_once(setting: Setting) -> None:
    turn = Steps()
    found = await setting.reader().row_group(await setting.group(), Filter(), "time", None, turn)
    assert found is not None
    assert found.rows == 40
    assert found.table.column_names == list(COLUMNS)
    assert rows(found) == [one["message"] for one in ROWS]
    assert turn.taken == ["fetch", "decode"]


async def test_messages_are_fetched_only_where_smaller_columns_left_something(setting: Setting) -> None:
    group, message = await setting.group("host"), Holds("message", ("message 7",))
    for host, expected, steps in (
        ("h3", ["message 7 777777777"], ["fetch", "filter", "fetch", "filter", "decode"]),
        ("h1", [], ["fetch", "filter", "fetch", "filter"]),
        ("none", [], ["fetch", "filter"]),
    ):
        turn = Steps()
        found = await setting.reader().row_group(group, Filter((OneOf("host", (host,)), message)), "time", None, turn)
        assert (rows(found), turn.taken) == (expected, steps)


async def test_columns_to_be_shown_are_fetched_only_where_something_was_found(setting: Setting) -> None:
    group = await setting.group("host")
    for host, steps in (("h3", ["fetch", "filter", "fetch", "decode"]), ("none", ["fetch", "filter"])):
        turn = Steps()
        await setting.reader("message").row_group(group, Filter((OneOf("host", (host,)),)), "time", None, turn)
        assert turn.taken == steps


@pytest.mark.parametrize(("few", "fetches"), [(1 << 20, 1), (0, 4)])
async def test_a_small_row_group_is_fetched_in_one_step(setting: Setting, few: int, fetches: int) -> None:
    filter = Filter((OneOf("host", ("h3",)), Holds("message", ("message 7",))))
    newest = Newest(Pending(descending=True, limit=3, after=None, memory=1 << 20, sort="time"))
    group, turn = await setting.group("host"), Steps(few)
    found = await setting.reader("received", "message").row_group(group, filter, "time", newest, turn)
    assert rows(found) == ["message 7 777777777"]
    assert turn.taken.count("fetch") == fetches
    assert [step for step in turn.taken if step != "fetch"] == ["filter", "filter", "filter", "decode"]


async def test_a_limit_judges_rows_by_their_time_before_they_are_read(setting: Setting) -> None:
    pending = Pending(descending=True, limit=3, after=None, memory=1 << 20, sort="time")
    newest, turn = Newest(pending), Steps()
    found = await setting.reader().row_group(await setting.group(), Filter(), "time", newest, turn)
    assert rows(found) == [one["message"] for one in ROWS[-3:]]
    assert turn.taken == ["fetch", "filter", "fetch", "decode"]
    assert newest.dropped
    older = Filter((Between("time", None, START + 5),))
    turn = Steps()
    assert await setting.reader().row_group(await setting.group("time"), older, "time", newest, turn) is None
    assert "decode" not in turn.taken


async def test_a_part_is_made_of_what_was_found(setting: Setting) -> None:
    summing = Reader(setting.store, setting.pool, ("host",), lambda rows: pa.table({"n": [rows.num_rows]}))
    turn = Steps()
    found = await summing.row_group(await setting.group(), Filter((OneOf("host", ("h2",)),)), "time", None, turn)
    assert found == Found(10, pa.table({"n": [10]}))
    await journal(setting.store, SegmentName("r2", 0, 1), ROWS[:4])
    of_journal, failed = await summing.segments(await stored(setting), Filter((OneOf("host", ("h2",)),)))
    assert (of_journal, failed) == (Found(1, pa.table({"n": [1]})), [])


async def test_a_footer_must_have_the_rows_that_the_log_says(setting: Setting) -> None:
    opened = await setting.reader().footer(setting.file)
    assert opened.metadata.num_rows == 40
    other = setting.file._replace(statistics='{"numRecords": 41}')
    with pytest.raises(FormatError, match="it has 40 rows, and the table's log says 41"):
        await setting.reader().footer(other)
    unsaid = setting.file._replace(statistics="{}")
    assert (await setting.reader().footer(unsaid)).metadata.num_rows == 40


async def test_a_footer_that_the_log_proves_need_not_be_read(setting: Setting) -> None:
    (new,) = write_files(TableRows([archived(time=k) for k in range(3)]), {"r.0": (1, 1)}, "r", 32 * "0")
    body, tag = bytes(memoryview(new.body)), tail_tag(new.file.tags)
    assert tag is not None
    await setting.store.put(new.file.key, body)
    setting.store.reads.clear()
    opened = await setting.reader().footer(new.file, body[-tag.size :])
    assert (opened.metadata.num_rows, setting.store.reads) == (3, [])
    wrong = bytearray(body[-tag.size :])
    wrong[3] ^= 1
    assert (await setting.reader().footer(new.file, bytes(wrong))).metadata.num_rows == 3
    assert setting.store.reads == [new.file.key]


async def stored(setting: Setting) -> list[StoredSegment]:
    return list((await make_plan(setting.store, Filter())).segments)


async def test_segments_that_cannot_be_read_are_named_and_the_others_are_read(setting: Setting) -> None:
    names = [SegmentName("r2", 0, number) for number in (1, 2, 3)]
    for name in names:
        await journal(setting.store, name, [row(name.sequence, host="h", message=f"m{name.sequence}")])
    group = await stored(setting)
    body = bytearray(await setting.store.get(names[0].key))
    body[len(body) // 2] ^= 1
    await setting.store.put(names[0].key, bytes(body))
    await setting.store.delete([names[1].key])
    reading = setting.reader()
    found, failed = await reading.segments(group, Filter())
    assert rows(found) == ["m3"]
    assert reading.claims.lanes == {}
    assert {name: type(error) for name, error in failed} == {names[0]: FormatError, names[1]: NotFound}


async def test_what_segments_claim_is_kept(setting: Setting) -> None:
    name = SegmentName("r2", 0, 1)
    one = Segment(name, Settings(), frames([orjson.dumps(row(1))]))._replace(stored={"r2.1": 4}, commit=7)
    await setting.store.put(name.key, encode_segment(one))
    reading = setting.reader()
    await reading.segments(await stored(setting), Filter())
    assert (reading.claims.lanes, reading.claims.version) == ({"r2.1": 4}, 7)


async def test_reads_that_run_at_once_are_bounded(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "FETCHES", 2)
    names = [SegmentName("r2", 0, number) for number in range(1, 9)]
    for name in names:
        await journal(setting.store, name, [row(name.sequence)])
    group, running, most = await stored(setting), 0, 0

    async def read(key: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running -= 1

    setting.store.before = read
    found, failed = await setting.reader().segments(group, Filter())
    assert (found.rows, failed, most) == (8, [], 2)
