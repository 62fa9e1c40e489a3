"""Following a store, and reading it, while lanes of old receivers are dormant: each row is shown once all the same."""

from __future__ import annotations

import pytest

from logsink.archive.dormancy import make_dormant
from logsink.archive.dormant import dormant_key
from logsink.archive.log import DeltaLog, Txn
from logsink.journal.segment import SegmentName
from logsink.query import Cursor, Filter, Follower, Query
from logsink.query.read import tail
from logsink.query.read.plan import make_plan
from logsink.query.views import follow as follow_module
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, Row, archive, json_parse, row
from tests.unit.query.views.test_follow import polled, store_segment

OLD, OTHER = "018bcfe5-6800-7abc-8def-0123456789ab", "018bcfe5-6801-7abc-8def-0123456789ab"


@pytest.fixture(autouse=True)
def rows_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)


def rows(*numbers: int, receiver: str = OLD) -> list[Row]:
    return [row(n, received=START + n, message=str(n), receiver=receiver) for n in numbers]


async def rest(store: MemoryStore) -> None:
    assert await make_dormant(DeltaLog(store), idle=-1e9, least=1)


async def end(store: MemoryStore) -> Cursor:
    return Cursor.at_end_of(await make_plan(store, Filter()))


def follow(store: MemoryStore, cursor: Cursor) -> Follower:
    return Follower(store, Query(Filter(())), Cursor.parse(cursor.text))


async def test_a_segment_of_a_dormant_lane_that_is_put_back_is_not_shown_again() -> None:
    store = MemoryStore()
    await archive(store, [rows(1, 2)], txn=[Txn(f"{OLD}.0", 2)])
    await rest(store)
    follower = follow(store, await end(store))
    await store_segment(store, SegmentName(OLD, 0, 1), 1, 1)
    assert await polled(follower) == []
    plan = await make_plan(store, Filter())
    assert (plan.segments, plan.damage) == ([], ())
    await store_segment(store, SegmentName(OLD, 0, 3), 3, 3)
    assert await polled(follower) == ["3"]
    assert [one.name.sequence for one in (await make_plan(store, Filter())).segments] == [3]
    assert await polled(follower, look=True) == []
    assert not follower.report.damage


async def test_what_was_archived_and_then_put_to_rest_is_shown_to_whoever_did_not_see_it() -> None:
    store = MemoryStore()
    await archive(store, [rows(1), rows(1, receiver=OTHER)], txn=[Txn(f"{OLD}.0", 1), Txn(f"{OTHER}.0", 1)])
    follower = follow(store, await end(store))
    await archive(store, [rows(2, 3)], txn=[Txn(f"{OLD}.0", 3)])
    await rest(store)
    assert await polled(follower, look=True) == ["2", "3"]
    assert await polled(follower, look=True) == []
    assert follower.cursor.dormant == (await DeltaLog(store).load()).dormant
    again = follow(store, follower.cursor)
    assert await polled(again, look=True) == []


async def test_a_receiver_that_woke_up_meanwhile_is_shown_from_where_it_was() -> None:
    store = MemoryStore()
    await archive(store, [rows(1, 2)], txn=[Txn(f"{OLD}.0", 2), Txn(f"{OLD}.1", 1)])
    await rest(store)
    follower = follow(store, await end(store))
    log = DeltaLog(store)
    snapshot = await log.wake(await log.load(), [OLD])
    await archive(store, [rows(3)])
    await log.commit(await log.wake(await log.load(), [OLD]), [Txn(f"{OLD}.0", 3)])
    assert snapshot.last(f"{OLD}.0") == 2
    assert await polled(follower, look=True) == ["3"]
    await rest(store)
    assert await polled(follower, look=True) == []


async def test_an_object_that_is_lost_is_named_and_the_rest_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_module, "PATIENCE", 0.0)
    store = MemoryStore()
    await archive(store, [rows(1, 2)], txn=[Txn(f"{OLD}.0", 2)])
    await rest(store)
    cursor = await end(store)
    ((name, _),) = cursor.dormant.items()
    await store.delete([dormant_key(name)])
    await store_segment(store, SegmentName(OLD, 0, 3), 3, 3)
    plan = await make_plan(store, Filter())
    assert [one.key for one in plan.damage] == [dormant_key(name)]
    assert [one.name.sequence for one in plan.segments] == [3]
    follower = follow(store, cursor)
    assert await polled(follower) == ["3"]
    assert dormant_key(name) in [one.key for one in follower.report.damage]
    begun = follow(store, Cursor())
    await polled(begun, look=True)
    assert dormant_key(name) in [one.key for one in begun.report.damage]


async def test_what_segments_say_of_dormant_lanes_is_there() -> None:
    """A late segment names another lane of its receiver."""
    store = MemoryStore()
    await archive(store, [rows(1)], txn=[Txn(f"{OLD}.0", 2), Txn(f"{OLD}.1", 7)])
    await rest(store)
    await store_segment(store, SegmentName(OLD, 0, 3), 3, 3)
    plan = await make_plan(store, Filter())
    assert plan.snapshot.last(f"{OLD}.1") == 7
    assert plan.snapshot.last("018bcfe5-6802-7abc-8def-0123456789ab.0") == 0
