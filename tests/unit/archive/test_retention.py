"""What leaves: dates past their retention, and the exact rule for data files that may be deleted."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterable

import orjson
import pytest

from logsink.archive import retention
from logsink.archive.chain import parse
from logsink.archive.file import INPUTS, FileWriter, runs
from logsink.archive.lanes import TAG
from logsink.archive.log import Add, DeltaLog, Lost, Remove, Txn
from logsink.archive.retention import (
    OVERDUE,
    Removed,
    Retired,
    commit_needs,
    expired_removals,
    removable_files,
    remove_files,
    retire,
)
from logsink.archive.snapshot import DataFile, Snapshot, commit_key
from logsink.errors import Conflict, Damaged, FormatError, Unavailable
from logsink.store.base import Entry, Store
from logsink.store.memory import MemoryStore
from tests.support.faulty import FaultyStore, Lose
from tests.unit.archive.rows import TableRows, row
from tests.unit.archive.tables import MIDNIGHT, data_file, foreign, fresh, log_of, once, put_file

DAY = 86_400.0
NOON = MIDNIGHT / 1e6 + DAY / 2


async def put_merged(store: Store, name: str, *inputs: DataFile) -> DataFile:
    """What a compaction of these files would add; it is stored and not committed."""
    rows, writer = TableRows([row(time=MIDNIGHT, received=MIDNIGHT)]), FileWriter()
    for run in runs(rows):
        writer.add(rows, run)
    path = f"date=2026-11-22/compacted-{name}.parquet"
    new = writer.finish(path, datetime.date(2026, 11, 22), {INPUTS: orjson.dumps([one.path for one in inputs])})
    await store.put(new.file.key, memoryview(new.body))
    return new.file


class Timed(MemoryStore):
    """Its clock says what it is told."""

    def __init__(self, now: float = NOON) -> None:
        super().__init__(clock=lambda: self.time)
        self.time = now


async def test_a_data_file_is_removed_exactly_when_its_commit_can_no_longer_win() -> None:
    store = Timed()
    log = log_of(store, wall=lambda: store.time)
    await log.create()
    live = await put_file(store, "a1", {"r.0": (1, 4), "r.1": (1, 2)})
    await log.commit(await log.load(), [Add(live), Txn("r.0", 4), Txn("r.1", 2)])
    lost = await put_file(store, "b1", {"r.0": (3, 9)})
    lost_in_one_lane = await put_file(store, "b2", {"r.0": (5, 6), "r.1": (2, 3)})
    waiting = await put_file(store, "c1", {"r.0": (5, 6), "r.1": (3, 3)})
    new_lane = await put_file(store, "c2", {"r.2": (1, 1)})
    await store.put("logs/date=2026-11-22/part-0.parquet", b"of another program")
    await store.put("logs/date=2026-11-22/r-1-1-abc.parquet", b"not Parquet")
    assert await remove_files(log, orphan_after=0.0, keep_removed=0.0) == Removed()
    store.time += 100
    assert await remove_files(log, orphan_after=101.0, keep_removed=0.0) == Removed()
    assert await remove_files(log, orphan_after=50.0, keep_removed=0.0) == Removed(2, lost.size + lost_in_one_lane.size)
    left = {entry.key async for entry in store.list("logs/date=")}
    assert not left & {lost.key, lost_in_one_lane.key}
    assert {live.key, waiting.key, new_lane.key} < left
    assert len(left) == 5


async def test_an_unfinished_compaction_is_removed_when_one_of_its_inputs_has_left_the_table() -> None:
    store = Timed()
    log = log_of(store, wall=lambda: store.time)
    await log.create()
    one, two = [await put_file(store, name, {f"{name}.0": (1, 1)}) for name in ("a", "b")]
    await log.commit(await log.load(), [Add(one), Add(two), Txn("a.0", 1), Txn("b.0", 1)])
    merged = await put_merged(store, "c1", one, two)
    store.time += 100
    assert not (await removable_files(log, orphan_after=50.0, keep_removed=DAY)).files
    await log.commit(await log.load(), [Remove(two, data_change=True)])
    assert [entry.key for entry in (await removable_files(log, orphan_after=50.0, keep_removed=DAY)).files] == [
        merged.key
    ]


async def test_a_removed_file_goes_when_its_tombstone_is_old_enough() -> None:
    store = Timed()
    log = log_of(store, wall=lambda: store.time)
    await log.create()
    one, two = [await put_file(store, name, {f"{name}.0": (1, 1)}) for name in ("a", "b")]
    await log.commit(await log.load(), [Add(one), Add(two), Txn("a.0", 1), Txn("b.0", 1)])
    store.time += 10 * DAY
    merged = await put_merged(store, "c1", one, two)
    removes = [Remove(file, data_change=False) for file in (one, two)]
    await log.commit(await log.load(), [*removes, Add(merged, data_change=False)], operation="OPTIMIZE")
    store.time += DAY - 1
    assert await remove_files(log, orphan_after=0.0, keep_removed=DAY) == Removed()
    store.time += 2
    assert await remove_files(log, orphan_after=0.0, keep_removed=DAY) == Removed(2, one.size + two.size)
    assert [entry.key async for entry in store.list("logs/date=")] == [merged.key]


async def lose_twice(store: Timed) -> tuple[DeltaLog, DataFile, DataFile]:
    """A table, a live file of the first number of a lane, and one that lost against it; all is long ago."""
    log = log_of(store, wall=lambda: store.time)
    await log.create()
    live = await put_file(store, "a1", {"r.0": (1, 1)})
    lost = await put_file(store, "b1", {"r.0": (1, 1)})
    await log.commit(await log.load(), [Add(live), Txn("r.0", 1)])
    store.time += DAY
    return log, live, lost


async def test_a_log_that_is_younger_than_a_file_does_not_make_garbage_of_it() -> None:
    store = Timed()
    store.time += 100
    log = log_of(store, wall=lambda: store.time)
    await log.create()
    store.time -= 50
    before = await put_file(store, "a1", {"r.0": (1, 1)})
    store.time += 100
    after = await put_file(store, "a2", {"r.0": (1, 1)})
    await log.commit(await log.load(), [Add(data_file("live")), Txn("r.0", 1)])
    await store.put(data_file("live").key, b"0123456789")
    store.time += DAY
    found, damage = await removable_files(log, orphan_after=50.0, keep_removed=DAY)
    assert ([entry.key for entry in found], damage) == ([after.key], [])
    assert before.key in [entry.key async for entry in store.list()]


async def test_nothing_is_garbage_while_the_log_is_damaged() -> None:
    store = Timed()
    log, _, lost = await lose_twice(store)
    commit = await store.get(commit_key(1))
    for body in (commit.replace(b'"version":1', b'"version":3'), b"", commit[:-9]):
        await store.put(commit_key(1), body)
        with pytest.raises(Damaged, match="cannot delete data files"):
            await remove_files(log, orphan_after=50.0, keep_removed=-DAY)
    await store.put(commit_key(1), commit)
    assert (await remove_files(log, orphan_after=50.0, keep_removed=DAY)).nbytes == lost.size


async def test_a_file_is_kept_when_nothing_proves_that_its_rows_are_archived() -> None:
    store = Timed()
    log, live, lost = await lose_twice(store)
    other = live._replace(path=live.path.replace("a1", "a2")).tagged([(TAG, '{"r.0":[[2,2]]}')])
    await store.put(other.key, await store.get(live.key))
    removed = Remove(live.tagged(other.tags), data_change=False)
    await log.commit(await log.load(), [removed, Add(other)])
    store.time += 100
    assert await remove_files(log, orphan_after=50.0, keep_removed=DAY) == Removed()
    await log.commit(await log.load(), [Lost("journal/r/0/00000000000000000001.arrow")])
    assert await remove_files(log, orphan_after=50.0, keep_removed=DAY) == Removed(1, lost.size)


@pytest.mark.parametrize("damage", ["is missing", "has 9 bytes where the log says"])
async def test_nothing_of_a_date_goes_while_a_live_file_of_it_is_damaged(damage: str) -> None:
    store = Timed()
    log, live, lost = await lose_twice(store)
    body = await store.get(live.key)
    await (store.put(live.key, b"too short") if "has" in damage else store.delete([live.key]))
    kept = await remove_files(log, orphan_after=50.0, keep_removed=-DAY)
    assert (kept.files, [one.key for one in kept.damage]) == (0, [live.key])
    assert damage in kept.damage[0].what
    await store.put(live.key, body)
    assert await remove_files(log, orphan_after=50.0, keep_removed=-DAY) == Removed(1, lost.size)


@pytest.mark.parametrize("slow", ["store", "machine"])
async def test_of_two_clocks_the_one_that_is_behind_counts(slow: str) -> None:
    store = Timed(NOON if slow == "store" else NOON + 100 * DAY)
    log = log_of(store, wall=lambda: NOON if slow == "machine" else NOON + 100 * DAY)
    await log.create()
    await log.commit(await log.load(), [Add(data_file("a"))])
    assert await retire(log, 2 * DAY) is None


async def test_needs_are_read_from_the_footer_alone() -> None:
    store = MemoryStore()
    lanes = {f"{'x' * 200}-{k}.{k}": (k, k + 1) for k in range(500)}
    file = await put_file(store, "a1", lanes)
    assert await commit_needs(store, file.key) == (lanes, [])
    merged = await put_merged(store, "b1", file)
    assert await commit_needs(store, merged.key) == ({}, [file.path])
    nothing = await put_file(store, "a2", {"r.0": (1, 1)})
    body = (await store.get(nothing.key)).replace(b"logsink.lanes", b"another.thing")
    for bad in (b"", b"PAR1", body):
        await store.put("x", bad)
        with pytest.raises(FormatError, match="cannot read what data file x needs"):
            await commit_needs(store, "x")


async def test_retention_takes_whole_dates_and_changes_nothing_else() -> None:
    store = Timed()
    log = log_of(store, wall=lambda: store.time)
    await log.create()
    files = [data_file(f"f{day}", day=day) for day in (20, 18, 19, 21, 22)]
    await log.commit(await log.load(), [Add(file) for file in files])
    expected = Retired(2, 20, datetime.date(2026, 11, 18), datetime.date(2026, 11, 19))
    assert await retire(log, 2 * DAY) == expected  # the 20th ended a day and a half ago
    assert await retire(log, 2 * DAY) is None
    snapshot = await fresh(store)
    assert sorted(file.date.day for file in snapshot.files.values()) == [20, 21, 22]
    assert {path[:15] for path in snapshot.tombstones} == {"date=2026-11-18", "date=2026-11-19"}
    actions = parse(await store.get(commit_key(snapshot.version)))
    assert [action["remove"]["dataChange"] for action in actions if "remove" in action] == [True, True]


async def test_a_date_leaves_the_table_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_MOST", 2)
    store = Timed()
    log = log_of(store, wall=lambda: store.time)
    await log.create()
    files = [data_file(f"f{number}", day=day) for number, day in enumerate((17, 18, 18, 18, 19))]
    await log.commit(await log.load(), [Add(file) for file in files])
    days = [(await retire(log, 2 * DAY), {file.date.day for file in (await fresh(store)).files.values()}) for _ in "ab"]
    assert [(done and done.files, left) for done, left in days] == [(4, {19}), (1, set())]


@pytest.mark.parametrize("known", [1, 100])
async def test_retention_that_loses_a_race_looks_again(known: int) -> None:
    """``known``: how often it still sees the table as it was."""
    store = Timed()
    log = log_of(store, wall=lambda: store.time)
    await log.create()
    await log.commit(await log.load(), [Add(data_file("a", day=1))])
    stale, load = [await log.load()] * known, log.load
    await foreign(store, 2, {"remove": {"path": data_file("a", day=1).path, "dataChange": True}})

    async def loaded() -> Snapshot:
        return stale.pop() if stale else await load()

    log.load = loaded  # type: ignore[method-assign]
    if known == 1:
        assert await retire(log, DAY) is None
    else:
        with pytest.raises(Conflict, match="version 2 removed"):
            await retire(log, DAY)
    assert (await fresh(store)).version == 2


async def test_retention_knows_its_own_commit_after_a_lost_reply() -> None:
    objects = Timed()
    store = FaultyStore(objects, once("put_absent", commit_key(2), Lose()))
    log = log_of(store, wall=lambda: objects.time)
    await log.create()
    await log.commit(await log.load(), [Add(data_file("a", day=1)), Add(data_file("b"))])
    assert (done := await retire(log, DAY)) is not None
    assert done.files == 1
    assert (await fresh(store)).version == 2


class Listing(Timed):
    """It keeps the prefixes that were listed."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes: list[str] = []

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        self.prefixes.append(prefix)
        async for entry in super().list(prefix, after):
            yield entry


async def removed_table(store: Timed, *names: str) -> tuple[DeltaLog, list[DataFile], DataFile]:
    """A table from which all but one file were removed, one every ten seconds."""
    log = log_of(store, wall=lambda: store.time)
    await log.create()
    files = [await put_file(store, name, {f"{name}.0": (1, 1)}) for name in names]
    live = await put_file(store, "live", {"live.0": (1, 1)})
    txns = [Txn(f"{name}.0", 1) for name in (*names, "live")]
    await log.commit(await log.load(), [*map(Add, files), Add(live), *txns])
    for file in files:
        store.time += 10
        await log.commit(await log.load(), [Remove(file, data_change=False)])
    return log, files, live


async def test_removed_files_go_by_their_tombstones_and_only_their_date_is_listed() -> None:
    store = Listing()
    log, (one, two), live = await removed_table(store, "a", "b")
    orphan = await put_file(store, "c", {"a.0": (1, 1)})
    store.time += DAY - 5
    assert not (await expired_removals(log, keep_removed=DAY)).files
    store.time += OVERDUE - 10
    assert not (await expired_removals(log, keep_removed=DAY)).files  # nothing has been due for so long
    store.time += 10
    store.prefixes.clear()
    done = await remove_files(log, orphan_after=0.0, keep_removed=DAY, thorough=False)
    assert done == Removed(2, one.size + two.size)
    assert [prefix for prefix in store.prefixes if not prefix.endswith("_delta_log/")] == ["logs/date=2026-11-22/"]
    left = {entry.key async for entry in store.list("logs/date=")}
    assert left == {live.key, orphan.key}


async def test_who_finds_that_another_process_has_removed_files_lists_none() -> None:
    store = Listing()
    log, files, _ = await removed_table(store, "a", "b")
    store.time += DAY + OVERDUE + 1
    await store.delete([files[1].key])  # the last of those that are overdue
    store.prefixes.clear()
    assert await expired_removals(log, keep_removed=DAY) == ([], [])
    assert not any("date=" in prefix for prefix in store.prefixes)
    assert [entry.key for entry in (await removable_files(log, orphan_after=0.0, keep_removed=DAY)).files] == [
        files[0].key
    ]


@pytest.mark.parametrize("thorough", [False, True])
async def test_what_a_process_that_was_stopped_has_not_deleted_is_found(thorough: bool) -> None:
    class Stopping(Timed):
        """A process is stopped in the middle of what it deletes."""

        stop = True

        async def delete(self, keys: Iterable[str]) -> None:
            _, *others = deleted = list(keys)
            await super().delete(others if self.stop else deleted)
            if self.stop:
                raise Unavailable("cannot delete")

    store = Stopping()
    log, _, live = await removed_table(store, "c", "a", "b", "a2")  # in this order; they are listed in another
    store.time += DAY + OVERDUE + 1
    with pytest.raises(Unavailable):
        await remove_files(log, orphan_after=0.0, keep_removed=DAY, thorough=thorough)
    store.stop = False
    assert (await remove_files(log, orphan_after=0.0, keep_removed=DAY, thorough=False)).files == 2
    assert [entry.key async for entry in store.list("logs/date=")] == [live.key]


@pytest.mark.parametrize("damage", ["missing", "cut", "log"])
async def test_no_removed_file_goes_while_a_live_file_of_its_date_or_the_log_is_damaged(damage: str) -> None:
    store = Timed()
    log, files, live = await removed_table(store, "a", "b")
    store.time += DAY + OVERDUE + 1
    if damage == "missing":
        await store.delete([live.key])
    elif damage == "cut":
        await store.put(live.key, b"PAR1")
    else:
        await store.put(commit_key(1), b"")
        with pytest.raises(Damaged):
            await expired_removals(log, keep_removed=DAY)
        return
    found, named = await expired_removals(log, keep_removed=DAY)
    assert (found, [one.key for one in named]) == ([], [live.key])
    assert all([await store.get(file.key) for file in files])


async def test_a_file_that_came_back_into_the_table_is_not_removed() -> None:
    store = Timed()
    log, (one, two), _ = await removed_table(store, "a", "b")
    await log.commit(await log.load(), [Add(one, data_change=False)])
    store.time += DAY + OVERDUE + 1
    assert [entry.key for entry in (await expired_removals(log, keep_removed=DAY)).files] == [two.key]
