"""Which files are merged, what one merge does to the table, and what becomes of it when others are faster."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.archive import CountedFile, compaction, decode_counts, digest
from logsink.archive.chain import parse
from logsink.archive.compaction import Compacted, Compactor, plan
from logsink.archive.digest import Digests, digests_of, digests_tag, total
from logsink.archive.file import INPUTS, FileWriter, runs, write_files
from logsink.archive.lanes import Lanes, lanes_of
from logsink.archive.lanes import parse as parse_lanes
from logsink.archive.log import Add, Remove, Txn
from logsink.archive.retention import remove_files
from logsink.archive.snapshot import ROOT, DataFile, Snapshot, commit_key
from logsink.damage import Damage
from logsink.errors import Conflict, Unavailable
from logsink.index import COUNTS, FILTERS, INDEX, SectionBuilder, index_date, read_head, token_key, value_key
from logsink.query import Query
from logsink.query.read import fold
from logsink.query.views import Counts as SumsOf
from logsink.store.base import Store
from logsink.store.memory import MemoryStore
from tests.support.faulty import Call, Fail, Fate, FaultyStore, Late, Lose, Pass, Refuse
from tests.unit.archive.rows import TableRows, row
from tests.unit.archive.tables import (
    MIDNIGHT,
    Limits,
    archived,
    as_by_an_older_version,
    fresh,
    log_of,
    rows_of,
    table_of,
)

MB = 1 << 20
AGES = 1e9
NEXT_DAY = MIDNIGHT / 1e6 + 86_400 + 3600


# --- the plan


def small(name: str, size: int, *, hour: float = 0.0, rows: int = 10, day: int = 22, newest: bool = True) -> DataFile:
    """A file of ``size`` MB whose rows came in this hour."""
    date = datetime.date(2026, 11, day)
    at = datetime.datetime(2026, 11, day, tzinfo=datetime.UTC) + datetime.timedelta(hours=hour)
    stamp = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    bounds = {"time": stamp, "received": stamp} if newest else {}
    said = {"numRecords": rows, "minValues": bounds, "maxValues": bounds, "nullCount": {}}
    return DataFile(f"date={date}/r-1-1-{name.encode().hex()}.parquet", date, size * MB, orjson.dumps(said).decode())


def planned(files: Sequence[DataFile], *, hours: float, target: int = 128) -> list[list[str]]:
    """Names of the files of each group, when so many hours of the 22nd are over."""
    closed = MIDNIGHT / 1e6 + hours * 3600
    groups = plan(files, closed=closed, target=target * MB)
    return [[bytes.fromhex(file.path.split("-")[-1].removesuffix(".parquet")).decode() for file in g] for g in groups]


def test_an_hour_is_merged_when_it_is_over() -> None:
    files = [small("a", 1, hour=3.9), small("b", 1, hour=3.1), small("c", 1, hour=4.0), small("d", 1, hour=4.1)]
    assert planned(files, hours=3.99) == []
    assert planned(files, hours=4.0) == [["b", "a"]]
    assert planned(files, hours=5.0) == [["b", "a"], ["c", "d"]]


def test_a_date_is_merged_when_it_is_over() -> None:
    files = [small(f"{hour:02}", 5, hour=hour) for hour in range(24)] + [small("x", 5, day=23)]
    assert planned(files, hours=23.9) == []
    assert planned(files, hours=24) == [[f"{hour:02}" for hour in range(24)]]


def test_groups_are_neighbours_in_time_and_make_up_a_file() -> None:
    files = [small(str(k), 40, hour=k / 10) for k in range(8)]
    assert planned(files, hours=24) == [["0", "1", "2"], ["3", "4", "5"], ["6", "7"]]
    assert planned(files, hours=24, target=200) == [["0", "1", "2", "3", "4"], ["5", "6", "7"]]


def test_large_files_are_left_alone_by_size_and_by_rows() -> None:
    files = [small("a", 64), small("b", 63), small("c", 60), small("d", 1, rows=compaction.ROWS // 2)]
    assert planned(files, hours=24) == [["b", "c"]]
    many = [small(str(k), 1, rows=compaction.ROWS // 2 - 1) for k in range(4)]
    assert planned(many, hours=24) == [["0", "1"], ["2", "3"]]


def test_a_group_has_a_most_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "FILES", 3)
    assert planned([small(str(k), 1) for k in range(5)], hours=24) == [["0", "1", "2"], ["3", "4"]]


@pytest.mark.parametrize(
    ("sizes", "merged"),
    [
        ([60, 1], []),  # what comes late does not have everything written again
        ([60, 1, 1], [1, 1]),
        ([9, 3, 1], []),
        ([11, 3, 2], [3, 2]),
        ([10, 5], [10, 5]),
        ([5], []),
    ],
)
def test_every_merge_makes_the_file_that_a_row_is_in_half_as_large_again(sizes: list[int], merged: list[int]) -> None:
    groups = plan([small(str(k), size) for k, size in enumerate(sizes)], closed=NEXT_DAY, target=128 * MB)
    assert [[file.size // MB for file in group] for group in groups] == ([merged] if merged else [])


def test_files_that_are_not_understood_are_left_alone() -> None:
    fine = [small("a", 1), small("b", 1)]
    foreign = DataFile("date=2026-11-22/part-0.snappy.parquet", fine[0].date, MB, fine[0].statistics)
    silent = DataFile("date=2026-11-22/r-1-1-aa.parquet", fine[0].date, MB, "{}")
    assert planned([*fine, foreign, silent, small("c", 1, newest=False)], hours=24) == [["a", "b"]]
    assert plan(fine, closed=NEXT_DAY, target=128 * MB, without={fine[0].path}) == []


# --- a merge


def compactor(store: Store, *, now: float = NEXT_DAY + 3600, **settings: Any) -> Compactor:
    """One that takes whatever comes first, at once."""
    store.now = lambda: asyncio.sleep(0, now)  # type: ignore[assignment,method-assign]
    first: Any = lambda groups: groups[0]  # noqa: E731
    return Compactor(log_of(store), Limits(**settings), uniform=lambda a, b: a, choice=first)


async def step(store: Store, **settings: Any) -> Compacted | None:
    one = compactor(store, **settings)
    try:
        return await one.step()
    finally:
        one.close()


async def data_files(store: Store) -> set[str]:
    return {entry.key.removeprefix(ROOT) async for entry in store.list(f"{ROOT}date=")}


async def test_one_commit_replaces_the_files() -> None:
    store = MemoryStore()
    files = await table_of(store)
    before = await archived(store)
    done = await step(store)
    assert done is not None
    snapshot = await fresh(store)
    (new,) = snapshot.files.values()
    assert done == Compacted(4, 3, new.path, 15, sum(file.size for file in files), new.size)
    assert snapshot.txn == {"r.0": 1, "r.1": 1, "r.2": 1}
    assert set(snapshot.tombstones) == {file.path for file in files}
    assert await archived(store) == before
    assert await data_files(store) == {new.path, *(file.path for file in files)}
    info, *actions = parse(await store.get(commit_key(4)))
    assert info["commitInfo"]["operation"] == "OPTIMIZE"
    assert not info["commitInfo"]["isBlindAppend"]
    assert {change["dataChange"] for action in actions for change in action.values()} == {False}
    footer = pq.read_metadata(pa.BufferReader(await store.get(new.key)))
    assert orjson.loads(footer.metadata[INPUTS]) == [file.path for file in files]
    assert await step(store) is None


async def test_nothing_is_due_before_its_time() -> None:
    store = MemoryStore()
    await table_of(store)
    assert await step(store, now=MIDNIGHT / 1e6 + 2 * 3600 - 1) is None
    assert await step(store, now=MIDNIGHT / 1e6 + 2 * 3600) is not None


async def test_a_process_waits_a_while_longer_than_others() -> None:
    store = MemoryStore()
    await table_of(store)
    store.now = lambda: asyncio.sleep(0, MIDNIGHT / 1e6 + 2 * 3600)  # type: ignore[method-assign]
    late = Compactor(log_of(store), Limits(), uniform=lambda a, b: b)
    assert await late.step() is None
    late.close()


async def test_no_table_no_work() -> None:
    assert await step(MemoryStore()) is None


@pytest.mark.parametrize("bad", [b"not Parquet", b""])
async def test_a_file_that_cannot_be_read_is_passed(bad: bytes) -> None:
    store = MemoryStore()
    files = await table_of(store)
    await store.put(files[1].key, bad)
    done = await step(store)
    assert done is not None
    assert done.files == 2
    assert set((await fresh(store)).files) == {files[1].path, done.path}


@pytest.mark.parametrize("change", ["format", "column", "rows"])
async def test_a_file_of_a_newer_version_is_passed(change: str) -> None:
    store = MemoryStore()
    files = await table_of(store, tagged=False)
    table = pq.read_table(pa.BufferReader(await store.get(files[0].key)))
    metadata = {"logsink.format": "2" if change == "format" else "1"}
    table = table.slice(0, 4) if change == "rows" else table
    table = table.append_column("news", pa.nulls(len(table), pa.string())) if change == "column" else table
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    await store.put(files[0].key, memoryview(sink.getvalue()))
    done = await step(store)
    assert done is not None
    assert files[0].path in (await fresh(store)).files


async def test_a_file_that_only_a_newer_version_can_merge_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers of two versions share a table during an upgrade: `logsink maintain` of the older one does not fail."""
    store = MemoryStore()
    log = log_of(store)
    await log.create()
    for lane in range(3):
        with monkeypatch.context() as patch:
            patch.setattr("logsink.archive.file.FORMAT_VERSION", 2 if lane == 1 else 1)
            (new,) = write_files(TableRows(rows_of(lane)), {f"r.{lane}": (1, 1)}, "r", f"{lane}")
        await store.put(new.file.key, memoryview(new.body))
        await log.commit(await log.load(), [Add(new.file), Txn(f"r.{lane}", 1)])
    merging = compactor(store)
    try:
        done = await merging.step()
        assert done is not None
        assert done.files == 2
        assert await merging.step() is None
        assert merging.damage == []
    finally:
        merging.close()


async def test_a_file_without_a_column_of_today_is_merged() -> None:
    store = MemoryStore()
    files = await table_of(store, tagged=False)
    table = pq.read_table(pa.BufferReader(await store.get(files[0].key))).drop_columns(["identity", "severity"])
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({"logsink.format": "1"}), sink)
    await store.put(files[0].key, memoryview(sink.getvalue()))
    done = await step(store)
    assert done is not None
    assert done.files == 3
    merged = pq.read_table(pa.BufferReader(await store.get(ROOT + done.path)))
    assert sorted(merged["message"].to_pylist()) == sorted(f"m{lane}.{k}" for lane in range(3) for k in range(5))


# --- proof


def said(snapshot: Snapshot, path: str) -> tuple[Lanes | None, Digests | None]:
    """What the table's log says of the rows of a file."""
    tags = snapshot.files[path].tags
    return lanes_of(tags), digests_tag(tags)


@pytest.mark.parametrize("tagged", [True, False])
async def test_a_merged_file_says_what_its_inputs_did(tagged: bool) -> None:
    """Lanes are united; digests are those of its rows, and the sum of its inputs'. Without tags, footers say the lanes."""
    store = MemoryStore()
    files = await table_of(store, tagged=tagged)
    done = await step(store)
    assert done is not None
    lanes, digests = said(await fresh(store), done.path)
    footer = pq.read_metadata(pa.BufferReader(await store.get(ROOT + done.path))).metadata
    assert (lanes, digests) == (
        parse_lanes(footer[b"logsink.held"].decode()),
        digest.parse(footer[b"logsink.digests"].decode()),
    )
    assert lanes == {"r.0": ((1, 1),), "r.1": ((1, 1),), "r.2": ((1, 1),)}
    rows = [one for lane in range(3) for one in rows_of(lane)]
    assert digests == {"2026-11-22T00": (15, digests_of(TableRows(rows).table())["2026-11-22T00"][1])}
    if tagged:
        assert digests == total(digests_tag(file.tags) or {} for file in files)


async def test_lanes_are_not_said_where_an_input_does_not_say_all_of_them() -> None:
    """A file that an older version merged says no lanes: those of the others alone would look like all there are."""
    store = MemoryStore()
    log = log_of(store)
    await table_of(store)
    rows, writer = TableRows(rows_of(7)), FileWriter()
    for run in runs(rows):
        writer.add(rows, run)
    new = writer.finish("date=2026-11-22/compacted-aa.parquet", datetime.date(2026, 11, 22), {INPUTS: b'["x"]'})
    body = as_by_an_older_version(new)
    file = new.file._replace(size=len(body), packed="")
    await store.put(file.key, body)
    await log.commit(await log.load(), [Add(file)])
    done = await step(store)
    assert done is not None
    assert done.files == 4
    lanes, digests = said(await fresh(store), done.path)
    footer = pq.read_metadata(pa.BufferReader(await store.get(ROOT + done.path))).metadata
    assert lanes is None
    assert b"logsink.held" not in footer
    assert digests is not None
    assert [count for count, _ in digests.values()] == [20]


@pytest.mark.parametrize("place", [4, 300, -400, -40])
async def test_an_input_with_a_flipped_bit_is_passed(place: int) -> None:
    store = MemoryStore()
    files = await table_of(store)
    body = bytearray(await store.get(files[1].key))
    body[place] ^= 1
    await store.put(files[1].key, bytes(body))
    done = await step(store)
    assert done is not None
    assert done.files == 2
    assert set((await fresh(store)).files) == {files[1].path, done.path}


async def test_an_input_whose_rows_are_not_those_of_its_digests_is_passed(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody has written another file with right checksums, and gave the log its tail: the digests are those of before."""
    store = MemoryStore()
    log = log_of(store)
    await log.create()
    for lane in range(3):
        (new,) = write_files(TableRows(rows_of(lane)), {f"r.{lane}": (1, 1)}, "r", f"{lane}")
        file = new.file
        if lane == 1:
            (other,) = write_files(TableRows([*rows_of(lane)[:4], row(**TAKEN)]), {"r.1": (1, 1)}, "r", "1")
            tags = dict(other.file.tags) | {"logsink.digests": dict(new.file.tags)["logsink.digests"]}
            new, file = other, other.file.tagged(tags.items())
        await store.put(file.key, memoryview(new.body))
        await log.commit(await log.load(), [Add(file), Txn(f"r.{lane}", 1)])
    done = await step(store)
    assert done is not None
    assert done.files == 2
    assert "its rows do not match their digests in the table's log" in caplog.text


TAKEN = {"time": MIDNIGHT, "received": MIDNIGHT, "message": "another", "host": "h0", "app": "a"}


# --- races and faults


class Meeting(MemoryStore):
    """Calls whose key matches ``key`` wait for each other, so many at a time."""

    def __init__(self, verb: str, key: str, parties: int) -> None:
        super().__init__()
        self._verb, self._key, self._barrier, self.armed = verb, key, asyncio.Barrier(parties), False

    async def put(self, key: str, body: Any) -> None:
        await super().put(key, body)
        if self.armed and self._verb == "put" and key.startswith(self._key):
            await self._barrier.wait()


async def test_of_two_compactors_of_the_same_files_one_wins() -> None:
    store = Meeting("put", f"{ROOT}date=2026-11-22/compacted-", 2)
    files = await table_of(store)
    before = await archived(store)
    store.armed = True
    one, two = compactor(store), compactor(store)
    results = await asyncio.gather(one.step(), two.step(), return_exceptions=True)
    one.close()
    two.close()
    assert {type(result) for result in results} == {Compacted, Conflict}
    snapshot = await fresh(store)
    assert len(snapshot.files) == 1
    assert await archived(store) == before
    left = await data_files(store)
    assert len(left) == 5  # the loser's too
    await remove_files(log_of(store), orphan_after=-AGES, keep_removed=AGES)
    assert await data_files(store) == {*snapshot.files, *(file.path for file in files)}


class Interrupted(MemoryStore):
    """Before the first output is put, or the first commit of a compaction, something else happens."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key, self.happens = key, None

    async def _meet(self, key: str) -> None:
        if self.happens is not None and key.startswith(self.key):
            happens, self.happens = self.happens, None
            await happens()

    async def put(self, key: str, body: Any) -> None:
        await self._meet(key)
        await super().put(key, body)

    async def put_absent(self, key: str, body: Any) -> bool:
        await self._meet(key)
        return await super().put_absent(key, body)


BEFORE = {"put": f"{ROOT}date=2026-11-22/compacted-", "commit": f"{ROOT}_delta_log/"}


@pytest.mark.parametrize("moment", BEFORE)
async def test_a_compaction_that_is_overtaken_by_an_archive_commit_goes_on(moment: str) -> None:
    store = Interrupted(BEFORE[moment])
    await table_of(store)

    async def archive() -> None:
        (new,) = write_files(TableRows(rows_of(7)), {"s.0": (1, 1)}, "s", "aa")
        await store.put(new.file.key, memoryview(new.body))
        log = log_of(store)
        await log.commit(await log.load(), [Add(new.file), Txn("s.0", 1)])

    store.happens = archive
    done = await step(store)
    assert done is not None
    assert (done.version, done.files) == (5, 3)
    assert len(await archived(store)) == 20
    assert (await fresh(store)).txn["s.0"] == 1


@pytest.mark.parametrize("moment", BEFORE)
async def test_a_compaction_that_is_overtaken_by_retention_gives_up(moment: str) -> None:
    store = Interrupted(BEFORE[moment])
    files = await table_of(store)

    async def retire() -> None:
        log = log_of(store)
        await log.commit(await log.load(), [Remove(files[1], data_change=True)])

    store.happens = retire
    with pytest.raises(Conflict, match="removed"):
        await step(store)
    assert len(await archived(store)) == 10
    done = await step(store)
    assert done is not None
    assert done.files == 2
    assert len(await archived(store)) == 10


async def test_nothing_is_put_when_an_input_has_left_the_table_meanwhile() -> None:
    store = MemoryStore()
    files = await table_of(store)
    one = compactor(store)
    merge = one._merge

    async def slow(group: Any) -> Any:
        new = await merge(group)
        log = log_of(store)
        await log.commit(await log.load(), [Remove(files[0], data_change=True)])
        return new

    one._merge = slow  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="has left the table"):
        await one.step()
    one.close()
    assert await data_files(store) == {file.path for file in files}


async def test_an_input_that_is_gone_means_plan_again() -> None:
    """Another process took it out of the table and deleted it, after this one had planned."""
    store = MemoryStore()
    files = await table_of(store)
    log = log_of(store)
    compactor = Compactor(log, Limits(compact_after=-AGES))
    stale, load = await log.load(), log.load

    async def planned() -> Snapshot:
        log.load = load  # type: ignore[method-assign]
        return stale

    other = log_of(store)
    await other.commit(stale, [Remove(files[0], data_change=True)])
    await store.delete([files[0].key])
    log.load = planned  # type: ignore[method-assign]
    try:
        with pytest.raises(Conflict, match="no such object"):
            await compactor.step()
        assert compactor.damage == []
    finally:
        compactor.close()


async def test_a_live_input_that_is_missing_is_passed_over_and_named() -> None:
    store = MemoryStore()
    files = await table_of(store)
    await store.delete([files[0].key])
    compactor = Compactor(log_of(store), Limits(compact_after=-AGES))
    try:
        done = await compactor.step()
        assert done is not None
        assert (done.files, done.rows) == (2, 10)
        assert compactor.damage == [Damage(files[0].key, "is missing", 5)]
        assert await compactor.step() is None
    finally:
        compactor.close()
    assert set((await fresh(store)).files) == {files[0].path, done.path}


OUTPUT, COMMIT = f"{ROOT}date=2026-11-22/compacted-", f"{ROOT}_delta_log/"


@pytest.mark.parametrize(
    ("verb", "key", "fate", "succeeds"),
    [
        ("put", OUTPUT, Fail(), False),
        ("put", OUTPUT, Lose(), False),
        ("put_absent", COMMIT, Fail(), True),
        ("put_absent", COMMIT, Lose(), True),
        ("put_absent", COMMIT, Late(30), True),
        ("put_absent", COMMIT, Refuse(), False),
    ],
)
async def test_trouble_with_the_store(verb: str, key: str, fate: Fate, succeeds: bool) -> None:
    """Whatever happens once, the rows are there once, and in the end one file is left."""
    objects = MemoryStore()
    await table_of(objects)
    before = await archived(objects)
    left = [fate]

    def schedule(call: Call) -> Fate:
        return left.pop() if left and call.verb == verb and call.key.startswith(key) else Pass()

    store = FaultyStore(objects, schedule)
    if succeeds:
        assert await step(store) is not None
    else:
        with pytest.raises(Exception, match="injected"):
            await step(store)
    await store.settled()
    assert not left
    assert await archived(objects) == before
    while await step(objects):
        pass
    assert await archived(objects) == before
    await remove_files(log_of(objects), orphan_after=-AGES, keep_removed=-AGES)
    assert await data_files(objects) == set((await fresh(objects)).files)
    assert len(await data_files(objects)) == 1


async def test_cancelled_it_stops_at_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    await table_of(store)
    one = compactor(store)
    begun, loop = asyncio.Event(), asyncio.get_running_loop()
    pauses = []

    def pause(stop: Any, worked: float) -> None:
        pauses.append(worked)
        loop.call_soon_threadsafe(begun.set)
        assert stop.wait(30)
        raise Unavailable("stopped")

    monkeypatch.setattr(one, "_pause", pause)
    task = asyncio.create_task(one.step())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    one.close()
    await asyncio.to_thread(one._thread.shutdown)
    assert len(pauses) == 1
    assert len(await data_files(store)) == 3


async def test_memory_is_bounded_by_rows_held_not_by_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten files of the same time: with nothing held, the most that is allocated is far below all that is decoded."""
    from logsink.archive import file, merge

    monkeypatch.setattr(file, "RUN", 200)
    text = "x" * 5000
    made = []
    for lane in range(10):
        rows = [one | {"message": f"{text}{lane}.{k}"} for k, one in enumerate(rows_of(lane, 200))]
        made += write_files(TableRows(rows), {f"r.{lane}": (1, 1)}, "r", f"{lane:x}")
    decoded = 10 * 200 * 5000

    def peak(held: int) -> int:
        """Most bytes of Arrow's that there are when a run was written."""
        monkeypatch.setattr(merge, "HELD", held)
        inputs = [merge.Input(new.file.path, new.body.to_pybytes(), new.file.rows) for new in made]
        writer, before, seen = file.FileWriter(), pa.total_allocated_bytes(), [0]
        merge.merge(inputs, writer, lambda worked: seen.append(pa.total_allocated_bytes() - before))
        assert writer.finish("x", datetime.date(1970, 1, 1), {}).file.rows == 2000
        return max(seen)

    assert peak(0) < decoded / 4
    assert peak(decoded // 4) < decoded / 2
    assert peak(decoded * 2) > decoded / 2


# --- facts about the merged file


async def index_of(store: Store) -> list[str]:
    return [entry.key async for entry in store.list(INDEX)]


async def test_a_merged_file_is_indexed() -> None:
    store = MemoryStore()
    await table_of(store)
    done = await step(store)
    assert done is not None
    (key,) = [key for key in await index_of(store) if index_date(key, FILTERS)]
    body = await store.get(key)
    head = read_head(key, body, len(body))
    (section,) = head.sections
    file = (await fresh(store)).files[done.path]
    assert (head.date, section.path, section.size, section.rows) == (file.date, file.path, file.size, file.rows)
    assert section.tail == dict(file.tags)["logsink.tail"]
    tail = section.tail_of(body[section.at[0] : section.at[0] + section.at[1]])
    assert tail == (await store.get(file.key))[-len(tail) :]
    there = [value_key(*one) for one in (("host", "h0"), ("host", "h1"), ("app", "a"))]
    for wanted, expected in [*((one, 1) for one in there), (token_key(b"absent"), 0)]:
        start, end = head.span(head.bucket(wanted))
        assert head.find(wanted, body[start:end]) == [expected]


async def test_a_merged_file_is_counted() -> None:
    store = MemoryStore()
    await table_of(store)
    done = await step(store)
    assert done is not None
    (key,) = [key for key in await index_of(store) if index_date(key, COUNTS)]
    counts = decode_counts(key, await store.get(key))
    file = (await fresh(store)).files[done.path]
    assert counts.files == {file.path: CountedFile.of(file)}
    found = [(one["host"], one["app"], one["rows"], one["bytes"]) for one in counts.table.to_pylist()]
    assert found == [("h0", "a", 9, 36), ("h1", "a", 6, 24)]
    folding = fold(store, Query(columns=("host",)), SumsOf(("host",)).part, sums=SumsOf(("host",)).sums())
    parts = await folding.run()
    assert SumsOf(("host",)).whole(parts).to_pylist() == [{"host": "h0", "count": 9}, {"host": "h1", "count": 6}]
    assert (folding.report.counted, folding.report.files_read) == (1, 0)


async def test_facts_are_put_before_the_commit_of_their_file() -> None:
    calls: list[Call] = []

    def watch(call: Call) -> Fate:
        calls.append(call)
        return Pass()

    store = MemoryStore()
    await table_of(store)
    assert await step(FaultyStore(store, watch)) is not None
    keys = [call.key for call in calls if call.verb in ("put", "put_absent")]
    assert [key.partition("/")[0] for key in keys[:1]] == ["logs"]
    assert keys[-1].startswith(COMMIT)
    assert all(key.startswith(INDEX) for key in keys[1:-1])
    assert len(keys) > 2


async def test_files_are_not_indexed_where_settings_say_so() -> None:
    store = MemoryStore()
    await table_of(store)
    assert await step(store, index=False) is not None
    assert await index_of(store) == []


@pytest.mark.parametrize("fate", [Fail(), Refuse(), Lose()])
async def test_a_file_is_merged_whatever_becomes_of_its_facts(fate: Fate) -> None:
    store = MemoryStore()
    await table_of(store)
    before = await archived(store)
    done = await step(FaultyStore(store, lambda call: fate if call.key.startswith(INDEX) else Pass()))
    assert done is not None
    assert await archived(store) == before
    assert len((await fresh(store)).files) == 1


async def test_an_error_in_gathering_facts_is_logged_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, *_: Any) -> Any:
        raise RuntimeError("no such thing")

    for verb in ("add", "finish"):
        store = MemoryStore()
        await table_of(store)
        with monkeypatch.context() as patch:
            patch.setattr(SectionBuilder, verb, broken)
            assert await step(store) is not None
        assert await index_of(store) == []
