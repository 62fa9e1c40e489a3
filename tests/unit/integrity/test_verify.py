"""Every damage is named, with what is lost by it; what upkeep does meanwhile is none."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from logsink.archive.checkpointing import write_checkpoint
from logsink.archive.indexing import Indexing, IndexProgress
from logsink.archive.lanes import TAG
from logsink.archive.log import Accepted, Add, Lost, Remove, Txn
from logsink.archive.rounds import Rounds
from logsink.archive.snapshot import HINT, DataFile, checkpoint_key, commit_key
from logsink.errors import NotFound
from logsink.index import FILTERS, INDEX, index_date, objects, read_head
from logsink.integrity import Verified, verify
from logsink.journal import SegmentName
from logsink.store.base import Entry, Store
from logsink.store.marker import MARKER, encode_marker, new_marker
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import Limits, data_file, fresh, log_of, put_file, segment, store_segment, table_of
from tests.unit.integrity.damages import cut, delete, flip

MARKED = new_marker("a-store", "a test", 0.0)


async def a_store() -> tuple[MemoryStore, list[DataFile]]:
    """A store with a marker, three data files, and two segments that are not archived."""
    store = MemoryStore()
    files = await table_of(store)
    await store.put(MARKER, encode_marker(MARKED))
    for sequence in (2, 3):
        await store_segment(store, segment(SegmentName("r", 0, sequence), ["a"])._replace(store_id="a-store"))
    return store, files


def named(found: Verified) -> list[str]:
    return [one.damage.key for one in found.damages]


@pytest.mark.parametrize("deep", [False, True])
async def test_an_intact_store(deep: bool) -> None:
    store, files = await a_store()
    found = await verify(store, deep=deep)
    assert (found.damages, found.notes, found.losses) == ([], [], [])
    assert (found.version, found.segments, found.commits, found.files, found.rows) == (3, 2, 4, 3, 15)
    assert found.nbytes == sum(one.size for one in files)


async def test_there_must_be_a_store() -> None:
    with pytest.raises(NotFound, match="cannot find a store"):
        await verify(MemoryStore())


@pytest.mark.parametrize("damage", [flip, cut, delete])
async def test_a_damaged_data_file(damage: Callable[[Store, str], Awaitable[None]]) -> None:
    store, files = await a_store()
    await damage(store, files[1].key)
    found = await verify(store)
    assert [(one.part, one.damage.key, one.damage.rows) for one in found.damages] == [("files", files[1].key, 5)]


async def test_a_byte_within_a_data_file_is_found_by_reading_all_of_it() -> None:
    store, files = await a_store()
    await flip(store, files[1].key, 20)
    assert named(await verify(store)) == []
    (damage,) = (await verify(store, deep=True)).damages
    assert (damage.damage.key, damage.damage.what) == (files[1].key, "has damaged rows")


async def test_files_of_earlier_dates_are_left_out() -> None:
    store, files = await a_store()
    await delete(store, files[1].key)
    assert named(await verify(store, since=files[1].date)) == [files[1].key]
    assert named(await verify(store, since=files[1].date + datetime.timedelta(1))) == []


@pytest.mark.parametrize("version", [0, 1, 2, 3])
@pytest.mark.parametrize("damage", [flip, cut])
async def test_a_damaged_commit(version: int, damage: Callable[[Store, str], Awaitable[None]]) -> None:
    store, _ = await a_store()
    await damage(store, commit_key(version))
    found = await verify(store)
    assert commit_key(version) in named(found)


async def test_a_missing_commit() -> None:
    store, _ = await a_store()
    await delete(store, commit_key(2))
    assert commit_key(2) in named(await verify(store))


async def test_a_lost_newest_commit_is_seen_by_its_data_file() -> None:
    store, files = await a_store()
    await delete(store, commit_key(3))
    assert named(await verify(store)) == [files[2].key]


async def test_a_data_file_whose_segments_are_there_is_left_over() -> None:
    store, _ = await a_store()
    await put_file(store, "c0ffee", {"r.0": (2, 3)})
    found = await verify(store)
    assert (found.damages, len(found.notes)) == ([], 1)


async def test_a_damaged_commit_behind_a_checkpoint() -> None:
    store, _ = await a_store()
    await write_checkpoint(store, await fresh(store))
    assert not named(await verify(store))
    await flip(store, commit_key(1))
    assert (await fresh(store)).intact
    assert commit_key(1) in named(await verify(store))


@pytest.mark.parametrize("damage", [flip, cut])
async def test_a_damaged_checkpoint(damage: Callable[[Store, str], Awaitable[None]]) -> None:
    store, _ = await a_store()
    await write_checkpoint(store, await fresh(store))
    await damage(store, checkpoint_key(3))
    assert named(await verify(store)) == [checkpoint_key(3)]


async def test_a_checkpoint_of_another_table() -> None:
    store, files = await a_store()
    snapshot = await fresh(store)
    fewer = {one.path: one for one in files[1:]}
    await write_checkpoint(store, snapshot._replace(files=fewer))
    assert named(await verify(store)) == [checkpoint_key(3)]


async def test_a_damaged_hint() -> None:
    store, _ = await a_store()
    await store.put(HINT, b'{"version": 2}')
    assert named(await verify(store)) == [HINT]
    await store.put(HINT, b"{")
    assert named(await verify(store)) == [HINT]


@pytest.mark.parametrize("damage", [flip, delete])
async def test_a_damaged_marker(damage: Callable[[Store, str], Awaitable[None]]) -> None:
    store, _ = await a_store()
    await damage(store, MARKER)
    assert named(await verify(store)) == [MARKER]


async def test_objects_of_another_store() -> None:
    store, _ = await a_store()
    await store.put(MARKER, encode_marker(new_marker("other", "a test", 0.0)))
    assert named(await verify(store)) == [MARKER]


async def test_a_damaged_segment() -> None:
    store, _ = await a_store()
    key = SegmentName("r", 0, 3).key
    await cut(store, key)
    assert named(await verify(store)) == [key]


async def test_a_gap_in_a_lane() -> None:
    store, _ = await a_store()
    key = SegmentName("r", 0, 2).key
    await delete(store, key)
    assert named(await verify(store)) == [key]


async def test_a_loss_is_named_until_it_is_accepted() -> None:
    store, _ = await a_store()
    key, log = SegmentName("r", 0, 2).key, log_of(store)
    await delete(store, key)
    await log.commit(await log.load(), [Txn("r.0", 2), Lost(key, 7)])
    found = await verify(store)
    assert [(one.damage.key, one.damage.rows) for one in found.damages] == [(key, 7)]
    await log.commit(await log.load(), [Accepted(key)])
    found = await verify(store)
    assert (found.damages, [one.key for one in found.losses]) == ([], [key])


def with_lanes(file: DataFile, lanes: str) -> DataFile:
    return file.tagged([(TAG, lanes)])


async def test_lanes_without_a_data_file_and_with_two() -> None:
    store, files = await a_store()
    log = log_of(store)
    one, two, three = [await put_file(store, name, {"s.0": (1, 1)}) for name in ("a1", "a2", "a3")]
    said = [Add(with_lanes(one, '{"s.0":[[1,4]]}')), Add(with_lanes(two, '{"s.0":[[4,5]]}')), Txn("s.0", 9)]
    said += [Remove(file, data_change=True) for file in files]
    said += [Add(with_lanes(three, '{"s.0":[[8,9]]}'))]
    await log.commit(await log.load(), said)
    await store_segment(store, segment(SegmentName("s", 0, 7), ["a"]))
    found = await verify(store)
    assert [(one.part, one.damage.key) for one in found.damages if "logs/" not in one.damage.key] == [
        ("lanes", "journal/s/0/00000000000000000006-00000000000000000007"),
        ("lanes", SegmentName("s", 0, 7).key),
    ]
    (pair,) = [one for one in found.damages if one.part == "lanes" and "logs/" in one.damage.key]
    assert "segments 4 to 4 of lane s.0" in pair.damage.what


async def test_a_missing_file_that_was_merged_meanwhile_is_no_damage() -> None:
    class Merging(MemoryStore):
        """Its first data file leaves the table, and is deleted, when somebody reads it."""

        file: DataFile | None = None

        async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            if self.file is not None and key == self.file.key:
                file, self.file = self.file, None
                log = log_of(self)
                await log.commit(await log.load(), [Remove(file, data_change=False)])
                await self.delete([file.key])
            return await super().get(key, start, end)

    store = Merging()
    files = await table_of(store)
    await store.put(MARKER, encode_marker(MARKED))
    store.file = files[0]
    found = await verify(store)
    assert (found.damages, found.files) == ([], 2)


async def test_at_most_three_requests_a_data_file() -> None:
    class Counting(MemoryStore):
        asked: int = 0

        async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            self.asked += key.endswith(".parquet")
            return await super().get(key, start, end)

    store = Counting()
    files = await table_of(store, lanes=8)
    store.asked = 0
    await verify(store)
    assert store.asked <= 3 * len(files)
    assert data_file("x").key not in named(await verify(store))


# --- the index


async def indexed(store: Store) -> list[str]:
    """Index the store's files; return the keys of index objects."""
    indexing = Indexing(log_of(store), Limits(target_file=1))
    assert (await indexing.index_missing(IndexProgress())).files == 3
    indexing.close()
    return [entry.key async for entry in store.list(INDEX) if index_date(entry.key, FILTERS)]


@pytest.mark.parametrize("deep", [False, True])
async def test_an_intact_index_and_one_that_was_deleted(deep: bool) -> None:
    store, _ = await a_store()
    keys = await indexed(store)
    assert named(await verify(store, deep=deep)) == []
    await store.delete(keys[:1])
    assert named(await verify(store, deep=deep)) == []


@pytest.mark.parametrize("damage", [flip, cut])
async def test_a_damaged_object_of_the_index(damage: Callable[[Store, str], Awaitable[None]]) -> None:
    store, _ = await a_store()
    keys = await indexed(store)
    await damage(store, keys[1])
    (found,) = (await verify(store)).damages
    assert (found.part, found.damage.key, found.damage.rows) == ("index", keys[1], 0)
    assert "maintain --index" in found.remedy


async def test_a_byte_within_an_object_of_the_index_is_found_by_reading_all_of_it() -> None:
    store, _ = await a_store()
    keys = await indexed(store)
    await flip(store, keys[0], 100)
    assert named(await verify(store)) == []
    assert named(await verify(store, deep=True)) == [keys[0]]


async def test_an_object_of_the_index_of_a_newer_version_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = await a_store()
    with monkeypatch.context() as patch:
        patch.setattr(objects, "FORMAT", 2)
        keys = await indexed(store)
    found = await verify(store)
    assert named(found) == []
    assert found.notes == [f"{key} is not read: it has format 2, and this version reads 1" for key in keys]


@pytest.mark.parametrize("part", ["tails", "between"])
async def test_each_byte_of_an_object_of_the_index_is_proved(part: str) -> None:
    store, _ = await a_store()
    keys = await indexed(store)
    body = await store.get(keys[0])
    at = read_head(keys[0], body, len(body)).sections[0].at
    if part == "tails":
        await flip(store, keys[0], at[0] + 5)
    else:  # bytes that no part of the object names
        await store.put(keys[0], body[: at[0] + at[1]] + b"more" + body[at[0] + at[1] :])
    assert named(await verify(store)) == []
    assert named(await verify(store, deep=True)) == [keys[0]]


async def test_a_commit_between_two_looks_at_the_journal() -> None:
    """A lane grows while another one is listed, so there is a second look, and what was committed meanwhile is checked, too."""

    class Growing(MemoryStore):
        surveys = -10

        async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
            if prefix == "logs/date=":
                self.surveys += 1
                if self.surveys == 2:
                    await rounds.archive(await rounds.log.load(), {one.name: one for one in (first, second)})
            entries = [entry async for entry in super().list(prefix, after)]
            for entry in entries:
                if self.surveys != 1 or entry.key != first.name.key:  # stored after its lane was listed
                    yield entry

    store = Growing()
    rounds = Rounds(log_of(store))
    await rounds.log.create()
    kept = await store_segment(store, segment(SegmentName("r", 0, 1), ["a"]))
    await rounds.archive(await rounds.log.load(), {kept.name: kept})
    first = await store_segment(store, segment(SegmentName("r", 0, 2), ["b"]))
    second = await store_segment(store, segment(SegmentName("r", 1, 1), ["c"])._replace(stored={"r.0": 2}))
    store.surveys = 0
    found = await verify(store)
    rounds.close()
    assert store.surveys == 2
    assert found.damages == []
    assert (found.files, found.rows) == (2, 3)
