"""What is made of a log that is damaged: nothing unproved is believed, and nothing that the rest proves is left out."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.archive.chain import check, parse
from logsink.archive.checkpointing import checkpoint, write_checkpoint
from logsink.archive.fold import without_merged
from logsink.archive.log import Accepted, Add, Lost, Remove, Txn
from logsink.archive.rebuilding import Table, rebuild
from logsink.archive.snapshot import LOG, DataFile, Snapshot, checkpoint_key, commit_key
from logsink.errors import Conflict, FormatError
from logsink.journal import SegmentName
from logsink.parse import TABLE_SCHEMA
from logsink.query import Filter
from logsink.query.read import make_plan
from logsink.query.views import Cursor
from logsink.store.base import Store
from logsink.store.local import LocalStore
from logsink.store.memory import MemoryStore
from tests.support.faulty import FaultyStore
from tests.unit.archive.tables import add, data_file, foreign, fresh, log_of, put_file
from tests.unit.query.archives import journal, row


def tagged(name: str, lanes: dict[str, list[list[int]]], day: int = 22) -> DataFile:
    return data_file(name, day=day).tagged([("logsink.lanes", orjson.dumps(lanes).decode())])


async def table(store: Store, commits: int, tags: bool = True) -> Snapshot:
    log = log_of(store)
    await log.create()
    for number in range(1, commits + 1):
        file = tagged(f"f{number}", {"r.0": [[number, number]]}) if tags else data_file(f"f{number}")
        await log.commit(await log.load(), [Txn("r.0", number), Add(file)])
    return await log.load()


def rewritten(body: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A checkpoint with other rows."""
    whole = pq.read_table(io.BytesIO(body))
    rows = whole.to_pylist()
    for one in rows:
        change(one)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=whole.schema), sink)
    return sink.getvalue()


async def test_a_wrong_bit_in_the_first_sealed_commit_of_an_older_table_is_found() -> None:
    """No commit before it and none after it helps."""
    store = MemoryStore()
    await table(store, 1)
    body = await store.get(commit_key(1))
    assert check(body, parse(body), 1, sealed=False) is not None
    for bit in range(8 * len(body)):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            check(bytes(flipped), parse(bytes(flipped)), 1, sealed=False)


async def test_an_empty_commit_of_an_older_table_is_damage() -> None:
    store = MemoryStore()
    await foreign(store, 0)
    await store.put(commit_key(1), b"\n")
    assert [str(one) for one in (await fresh(store)).damage] == [f"{commit_key(1)} cannot be read: it is empty"]


@pytest.mark.parametrize(
    "action",
    [
        {"txn": {"appId": "r.0", "version": "5"}},
        {"txn": {"appId": 5, "version": 5}},
        {"txn": {"appId": "r.0", "version": 5, "lastUpdated": "now"}},
        {"remove": {"path": "x", "deletionTimestamp": "now"}},
        {"add": {"path": "x", "size": "1", "partitionValues": {"date": "2026-11-22"}}},
        {"add": {"path": "x", "size": 1, "stats": {}, "partitionValues": {"date": "2026-11-22"}}},
    ],
)
async def test_an_action_of_wrong_types_is_damage(action: dict[str, object]) -> None:
    store = MemoryStore()
    await table(store, 1)
    await foreign(store, 2, action)
    assert [one.key for one in (await fresh(store)).damage] == [commit_key(2)]


async def test_many_missing_commits_are_named_once_and_not_asked_for() -> None:
    store = FaultyStore(MemoryStore())
    await table(store, 9)
    await store.delete([commit_key(version) for version in (0, 1, 2, 3, 5)])
    store.calls.clear()
    assert [str(one) for one in (await fresh(store)).damage] == [
        f"{commit_key(0)} is missing, as are the commits after it up to version 3",
        f"{commit_key(5)} is missing",
    ]
    asked = {call.key for call in store.calls if call.verb == "get"}
    assert not asked & {commit_key(version) for version in (0, 1, 2, 3, 5)}


def bad_metadata(row: dict[str, Any]) -> None:
    if row["metaData"]:
        row["metaData"]["schemaString"] = row["metaData"]["schemaString"].replace("host", "hast")


def bad_protocol(row: dict[str, Any]) -> None:
    if row["protocol"]:
        row["protocol"]["minReaderVersion"] = 3


@pytest.mark.parametrize("change", [bad_metadata, bad_protocol])
async def test_a_checkpoint_of_other_metadata_than_its_commits_is_damaged(
    change: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    """Not a table that logsink must not touch: logsink has committed to it."""
    async with LocalStore(tmp_path) as store:
        whole = await table(store, 3)
        deltalake.DeltaTable(f"{tmp_path}/logs").create_checkpoint()
        await store.put(checkpoint_key(3), rewritten(await store.get(checkpoint_key(3)), change))
        found = await fresh(store)
        assert (found.files, found.txn, found.checkpoint) == (whole.files, whole.txn, -1)
        assert found.intact
        await store.put(commit_key(3), b"{}")
        assert {one.key for one in (await fresh(store)).damage} == {commit_key(3), checkpoint_key(3)}
        await store.delete([commit_key(0)])
        assert {one.key for one in (await fresh(store)).damage} == {commit_key(0), commit_key(3), checkpoint_key(3)}


@pytest.mark.parametrize("tags", [True, False])
async def test_the_commit_that_proves_a_checkpoint_must_be_there(tags: bool, tmp_path: Path) -> None:
    """Clean-up leaves it. Tables of older versions have none that proves anything."""
    async with LocalStore(tmp_path) as store:
        await table(store, 3, tags)
        deltalake.DeltaTable(f"{tmp_path}/logs").create_checkpoint()
        await store.delete([commit_key(version) for version in range(3)])
        assert (await fresh(store)).intact
        await store.delete([commit_key(3)])
        found = await fresh(store)
        assert [one.key for one in found.damage] == ([commit_key(3)] if tags else [])
        assert len(found.files) == 3


async def test_a_checkpoint_of_another_state_is_set_aside_when_the_next_is_due(tmp_path: Path) -> None:
    """It can be read, so a Delta library would begin at it."""

    def another_lane(row: dict[str, Any]) -> None:
        if row["txn"]:
            row["txn"]["version"] += 1

    async with LocalStore(tmp_path) as store:
        await table(store, 3)
        deltalake.DeltaTable(f"{tmp_path}/logs").create_checkpoint()
        bad = rewritten(await store.get(checkpoint_key(3)), another_lane)
        await store.put(checkpoint_key(3), bad)
        log = log_of(store)
        await log.commit(await log.load(), [Txn("r.1", 1)])
        assert await checkpoint(log, 1) == 4
        assert await store.get(f"quarantine/{checkpoint_key(3)}") == bad
        found = await fresh(store)
        assert (found.checkpoint, found.txn, found.intact) == (4, {"r.0": 3, "r.1": 1}, True)


def test_files_that_a_merged_file_holds_give_way_to_it() -> None:
    files = [
        tagged("compacted-b", {"r.0": [[1, 4]]}),
        tagged("compacted-a", {"r.0": [[1, 4]]}),
        tagged("compacted-c", {"r.0": [[5, 9]]}),
        tagged("inside", {"r.0": [[2, 3]]}),
        tagged("beyond", {"r.0": [[4, 5]]}),
        tagged("another date", {"r.0": [[2, 3]]}, day=23),
        tagged("another lane", {"r.0": [[2, 3]], "r.1": [[1, 1]]}),
        tagged("of no lane", {}),
        data_file("untagged"),
        data_file("unreadable").tagged([("logsink.lanes", "{")]),
    ]
    left = without_merged({file.path: file for file in files})
    assert [file.path for file in files if file.path not in left] == [files[0].path, files[3].path]


async def test_a_merge_known_only_from_what_came_of_it_does_not_double_rows() -> None:
    store = MemoryStore()
    await table(store, 3)
    log = log_of(store)
    before = await log.load()
    merged = tagged("compacted-1", {"r.0": [[1, 3]]})
    await log.commit(before, [Add(merged, data_change=False)])  # and its removals are lost
    assert len((await fresh(store)).files) == 4
    await log.commit(await log.load(), [Txn("r.0", 4)])
    body = await store.get(commit_key(5))
    await store.put(commit_key(5), body[:-9])
    found = await fresh(store)
    assert list(found.files) == [merged.path]
    assert not found.intact


async def test_rows_that_were_merged_are_not_shown_from_the_journal_too() -> None:
    """The commit that archived them is damaged, so no txn covers their segments, which are still there."""
    store = MemoryStore()
    await table(store, 2)
    log = log_of(store)
    before = await log.load()
    assert not before.held
    removed = [Remove(file, False) for file in before.files.values()]
    await log.commit(before, [Add(tagged("compacted-1", {"r.0": [[1, 2]]}), data_change=False), *removed])
    for number in (1, 2):
        body = await store.get(commit_key(number))
        await store.put(commit_key(number), body[:-9])
    for number in (1, 2, 3):
        await journal(store, SegmentName("r", 0, number), [row(1)])
    found = await fresh(store)
    assert (found.intact, found.txn, len(found.files)) == (False, {}, 1)
    assert not found.covers(SegmentName("r", 0, 2))
    assert [segment.name.sequence for segment in (await make_plan(store, Filter())).segments] == [3]
    await store.delete([SegmentName("r", 0, 3).key])
    assert Cursor.at_end_of(await make_plan(store, Filter())).lanes == {"r.0": 2}, "a follower would show them again"


OLD = "date=2026-11-22/old.parquet"
NEWER = '{"type":"struct","fields":[{"name":"news","type":"string","nullable":true,"metadata":{}}]}'


async def rebuilt(store: Store, last: int) -> Table:
    files = [await put_file(store, f"f{number}", {"r.0": (number, number)}) for number in (1, 2)]
    held = {file.path: file for file in files}
    removed = {OLD: (("logsink.lanes", '{"r.0":[[3,7]]}'),)}
    contents = Table(held, {"r.0": 7}, {OLD: 5}, {"logs/x": 3}, frozenset({"logs/x"}), removed, NEWER)
    assert await rebuild(store, last, contents, store_id="id", now=1e9) == last + 1
    return contents


@pytest.mark.parametrize("lost", ["nothing", "the checkpoint", "the commit", "half of the checkpoint"])
@pytest.mark.parametrize("older", [0, 3])
async def test_a_rebuilt_log_is_the_whole_table(older: int, lost: str, tmp_path: Path) -> None:
    """Also without its checkpoint, whatever is left of the log before it."""
    async with LocalStore(tmp_path) as store:
        if older:
            await table(store, older)
            await store.delete([commit_key(1)])
            assert not (await fresh(store)).intact
        last = older or 57
        contents = await rebuilt(store, last)
        if lost == "the checkpoint":
            await store.delete([checkpoint_key(last + 1)])
        elif lost == "half of the checkpoint":
            body = await store.get(checkpoint_key(last + 1))
            await store.put(checkpoint_key(last + 1), body[: len(body) // 2])
        elif lost == "the commit":
            await store.delete([commit_key(last + 1)])
        found = await fresh(store)
        assert (found.version, found.files, found.txn) == (last + 1, contents.files, contents.txn)
        assert (found.lost, found.accepted) == (contents.lost, contents.accepted)
        assert (found.tombstones, found.removed) == (contents.tombstones, contents.removed)
        names = [field["name"] for field in orjson.loads(found.schema)["fields"]]
        assert names == [*TABLE_SCHEMA.names, "news"]
        if lost == "the commit":
            assert [one.key for one in found.damage] == [commit_key(last + 1)]  # nothing proves the checkpoint
            return
        assert found.intact
        log = log_of(store)
        assert await log.commit(await log.load(), [Txn("r.0", 8), add("next")]) == last + 2
        after = await fresh(store)
        assert after.intact
        assert len(after.files) == 3


def whole(found: Snapshot, **other: Any) -> Table:
    """The table of a snapshot, as it is written anew."""
    known = (found.files, found.txn, found.tombstones, found.lost, found.accepted, found.removed, found.schema)
    return Table(*known)._replace(**other)


async def test_commits_that_land_while_the_log_is_rebuilt_are_taken_in() -> None:
    """A receiver that knows the table from before goes on committing; a repair need not be faster than that."""
    store = MemoryStore()
    before = await table(store, 3)
    log = log_of(store)
    gone = next(iter(before.files.values()))
    await log.commit(await log.load(), [Txn("r.0", 4), add("more")])
    await log.commit(await log.load(), [Remove(gone, data_change=True), Lost("journal/x", 7)])
    await store.delete([commit_key(1)])
    assert await rebuild(store, 3, whole(before), store_id="", now=1e9) == 6
    found = await fresh(store)
    assert (found.intact, found.version, found.txn) == (True, 6, {"r.0": 4})
    assert sorted(found.files) == sorted([*before.files.keys() - {gone.path}, data_file("more").path])
    assert (list(found.tombstones), found.lost) == ([gone.path], {"journal/x": 7})


async def of_another_table(store: Store, before: Snapshot) -> Table:
    """The commit is right, and was made for a table of which a file is not to be written again."""
    log = log_of(store)
    await log.commit(await log.load(), [Txn("r.0", 4), add("more")])
    return whole(before, files=dict(list(before.files.items())[1:]))


async def rebuilt_by_another(store: Store, before: Snapshot) -> Table:
    await rebuild(store, before.version, whole(before), store_id="", now=1e9)
    return whole(before)


async def damaged(store: Store, before: Snapshot) -> Table:
    log = log_of(store)
    await log.commit(await log.load(), [Txn("r.0", 4), add("more")])
    body = await store.get(commit_key(4))
    await store.put(commit_key(4), body[:-9])
    return whole(before)


async def unsealed(store: Store, before: Snapshot) -> Table:
    await foreign(store, 4, {"txn": {"appId": "r.0", "version": 4}})
    return whole(before)


@pytest.mark.parametrize("other", [of_another_table, rebuilt_by_another, damaged, unsealed])
async def test_others_make_it_plan_again(other: Callable[[Store, Snapshot], Awaitable[Table]]) -> None:
    store = MemoryStore()
    before = await table(store, 3)
    contents = await other(store, before)
    with pytest.raises(Conflict, match="another process has written version 4"):
        await rebuild(store, 3, contents, store_id="", now=1e9)


async def test_who_planned_before_the_log_was_rebuilt_plans_again() -> None:
    store = MemoryStore()
    log = log_of(store)
    before = await table(store, 3)
    await log.load()
    contents = await rebuilt(store, 3)
    with pytest.raises(Conflict):
        await log.commit(before, [Txn("r.0", 4)])
    again = await log.load()
    assert (again.files, again.intact) == (contents.files, True)
    await log.commit(again, [Txn("r.0", 8)])
    assert (await fresh(store)).intact


async def test_other_programs_read_sealed_and_rebuilt_tables(tmp_path: Path) -> None:
    async with LocalStore(tmp_path) as store:
        log = log_of(store)
        await log.create()
        for number in (1, 2):
            file = await put_file(store, f"s{number}", {"r.0": (number, number)})
            await log.commit(await log.load(), [Txn("r.0", number), Add(file), Lost("logs/y"), Accepted("logs/y")])
        whole = await fresh(store)
        assert read_by_others(tmp_path) == (sorted(whole.files), 2)
        deltalake.DeltaTable(f"{tmp_path}/logs").create_checkpoint()
        assert read_by_others(tmp_path) == (sorted(whole.files), 2)
        await store.put(commit_key(1), b"")
        await store.delete([checkpoint_key(2), f"{LOG}_last_checkpoint"])
        contents = await rebuilt(store, 2)
        assert read_by_others(tmp_path) == (sorted(contents.files), 2)
        await write_checkpoint(store, await log.load())  # over that of the rebuilt log
        assert read_by_others(tmp_path) == (sorted(contents.files), 2)
        assert (await fresh(store)).intact


def read_by_others(root: Path) -> tuple[list[str], int]:
    """The paths of live files by deltalake, and the number of rows that DuckDB reads from them."""
    files = deltalake.DeltaTable(f"{root}/logs").file_uris()
    ((rows,),) = duckdb.sql("SELECT count(*) FROM read_parquet($files)", params={"files": files}).fetchall()
    return sorted(uri.partition("/logs/")[2] for uri in files), rows
