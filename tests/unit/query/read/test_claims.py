"""What segments say of other objects: the loss of the newest ones shows in the others."""

from __future__ import annotations

import pytest

from logsink.archive import Snapshot
from logsink.archive.log import Txn
from logsink.damage import Damage
from logsink.journal import Segment, SegmentName
from logsink.journal.segment import encode_segment
from logsink.parse import Settings
from logsink.query import Cursor, Filter, Follower, Query, search
from logsink.query.read import Claims, make_plan, tail
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, archive, frames, json_parse, row

NOWHERE = "missing from the journal, and other segments of the receiver name it"


@pytest.fixture(autouse=True)
def _json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "parse", json_parse)


def lane(number: int, sequence: int) -> SegmentName:
    return SegmentName("r1", number, sequence)


def segment(name: SegmentName, stored: dict[str, int], commit: int = -1, ordinal: int = 0) -> Segment:
    body = b'{"time":%d,"received":%d,"receiver":"r1","nth":0,"message":"m"}' % (START, START)
    return Segment(name, Settings(), frames([body], [START]), ordinal, "", stored, commit)


async def put(store: MemoryStore, *segments: Segment) -> None:
    for one in segments:
        await store.put(one.name.key, bytes(encode_segment(one)))


async def named(store: MemoryStore) -> list[Damage]:
    found = search(store, Query(columns=("message",)))
    async for _ in found:
        pass
    return found.report.damage


async def test_the_newest_segments_of_a_lane() -> None:
    store = MemoryStore()
    await archive(store, [], txn=[Txn("r1.1", 3)])
    await put(store, segment(lane(0, 1), {"r1.1": 3}))
    assert await named(store) == []  # archived
    await put(store, segment(lane(0, 2), {"r1.1": 4}), segment(lane(1, 4), {"r1.0": 1}))
    assert await named(store) == []  # in the journal
    await store.delete([lane(1, 4).key])
    assert await named(store) == [Damage(lane(1, 4).key, f"is {NOWHERE}")]
    await put(store, segment(lane(0, 3), {"r1.1": 6, "r1.2": 1}))
    first, second = await named(store)
    assert first.key.startswith("journal/r1/1/")
    assert first.what == f"are {NOWHERE}"
    assert second == Damage(lane(2, 1).key, f"is {NOWHERE}")


async def test_the_newest_commit() -> None:
    store = MemoryStore()
    await archive(store, [[row(1)]])
    await put(store, segment(lane(0, 1), {}, 1))
    assert await named(store) == []
    newest = "logs/_delta_log/00000000000000000001.json"
    await store.delete([newest])
    assert await named(store) == [Damage(newest, "is missing: the log ends with version 0, and a receiver has seen 1")]


class Growing(MemoryStore):
    """A segment that names another, and the commit that it knew of, is listed before these are stored."""

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if key == lane(0, 1).key:
            await put(self, segment(lane(1, 1), {}))
            await archive(self, [])
        return await super().get(key, start, end)


async def test_what_came_meanwhile_is_not_missing() -> None:
    store = Growing()
    await archive(store, [])
    await put(store, segment(lane(0, 1), {"r1.1": 1}, 2))
    assert await named(store) == []


def test_a_damaged_log_says_nothing() -> None:
    claims = Claims()
    claims.add(segment(lane(0, 1), {"r1.1": 1}, 7))
    broken = Snapshot(5, damage=(Damage("logs/_delta_log/", "is gone"),))
    assert not claims.hold([], broken)
    assert list(claims.damage([], broken)) == []
    assert len(list(claims.damage([], Snapshot(5)))) == 2
    assert claims.hold([lane(1, 1)], Snapshot(7))


async def test_a_follower_names_them_once() -> None:
    store = MemoryStore()
    await archive(store, [])
    plan = await make_plan(store, Filter())
    follower = Follower(store, Query(columns=("message",)), Cursor.at_end_of(plan))

    async def polled() -> int:
        return sum([rows.num_rows async for rows in follower.poll()])

    await put(store, segment(lane(0, 1), {"r1.1": 2}, 1, 1), segment(lane(1, 1), {}, 1, 2))
    assert await polled() == 2
    assert follower.report.damage == [Damage(lane(1, 2).key, f"is {NOWHERE}")]
    await put(store, segment(lane(0, 2), {"r1.1": 2}, 1, 3))
    before = follower.report.listings
    assert await polled() == 1
    assert follower.report.listings == before + 1  # the journal, and nothing that was checked before
    assert len(follower.report.damage) == 1
