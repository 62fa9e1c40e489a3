"""Following a store: order, gaps, segments that come late, and cursors."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from typing import Any

import orjson
import pyarrow as pa
import pytest

from logsink.archive.log import Txn
from logsink.damage import Damage
from logsink.errors import FormatError, Unavailable
from logsink.flags import Flag
from logsink.journal import Gap
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.parse import Settings
from logsink.query import Cursor, Filter, Follower, OneOf, Query
from logsink.query.read import Search, tail
from logsink.query.read.plan import make_plan
from logsink.query.views import follow
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, Meddled, archive, frames, json_parse, row


@pytest.fixture(autouse=True)
def rows_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)


async def store_segment(store: MemoryStore, name: SegmentName, ordinal: int, *numbers: int, **values: Any) -> None:
    """A segment of rows received at these microseconds, which are their messages too."""
    rows = [orjson.dumps(row(n, received=START + n, message=str(n), receiver=name.receiver) | values) for n in numbers]
    body = encode_segment(Segment(name, Settings(), frames(rows, [START + n for n in numbers]), ordinal))
    await store.put(name.key, body)


async def polled(follower: Follower, *, look: bool = False) -> list[str]:
    return [
        message
        for rows_ in [r async for r in follower.poll(check_archive=look)]
        for message in rows_["message"].to_pylist()
    ]


def lane(number: int, sequence: int, receiver: str = "r1") -> SegmentName:
    return SegmentName(receiver, number, sequence)


async def begin(store: MemoryStore, *conditions: Any) -> Follower:
    made = await make_plan(store, Filter())
    follower = Follower(store, Query(Filter(conditions)), Cursor.at_end_of(made))
    await follower.settle(made)
    return follower


async def test_what_was_there_is_not_shown_and_what_comes_is() -> None:
    store = MemoryStore()
    await archive(store, [[row(1)]], txn=[Txn("r1.0", 1)])
    await store_segment(store, lane(0, 2), 2, 10, 11)
    follower = await begin(store)
    assert await polled(follower) == []
    await store_segment(store, lane(0, 3), 3, 20, 21)
    await store_segment(store, lane(1, 1), 4, 30)
    assert await polled(follower) == ["20", "21", "30"]
    assert await polled(follower, look=True) == []


async def test_a_filter() -> None:
    store = MemoryStore()
    await archive(store, [])
    follower = await begin(store, OneOf("host", ("web1",)))
    await store_segment(store, lane(0, 1), 1, 1, host="web1")
    await store_segment(store, lane(0, 2), 2, 2, host="web2")
    assert await polled(follower) == ["1"]


async def test_lanes_wait_for_each_other() -> None:
    store = MemoryStore()
    await archive(store, [])
    follower = await begin(store)
    await store_segment(store, lane(1, 1), 2, 20)
    await store_segment(store, lane(2, 1), 3, 30)
    assert await polled(follower) == []
    await store_segment(store, lane(0, 1), 1, 10)
    assert await polled(follower) == ["10", "20", "30"]


async def test_a_listing_may_miss_a_segment_before_one_that_it_shows() -> None:
    """As that of a directory that is being written to. Here nothing is known yet of the order of the receiver's segments."""
    store = MemoryStore()
    await archive(store, [[row(1)]], txn=[Txn("r1.0", 1)])
    follower = await begin(store)
    await store_segment(store, lane(0, 3), 3, 30)
    assert await polled(follower) == []
    await store_segment(store, lane(0, 2), 2, 20)
    assert await polled(follower) == ["20", "30"]


async def test_another_receiver_does_not_wait() -> None:
    store = MemoryStore()
    await archive(store, [])
    follower = await begin(store)
    await store_segment(store, lane(1, 1), 2, 20)
    await store_segment(store, lane(0, 1, "r2"), 1, 5)
    assert await polled(follower) == ["5"]


async def test_a_segment_that_does_not_come_is_shown_when_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "PATIENCE", 0.0)
    store = MemoryStore()
    await archive(store, [])
    follower = await begin(store)
    await store_segment(store, lane(1, 1), 2, 20)
    assert await polled(follower) == ["20"]
    await store_segment(store, lane(0, 1), 1, 10)
    await store_segment(store, lane(1, 2), 3, 30)
    assert await polled(follower) == ["10", "30"]


async def test_what_was_archived_and_deleted_comes_from_the_table_once() -> None:
    store = MemoryStore()
    await archive(store, [])
    await store_segment(store, lane(0, 1), 1, 1)
    follower = await begin(store)
    missed = [row(n, received=START + n, message=str(n), receiver="r1") for n in (2, 3)]
    other = [row(n, received=START + n, message=str(n), receiver="r2") for n in (2, 9)]
    await archive(store, [missed, other], txn=[Txn("r1.0", 2), Txn("r2.0", 1)])
    await store_segment(store, lane(0, 3), 3, 4)
    assert sorted(await polled(follower)) == ["2", "2", "3", "4", "9"]
    assert await polled(follower, look=True) == []
    await store_segment(store, lane(1, 1), 4, 5)
    assert await polled(follower) == ["5"]


@pytest.mark.parametrize("reads", range(1, 6))
async def test_rows_from_the_table_come_as_they_were_received_and_once_though_the_store_fails(reads: int) -> None:
    """Clocks of senders may go any way: what was received first may have the later time."""
    store = Meddled()
    await archive(store, [])
    follower, chance = await begin(store), random.Random(1)
    late = [row(5000 + n, received=START + 10 + n // 3, message=f"{n}", nth=n % 3) for n in range(2000)]
    early = [row(n, received=START + 10_000 + n, message=f"{n} {chance.randbytes(60).hex()}") for n in range(2000)]
    await archive(store, [early, late], txn=[Txn("r1.0", 5)])
    left = iter(range(reads))

    def fail(key: str) -> None:
        if key.endswith(".parquet") and next(left, -1) == reads - 1:
            raise Unavailable("no answer")

    store.before = fail
    found: list[str] = []
    for look in (True, False, False):
        with suppress(Unavailable):
            async for rows in follower.poll(check_archive=look):
                found += rows["message"].to_pylist()
    assert found == [each["message"] for each in (*late, *early)]


async def test_a_read_that_came_only_in_part_when_the_store_failed_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a server may give it (``--connect``), which hands over so many rows at a time."""
    store, whole = MemoryStore(), follow.search
    await archive(store, [])
    follower = await begin(store)
    rows = [row(n, received=START + n // 4, message=f"{n}", nth=n % 4) for n in range(10)]
    await archive(store, [rows], txn=[Txn("r1.0", 5)])

    class Broken(Search):
        async def _tables(self) -> AsyncGenerator[pa.Table, None]:
            async for found in super()._tables():
                yield found.slice(0, 6)
            raise Unavailable("no answer")

    found: list[str] = []
    for search in (partial(Broken, tuning=None), whole):
        monkeypatch.setattr(
            follow, "search", lambda store, query, tuning, search=search, **how: search(store, query, **how)
        )
        with suppress(Unavailable):
            async for part in follower.poll(check_archive=True):
                found += part["message"].to_pylist()
    assert found == [each["message"] for each in rows]


async def test_copies_are_hidden_among_the_rows_that_come() -> None:
    store = MemoryStore()
    await archive(store, [])
    made = await make_plan(store, Filter())
    follower = Follower(store, Query(dedupe=True), Cursor.at_end_of(made))
    same = {"raw": "<13>a", "sender": "10.0.0.1", "time": START}
    await store_segment(store, lane(0, 1), 1, 1, 2, **same)
    assert await polled(follower) == ["1", "2"]
    await store_segment(store, lane(0, 1, "r2"), 1, 3, flags=int(Flag.MAYBE_RESENT), **same)
    missed = [row(received=START + n, receiver="r3", flags=int(Flag.MAYBE_RESENT)) | same for n in (4, 5)]
    await archive(store, [missed], txn=[Txn("r3.0", 1)])
    assert await polled(follower, look=True) == []
    assert (follower.report.rows, follower.report.hidden) == (2, 3)


async def test_a_segment_that_is_archived_and_still_there_is_shown_once() -> None:
    store = MemoryStore()
    await archive(store, [])
    follower = await begin(store)
    await store_segment(store, lane(0, 1), 1, 1)
    await archive(store, [[row(1, received=START + 1, message="1", receiver="r1")]], txn=[Txn("r1.0", 1)])
    assert await polled(follower, look=True) == ["1"]
    assert await polled(follower, look=True) == []


async def test_receivers_clocks_differ() -> None:
    """A receiver whose clock is behind another's loses nothing."""
    store = MemoryStore()
    ahead = [row(100, received=START + 100, message="ahead", receiver="r2")]
    await archive(store, [ahead], txn=[Txn("r2.0", 1), Txn("r1.0", 1)])
    follower = await begin(store)
    await store_segment(store, lane(0, 2), 2, 50)
    assert await polled(follower, look=True) == ["50"]


async def test_a_cursor_goes_on_elsewhere() -> None:
    store = MemoryStore()
    await archive(store, [])
    follower = await begin(store)
    await store_segment(store, lane(0, 1), 1, 1)
    assert await polled(follower) == ["1"]
    cursor = follower.cursor.text
    await store_segment(store, lane(1, 1), 2, 2)
    assert await polled(Follower(store, Query(), Cursor.parse(cursor)), look=True) == ["2"]
    assert Cursor.parse(cursor) == follower.cursor


async def test_a_damaged_segment_is_named_once_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "PATIENCE", 0.0)
    store = MemoryStore()
    await archive(store, [])
    follower = await begin(store)
    await store_segment(store, lane(0, 1), 1, 1)
    await store.put(lane(0, 2).key, b"damaged")
    assert await polled(follower) == ["1"]
    (damage,) = follower.report.damage
    assert damage.key == lane(0, 2).key
    assert damage.what.startswith("cannot be read: ")
    assert await polled(follower) == []
    await store_segment(store, lane(0, 3), 3, 3)
    assert await polled(follower) == ["3"]
    await store_segment(store, lane(0, 4), 4, 4)
    assert await polled(follower, look=True) == ["4"]
    assert follower.report.damage == [damage]


async def test_it_begins_behind_a_damaged_segment() -> None:
    store = MemoryStore()
    await archive(store, [])
    await store.put(lane(0, 1).key, b"damaged")
    follower = await begin(store)
    assert [damage.key for damage in follower.report.damage] == [lane(0, 1).key]
    await store_segment(store, lane(0, 2), 2, 2)
    assert await polled(follower) == ["2"]


async def test_a_missing_segment_before_later_ones_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "PATIENCE", 0.0)
    store = MemoryStore()
    await archive(store, [])
    await store_segment(store, lane(0, 1), 1, 1)
    follower = await begin(store)
    await store_segment(store, lane(0, 4), 4, 4)
    assert await polled(follower) == ["4"]
    assert [str(damage) for damage in follower.report.damage] == [str(Gap("r1", 0, 2, 3).damage)]
    assert await polled(follower) == []


@pytest.mark.parametrize("said", [False, True])
async def test_what_is_missing_is_named_though_the_store_failed_when_it_was_looked_for(
    said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment may be missing before one that is there, or because another one says that it was stored."""
    monkeypatch.setattr(follow, "PATIENCE", 0.0)
    store = MemoryStore()
    await archive(store, [])
    follower = await begin(store)
    if said:
        there = Segment(lane(1, 1), Settings(), frames([orjson.dumps(row(1))]), 1, stored={"r1.0": 1})
        await store.put(there.name.key, encode_segment(there))
    else:
        await store_segment(store, lane(0, 2), 2, 20)
    listed, left = store.list, 2 if said else 3  # the journal, the table where a lane has a gap, and then this

    def failing(prefix: str = "", after: str = "") -> Any:
        nonlocal left
        left -= 1
        if not left:
            raise Unavailable("no answer")
        return listed(prefix, after)

    monkeypatch.setattr(store, "list", failing)
    with pytest.raises(Unavailable):
        await polled(follower)
    assert (await polled(follower), [damage.key for damage in follower.report.damage]) == ([], [lane(0, 1).key])


class Vanishing(MemoryStore):
    """Deletes a segment right before it is read."""

    doomed = ""
    archived = False

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if key == self.doomed:
            if self.archived:
                missed = [row(2, received=START + 2, message="2", receiver="r1")]
                await archive(self, [missed], txn=[Txn("r1.0", 2)])
            await self.delete([key])
        return await super().get(key, start, end)


@pytest.mark.parametrize("archived", [False, True])
async def test_a_segment_that_vanishes_is_missing_unless_it_was_archived(archived: bool) -> None:
    store = Vanishing()
    await archive(store, [])
    await store_segment(store, lane(0, 1), 1, 1)
    follower = await begin(store)
    await store_segment(store, lane(0, 2), 2, 2)
    store.doomed, store.archived = lane(0, 2).key, archived
    assert await polled(follower) == []
    assert await polled(follower) == (["2"] if archived else [])
    assert follower.report.damage == ([] if archived else [Damage(lane(0, 2).key, "is missing")])


async def test_damage_of_the_archive_is_named_when_it_is_read() -> None:
    store = MemoryStore()
    await archive(store, [])
    follower = await begin(store)
    missed = [[row(n, received=START + n, message=str(n), receiver="r1")] for n in (1, 2)]
    await archive(store, missed, txn=[Txn("r1.0", 1)])
    gone = "logs/date=2026-11-22/0-0.parquet"
    await store.delete([gone])
    assert await polled(follower, look=True) == ["2"]
    assert follower.report.damage == [Damage(gone, "is missing", 1)]


async def test_frames_that_cannot_be_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(found: Any, settings: Any, receiver: str) -> Any:
        if b'"10"' in bytes(found.data):
            raise FormatError("cannot parse frames by rules 9", "this version knows 1 to 2")
        return json_parse(found, settings, receiver)

    monkeypatch.setattr(tail, "parse", parse)
    store = MemoryStore()
    await archive(store, [])
    follower = await begin(store)
    await store_segment(store, lane(0, 1), 1, 10)
    await store_segment(store, lane(0, 2), 2, 20)
    assert await polled(follower) == ["20"]
    assert [damage.key for damage in follower.report.damage] == [lane(0, 1).key]
