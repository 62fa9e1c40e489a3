"""What there is to read."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator

import pytest

from logsink.archive import DataFile
from logsink.archive.log import Txn
from logsink.errors import NotFound
from logsink.journal import Gap, SegmentName
from logsink.query import Between, Filter
from logsink.query.read import file_bounds, make_plan
from logsink.query.request import UNKNOWN, Bounds
from logsink.store.base import Entry
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, archive, journal, row


async def test_files_and_segments_that_can_hold_an_answer() -> None:
    store = MemoryStore()
    await archive(store, [[row(1), row(9)], [row(20)]], txn=[Txn("r1.0", 1)])
    await journal(store, SegmentName("r1", 0, 1), [row(1)])
    await journal(store, SegmentName("r1", 0, 2), [row(30)])
    plan = await make_plan(store, Filter((Between("time", START + 10, None),)))
    assert [segment.name.sequence for segment in plan.segments] == [2]
    assert [file_bounds(file, "time") for file in plan.files] == [Bounds(START + 20, START + 20, 0)]
    assert file_bounds(plan.files[0], "message") == UNKNOWN
    other = plan.of(Filter((Between("time", None, START + 10),)))
    assert [file_bounds(file, "time").low for file in other.files] == [START + 1]
    assert other.segments == plan.segments


async def test_nothing_was_ever_stored() -> None:
    with pytest.raises(NotFound, match="cannot find a logsink store at memory://"):
        await make_plan(MemoryStore(), Filter())


async def test_numbers_of_a_lane_that_are_nowhere_are_lost() -> None:
    store = MemoryStore()
    await archive(store, [[row(1)]], txn=[Txn("r1.0", 3)])
    for number in (2, 3, 4, 6, 9):
        await journal(store, SegmentName("r1", 0, number), [row(1)])
    await journal(store, SegmentName("r2", 1, 2), [row(1)])
    plan = await make_plan(store, Filter())
    assert [damage.key for damage in plan.damage] == [
        Gap("r1", 0, 5, 5).key,
        Gap("r1", 0, 7, 8).key,
        Gap("r2", 1, 1, 1).key,
    ]
    assert [segment.name.sequence for segment in plan.segments] == [4, 6, 9, 2]


class Late(MemoryStore):
    """A segment is stored while the first listing goes on, which has it not."""

    name = SegmentName("r1", 0, 1)

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        found = [entry async for entry in super().list(prefix, after)]
        if prefix == "journal/":
            await journal(self, self.name, [row(1)])
        for entry in found:
            yield entry


async def test_a_segment_that_a_listing_does_not_have_is_not_lost() -> None:
    store = Late()
    await archive(store, [])
    await journal(store, SegmentName("r1", 0, 2), [row(1)])
    plan = await make_plan(store, Filter())
    assert plan.damage == ()
    assert [segment.name.sequence for segment in plan.segments] == [1, 2]


async def test_what_is_only_in_one_listing_is_no_gap() -> None:
    store = Late()
    await archive(store, [])
    await journal(store, SegmentName("r1", 0, 3), [row(1)])
    (damage,) = (await make_plan(store, Filter())).damage
    assert damage.key == SegmentName("r1", 0, 2).key


async def test_a_damaged_log_says_nothing_of_what_may_be_archived() -> None:
    store = MemoryStore()
    await archive(store, [[row(1)]], txn=[Txn("r1.0", 3)])
    for number in (4, 6):
        await journal(store, SegmentName("r1", 0, number), [row(1)])
    await store.delete([entry.key async for entry in store.list("logs/_delta_log/")])
    plan = await make_plan(store, Filter())
    assert [damage.key for damage in plan.damage] == ["logs/_delta_log/", SegmentName("r1", 0, 5).key]
    assert len(plan.segments) == 2


async def test_statistics_that_cannot_be_read_exclude_nothing() -> None:
    file = DataFile("p", datetime.date(2026, 11, 22), 1, "{}")
    assert file_bounds(file, "time") == UNKNOWN
