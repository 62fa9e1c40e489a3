"""After a repair every row that is intact somewhere is found once, verification is content, and no work is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from logsink.archive.checkpointing import write_checkpoint
from logsink.archive.lanes import Lanes, lanes_of
from logsink.archive.log import Add, DeltaLog, Remove, Txn
from logsink.archive.rounds import Rounds
from logsink.archive.snapshot import HINT, LOG, Snapshot, Tags, checkpoint_key, commit_key
from logsink.errors import Conflict
from logsink.integrity import Repair, Verified, tables, verify
from logsink.journal import Segment, SegmentName
from logsink.store import open_store
from logsink.store.base import Bytes, Store
from logsink.store.marker import MARKER, encode_marker, new_marker
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import (
    MIDNIGHT,
    Limits,
    fresh,
    journal,
    segment,
    store_segment,
    table_of,
    visible,
)
from tests.unit.integrity.damages import cut, delete, empty, flip

ID = "a-store"


async def archive(store: Store, *names: SegmentName, days: int = 0, delete: bool = True) -> str:
    """Store a segment of three messages for each name, archive all in one commit, and return the file's path."""
    segments: dict[SegmentName, Segment | None] = {}
    for name in names:
        segments[name] = await put_segment(store, name, days)
    before = set((await fresh(store)).files)
    rounds = Rounds(DeltaLog(store))
    await rounds.archive(await rounds.log.load(), segments)
    rounds.close()
    if delete:
        await store.delete([name.key for name in names])
    (path,) = set((await fresh(store)).files) - before
    return path


async def put_segment(store: Store, name: SegmentName, days: int = 0) -> Segment:
    at = MIDNIGHT + days * 86_400_000_000 + name.sequence
    messages = [f"{name.app_id}:{name.sequence}:{k}" for k in range(3)]
    return await store_segment(store, segment(name, messages, received=at)._replace(store_id=ID))


def name(sequence: int, lane: int = 0) -> SegmentName:
    return SegmentName("r", lane, sequence)


def messages(*sequences: int, lane: int = 0) -> list[str]:
    return [f"r.{lane}:{sequence}:{k}" for sequence in sequences for k in range(3)]


class Place(MemoryStore):
    """A store in memory with four files of two segments each, of which the last one has its segments still."""

    paths: list[str]

    @classmethod
    async def made(cls) -> Place:
        store = cls()
        store.paths = []
        await DeltaLog(store, store_id=ID).create()
        await store.put(MARKER, encode_marker(new_marker(ID, "a test", 0.0)))
        for first in (1, 3, 5, 7):
            store.paths.append(await archive(store, name(first), name(first + 1), delete=first < 7))
        for sequence in (9, 10, 11):
            await put_segment(store, name(sequence))
        return store


async def repaired(store: Store, *, quick: bool = False) -> Verified:
    """Repair, and return what a verification finds; a second repair has nothing to do."""
    planned = await Repair(store, Limits(), quick=quick).plan()
    steps = await Repair(store, Limits(), quick=quick).apply()
    found = await verify(store, deep=True)
    assert found.damages == [], found.damages
    assert planned == steps
    assert await Repair(store, Limits()).plan() == []
    return found


Damage = Callable[[Store, str], Awaitable[None]]
DAMAGES = pytest.mark.parametrize("damage", [flip, cut, empty, delete])
ALL = messages(*range(1, 12))


async def test_nothing_to_do() -> None:
    store = await Place.made()
    before = [entry async for entry in store.list()]
    assert await Repair(store, Limits()).plan() == []
    assert await Repair(store, Limits()).apply() == []
    assert [entry async for entry in store.list()] == before
    assert await visible(store) == sorted(ALL)


@pytest.mark.parametrize("version", range(5))
@DAMAGES
async def test_any_commit(version: int, damage: Damage) -> None:
    store = await Place.made()
    await damage(store, commit_key(version))
    found = await repaired(store)
    assert found.losses == []
    assert await visible(store) == sorted(ALL)


class Busy(Place):
    """A store to which another process commits, as soon as ``whole`` data files are counted that are read: three times."""

    whole: Counter[str] | None = None
    commits = 3

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if self.whole is not None and key.endswith(".parquet") and (start, end) == (0, None):
            self.whole[key] += 1
        return await super().get(key, start, end)

    async def put_absent(self, key: str, body: Bytes) -> bool:
        if self.whole is not None and key.startswith(LOG) and self.commits:
            self.commits -= 1
            raise Conflict("another process was faster")
        return await super().put_absent(key, body)


@pytest.mark.parametrize("what", ["a file", "the log"])
async def test_other_processes_that_commit_meanwhile(what: str) -> None:
    """What was read of data files is not read again: in a large store somebody commits before that is done."""
    store = await Busy.made()
    assert isinstance(store, Busy)
    await flip(store, f"logs/{store.paths[0]}" if what == "a file" else commit_key(2))
    store.whole = Counter()
    await Repair(store, Limits()).apply()
    assert store.commits == 0
    assert {store.whole[f"logs/{path}"] for path in store.paths[2:]} == {1}
    assert (await verify(store, deep=True)).intact


async def test_the_whole_log() -> None:
    store = await Place.made()
    await store.delete([entry.key async for entry in store.list(LOG)])
    found = await repaired(store)
    assert found.losses == []
    assert await visible(store) == sorted(ALL)
    assert (await fresh(store)).txn["r.0"] in {6, 8}


@DAMAGES
async def test_the_only_checkpoint(damage: Damage) -> None:
    store = await Place.made()
    await write_checkpoint(store, await fresh(store))
    await store.delete([commit_key(version) for version in range(4)])
    await damage(store, checkpoint_key(4))
    await repaired(store)
    assert await visible(store) == sorted(ALL)


@pytest.mark.parametrize("damage", [flip, cut, empty])
async def test_a_checkpoint_that_commits_replace(damage: Damage) -> None:
    store = await Place.made()
    await write_checkpoint(store, await fresh(store))
    good = await store.get(checkpoint_key(4))
    await damage(store, checkpoint_key(4))
    await repaired(store)
    assert len(await store.get(checkpoint_key(4))) >= len(good) - 20
    assert (await fresh(store)).checkpoint == 4
    assert await visible(store) == sorted(ALL)


async def test_a_hint() -> None:
    store = await Place.made()
    await store.put(HINT, b"{")
    await repaired(store)


@DAMAGES
async def test_a_data_file_whose_segments_are_gone(damage: Damage) -> None:
    store = await Place.made()
    await damage(store, f"logs/{store.paths[1]}")
    found = await repaired(store)
    assert {one.key: one.rows for one in found.losses if one.rows} == {f"logs/{store.paths[1]}": 6}
    assert all(one.accepted for one in found.losses)
    assert await visible(store) == sorted(messages(1, 2, *range(5, 12)))
    if damage is not delete:
        assert f"quarantine/logs/{store.paths[1]}" in [entry.key async for entry in store.list("quarantine/")]


@DAMAGES
async def test_a_data_file_is_made_again_from_its_segments(damage: Damage) -> None:
    store = await Place.made()
    await damage(store, f"logs/{store.paths[3]}")
    found = await repaired(store)
    assert found.losses == []
    assert await visible(store) == sorted(ALL)


@pytest.mark.parametrize("before", [True, False], ids=["others before it", "alone in its lane"])
async def test_a_lost_log_and_a_damaged_file_at_the_end_of_its_lane(before: bool) -> None:
    store = await Place.made()
    if before:
        await archive(store, name(1, 5), name(2, 5))
    path = await archive(store, *(name(n, 5) for n in ((3, 4) if before else (1, 2))))
    await flip(store, f"logs/{path}", 40)
    await store.delete([entry.key async for entry in store.list(LOG)])
    found = await repaired(store)
    assert {one.key: one.rows for one in found.losses}[f"logs/{path}"] == 6
    assert await visible(store) == sorted(ALL + (messages(1, 2, lane=5) if before else []))
    await put_segment(store, name(5 if before else 3, 5))
    assert (await verify(store)).intact


async def test_rows_within_a_data_file() -> None:
    store = await Place.made()
    await flip(store, f"logs/{store.paths[1]}", 40)
    assert (await Repair(store, Limits(), quick=True).plan()) == []
    found = await repaired(store)
    assert sum(one.rows or 0 for one in found.losses) == 6  # all of one row group
    assert await visible(store) == sorted(messages(1, 2, *range(5, 12)))


@DAMAGES
async def test_the_marker(damage: Damage) -> None:
    store = await Place.made()
    await damage(store, MARKER)
    await repaired(store)
    assert (await store.get(MARKER)).find(ID.encode()) > 0


async def test_the_marker_and_the_only_commit_swapped() -> None:
    """Each is an object that can be read, and no commit follows that would say what the one before it was."""
    store = MemoryStore()
    await DeltaLog(store, store_id=ID).create()
    marker, commit = encode_marker(new_marker(ID, "a test", 0.0)), await store.get(commit_key(0))
    await store.put(MARKER, commit)
    await store.put(commit_key(0), marker)
    for sequence in (1, 2):
        await put_segment(store, name(sequence))
    snapshot = await fresh(store)
    assert [str(one) for one in snapshot.damage] == [f"{commit_key(0)} holds no protocol or no metadata"]
    await repaired(store)
    assert await visible(store) == sorted(messages(1, 2))


@DAMAGES
@pytest.mark.parametrize("sequence", [9, 10])
async def test_a_segment(damage: Damage, sequence: int) -> None:
    store = await Place.made()
    await damage(store, name(sequence).key)
    found = await repaired(store)
    assert [one.key for one in found.losses] == [name(sequence).key]
    assert await visible(store) == sorted(messages(*(n for n in range(1, 12) if n != sequence)))


@pytest.mark.parametrize("damage", [flip, cut, empty])
async def test_an_archived_segment(damage: Damage) -> None:
    store = await Place.made()
    await damage(store, name(7).key)
    found = await repaired(store)
    assert found.losses == []
    assert name(7) not in await journal(store)
    assert await visible(store) == sorted(ALL)


async def test_everything_at_once() -> None:
    store = await Place.made()
    await store.delete([MARKER, commit_key(2), f"logs/{store.paths[0]}", name(9).key])
    await cut(store, f"logs/{store.paths[3]}")
    found = await repaired(store)
    lost = {one.key for one in found.losses}
    assert name(9).key in lost
    assert await visible(store) == sorted(messages(*range(3, 9), 10, 11))


async def merge(store: Place, *numbers: int, gone: bool = False) -> str:
    """Merge files of the store as compaction does; ``gone``: delete the inputs."""
    from logsink.archive.compaction import _merged

    log = DeltaLog(store)
    snapshot = await log.load()
    group = tuple(snapshot.files[store.paths[number]] for number in numbers)
    new, _ = _merged(group, [await store.get(one.key) for one in group], lambda seconds: None)
    await store.put(new.file.key, memoryview(new.body))
    await log.commit(snapshot, [*(Remove(one, data_change=False) for one in group), Add(new.file)])
    if gone:
        await store.delete([one.key for one in group])
    return new.file.path


@pytest.mark.parametrize("gone", [False, True])
async def test_a_log_that_is_lost_after_a_merge(gone: bool) -> None:
    store = await Place.made()
    merged = await merge(store, 0, 1, gone=gone)
    await store.delete([entry.key async for entry in store.list(LOG)])
    found = await repaired(store)
    assert found.losses == []
    assert merged in (await fresh(store)).files
    assert await visible(store) == sorted(ALL)


@DAMAGES
async def test_a_merged_file_whose_inputs_are_there(damage: Damage) -> None:
    store = await Place.made()
    merged = await merge(store, 0, 1)
    await damage(store, f"logs/{merged}")
    found = await repaired(store)
    assert found.losses == []
    assert await visible(store) == sorted(ALL)


@DAMAGES
async def test_an_input_that_is_gone_behind_a_damaged_merge(damage: Damage) -> None:
    store = await Place.made()
    await merge(store, 0, 1, gone=True)
    await damage(store, commit_key(5))
    found = await repaired(store)
    assert found.losses == []
    assert await visible(store) == sorted(ALL)


async def test_a_repair_that_is_killed_anywhere_is_done_by_the_next() -> None:
    class Killed(Exception):
        pass

    class Fragile(Place):
        left = 1 << 30

        async def put(self, key: str, body: object) -> None:
            self._spend()
            await super().put(key, body)  # type: ignore[arg-type]

        async def put_absent(self, key: str, body: object) -> bool:
            self._spend()
            return await super().put_absent(key, body)  # type: ignore[arg-type]

        def _spend(self) -> None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    writes = 0
    while True:
        store = await Fragile.made()
        assert isinstance(store, Fragile)
        await store.delete([MARKER, commit_key(2), name(9).key])
        await cut(store, f"logs/{store.paths[0]}")
        await cut(store, f"logs/{store.paths[3]}")
        store.left = writes
        try:
            await Repair(store, Limits()).apply()
            break
        except Killed:
            pass
        store.left = 1 << 30
        await repaired(store)
        assert await visible(store) == sorted(messages(*range(3, 9), 10, 11)), writes
        writes += 1
    assert writes > 6


async def test_other_programs_read_a_log_that_was_rebuilt(tmp_path: Path) -> None:
    import duckdb
    from deltalake import DeltaTable

    async with open_store(f"{tmp_path}/store") as store:
        await table_of(store)
        await cut(store, commit_key(1))
        await repaired(store)
        await DeltaLog(store).commit(await fresh_of(store), [Txn("s.0", 1)])
    table = DeltaTable(f"{tmp_path}/store/logs")
    assert (table.version(), len(table.file_uris())) == (5, 3)
    rows = duckdb.sql("SELECT count(*) FROM read_parquet($files)", params={"files": table.file_uris()}).fetchall()
    assert rows == [(15,)]
    DeltaTable(f"{tmp_path}/store/logs").create_checkpoint()
    async with open_store(f"{tmp_path}/store") as store:
        assert (await verify(store)).intact


async def fresh_of(store: Store) -> Snapshot:
    return await DeltaLog(store).load()


async def test_receivers_go_on_with_a_log_that_was_rebuilt() -> None:
    store = await Place.made()
    log = DeltaLog(store)
    before = await log.load()
    await cut(store, commit_key(3))
    await repaired(store)
    after = await log.load()
    assert (after.intact, after.version) == (True, 5)
    assert await log.commit(after, [Txn("s.0", 1)]) == 6
    assert before.version == 4
    assert (await verify(store)).intact


async def test_a_lost_commit_whose_segments_are_half_gone() -> None:
    store = await Place.made()
    await store.delete([commit_key(4), name(7).key])
    await repaired(store)
    assert await visible(store) == sorted(ALL)


async def test_a_lost_segment_beside_a_file_that_does_not_have_it() -> None:
    store = await Place.made()
    await store.delete([name(9).key])
    lost = await archive_in_vain(store, 9)
    found = await repaired(store)
    assert [one.key for one in found.losses] == [name(9).key]
    assert await visible(store) == sorted(messages(*range(1, 9), 10, 11))
    assert lost not in (await fresh(store)).files


async def archive_in_vain(store: Store, first: int) -> str:
    """Put the file of a commit that passes ``first`` and covers the rest, and do not commit it."""
    from logsink.archive.salvage import restore_rows
    from logsink.journal.reader import read_segment

    segments = [await read_segment(store, name(n)) for n in (10, 11)]
    segments[0] = segments[0]._replace(name=name(first))
    (new,) = restore_rows(segments, None)
    await store.put(new.file.key, memoryview(new.body))
    return new.file.path


async def test_a_rebuilt_log_that_has_lost_its_checkpoint() -> None:
    store = await Place.made()
    await cut(store, commit_key(2))
    await repaired(store)
    await store.delete([checkpoint_key(5)])
    found = await verify(store)
    assert checkpoint_key(5) in [one.damage.key for one in found.damages]
    await repaired(store)
    assert await store.get(checkpoint_key(5))
    assert await visible(store) == sorted(ALL)


async def test_a_newest_commit_that_only_segments_know_of() -> None:
    store = await Place.made()
    await store_segment(store, (await put_segment(store, name(1, 1)))._replace(name=name(2, 1), commit=4))
    await store.delete([commit_key(4)])
    assert not (await verify(store)).intact
    await repaired(store)
    shown = await visible(store)
    assert sorted(set(shown)) == sorted({*ALL, *messages(1, lane=1)})


async def test_what_a_damaged_log_still_says_is_in_the_new_one() -> None:
    """Which rows retired files held, by which their segments may go, and columns of a newer logsink."""
    store = await Place.made()
    log = DeltaLog(store)
    snapshot = await log.load()
    retired = snapshot.files[store.paths[0]]
    await log.commit(snapshot, [Remove(retired, data_change=True)])
    await cut(store, commit_key(3))
    await repaired(store)
    found = await fresh(store)
    assert found.removed[retired.path] == retired.tags
    assert found.schema == snapshot.schema


@pytest.mark.parametrize(("receivers", "waits"), [(1, 120.0), (50, 660.0)])
async def test_running_receivers_have_the_time_that_they_take_to_commit(receivers: int, waits: float) -> None:
    """Of many receivers each waits longer before it archives what only it has in memory."""
    store = MemoryStore(clock=lambda: 1_000.0)
    log = DeltaLog(store)
    await log.commit(await log.create(), [Txn(f"other{number}.0", 1) for number in range(receivers)])
    await put_segment(store, name(2))
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await Repair(store, Limits(), settle=60.0, sleep=sleep).apply()
    assert slept == [waits]


async def test_files_of_a_lost_log_are_asked_once_what_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    await table_of(store, 30)
    await store.put(MARKER, encode_marker(new_marker(ID, "a test", 0.0)))
    await store.delete([entry.key async for entry in store.list(LOG)])
    asked = 0

    def counted(tags: Tags) -> Lanes | None:
        nonlocal asked
        asked += 1
        return lanes_of(tags)

    monkeypatch.setattr(tables, "lanes_of", counted)
    assert await Repair(store, Limits()).plan()
    assert asked < 30 * 10
