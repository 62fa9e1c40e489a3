"""The chain of commits: whatever is changed, taken or exchanged in the table's log is found, and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import deltalake
import orjson
import pytest

from logsink.archive.chain import State, parse
from logsink.archive.fold import Fold
from logsink.archive.log import Accepted, Add, Lost, Remove, Txn
from logsink.archive.snapshot import LOG, Snapshot, checkpoint_key, commit_key
from logsink.errors import Damaged
from logsink.store.base import Store
from logsink.store.local import LocalStore
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import add, data_file, foreign, fresh, log_of


async def chained(store: Store, commits: int = 3) -> Snapshot:
    """A table of ``commits`` commits after version 0, each with a file and a lane's step."""
    log = log_of(store)
    await log.create()
    for number in range(1, commits + 1):
        await log.commit(await log.load(), [Txn("r.0", number), add(f"f{number}", number)])
    return await log.load()


async def test_every_flipped_bit_of_every_commit_is_found() -> None:
    store = MemoryStore()
    await chained(store, 2)
    for version in range(3):
        body = await store.get(commit_key(version))
        for bit in range(8 * len(body)):
            flipped = bytearray(body)
            flipped[bit // 8] ^= 1 << bit % 8
            await store.put(commit_key(version), bytes(flipped))
            assert commit_key(version) in {damage.key for damage in (await fresh(store)).damage}, (version, bit)
        await store.put(commit_key(version), body)
    assert (await fresh(store)).intact


async def test_every_truncated_commit_is_found() -> None:
    store = MemoryStore()
    await chained(store, 2)
    body = await store.get(commit_key(2))
    for size in range(len(body)):
        await store.put(commit_key(2), body[:size])
        assert [damage.key for damage in (await fresh(store)).damage] == [commit_key(2)], size


async def test_exchanged_commits_are_found() -> None:
    store = MemoryStore()
    await chained(store)
    one, two = await store.get(commit_key(1)), await store.get(commit_key(2))
    await store.put(commit_key(1), two)
    await store.put(commit_key(2), one)
    assert list(map(str, (await fresh(store)).damage)) == [
        f"{commit_key(1)} cannot be read: it is the commit of version 2",
        f"{commit_key(2)} cannot be read: it is the commit of version 1",
    ]


async def test_a_commit_of_another_history_is_found() -> None:
    """It proves itself, but the one after it was made after another."""
    store, other = MemoryStore(), MemoryStore()
    await chained(store)
    await chained(other)
    await store.put(commit_key(2), await other.get(commit_key(2)))
    assert (await fresh(store)).damage[0].key == commit_key(2)
    assert "does not follow" in str((await fresh(store)).damage[0])


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_a_missing_commit_is_named_and_the_rest_is_shown(version: int) -> None:
    store = MemoryStore()
    whole = await chained(store)
    await store.delete([commit_key(version)])
    found = await fresh(store)
    assert [damage.key for damage in found.damage] == [commit_key(version)]
    assert found.version == 3
    gone = {f"date=2026-11-22/f{version}.parquet"}
    assert set(found.files) == set(whole.files) - gone
    assert found.txn == {"r.0": 3}
    with pytest.raises(Damaged, match="is missing"):
        await log_of(store).commit(found, [add("x")])


async def test_what_a_state_says() -> None:
    """It is the same in whatever order things came, and as after taking back what was there for a while."""
    one, two = data_file("one"), data_file("two").tagged([("a", "b")])
    fold = Fold(Snapshot())
    for step in (lambda: fold.add(one), lambda: fold.add(two), lambda: fold.move("r.0", 1, 5)):
        step()
    forwards = str(fold.state)
    fold = Fold(Snapshot())
    fold.move("r.0", 7, 5)
    fold.add(data_file("three"))
    fold.add(two)
    fold.add(one)
    fold.remove(data_file("three").path, 0, {})
    fold.move("r.0", 1, 6)
    assert str(fold.state) == forwards
    fold.add(two.tagged([("a", "c")]))
    assert str(fold.state) != forwards
    assert str(State()) == "0" * 64


async def test_losses_are_recorded_and_come_back(tmp_path: Path) -> None:
    async with LocalStore(tmp_path) as store:
        log = log_of(store)
        snapshot = await log.create()
        await log.commit(snapshot, [Txn("r.0", 3), Lost("journal/r/0/2.arrow"), Lost("logs/x", 9)])
        await log.commit(await log.load(), [Accepted("logs/x")])
        before = await fresh(store)
        deltalake.DeltaTable(f"{tmp_path}/logs").create_checkpoint()
        for found in (before, await fresh(store), await log.load()):
            assert found.lost == {"journal/r/0/2.arrow": 0, "logs/x": 9}
            assert found.accepted == {"logs/x"}
            assert found.txn == {"r.0": 3}
        assert await log.commit(await fresh(store), [Txn("r.0", 4)]) == 3
        assert (await fresh(store)).intact


def _first_row(table: bytes) -> bytes:
    """Another state in a checkpoint that can be read."""
    import io

    import pyarrow.parquet as pq

    rows = pq.read_table(io.BytesIO(table))
    sink = io.BytesIO()
    keep = [k for k, row in enumerate(rows.to_pylist()) if not (row["add"] and "f2" in row["add"]["path"])]
    pq.write_table(rows.take(keep), sink)
    return sink.getvalue()


@pytest.mark.parametrize("damage", [_first_row, lambda body: body[: len(body) // 2]])
@pytest.mark.parametrize("later", [0, 1])
async def test_a_checkpoint_is_proved_by_its_commit_and_the_next(
    damage: Callable[[bytes], bytes], later: int, tmp_path: Path
) -> None:
    async with LocalStore(tmp_path) as store:
        whole = await chained(store)
        deltalake.DeltaTable(f"{tmp_path}/logs").create_checkpoint()
        body = await store.get(checkpoint_key(3))
        for number in range(later):
            whole = replace_version(whole, await log_of(store).commit(await fresh(store), [Txn("q.0", 1 + number)]))
        await store.put(checkpoint_key(3), damage(body))
        found = await fresh(store)
        assert found.intact
        assert found.files == whole.files
        assert found.checkpoint == -1
        if later:  # the commit of its version does not prove it, but the next one does
            await store.put(checkpoint_key(3), body)
            await store.put(commit_key(3), b"{}")
            found = await fresh(store)
            assert found.checkpoint == 3
            assert found.intact
            await store.put(checkpoint_key(3), damage(body))
            assert {commit_key(3), checkpoint_key(3)} <= {one.key for one in (await fresh(store)).damage}


def replace_version(snapshot: Snapshot, version: int) -> Snapshot:
    return snapshot._replace(version=version)


async def test_commits_of_an_older_version_among_sealed_ones_are_accepted() -> None:
    """Receivers of two versions share a table while one is replaced by the other."""
    store = MemoryStore()
    await chained(store)
    await foreign(store, 4, {"txn": {"appId": "old.0", "version": 5}})
    log = log_of(store)
    assert await log.commit(await log.load(), [Txn("r.0", 4)]) == 5
    found = await fresh(store)
    assert found.intact
    assert found.txn == {"r.0": 4, "old.0": 5}
    said = parse(await store.get(commit_key(5)))[0]["commitInfo"]["logsink"]
    assert len(said["previous"]) == len(said["state"]) == 64


async def test_a_table_of_an_older_version_is_sealed_from_its_next_commit_on() -> None:
    store = MemoryStore()
    await chained(store, 1)
    for version in (0, 1):
        info, *rest = parse(await store.get(commit_key(version)))
        del info["commitInfo"]["logsink"]
        await store.put(commit_key(version), b"\n".join(map(orjson.dumps, (info, *rest))))
    assert not (await fresh(store)).sealed
    log = log_of(store)
    await log.commit(await log.load(), [Txn("r.0", 2), Remove(data_file("f1"), data_change=True)])
    await log.commit(await log.load(), [Txn("r.0", 3), Add(data_file("f2"))])
    found = await fresh(store)
    assert found.intact
    assert found.sealed
    assert found.state
    await store.put(commit_key(2), (await store.get(commit_key(2))).replace(b'"version":2', b'"version":1'))
    assert [damage.key for damage in (await fresh(store)).damage] == [commit_key(2)]


async def test_a_commit_of_another_program_among_sealed_ones_is_damage() -> None:
    store = MemoryStore()
    await chained(store)
    lines = [{"commitInfo": {"operation": "DELETE", "engineInfo": "spark"}}, {"remove": {"path": data_file("f1").path}}]
    await store.put(commit_key(4), b"\n".join(map(orjson.dumps, lines)))
    (damage,) = (await fresh(store)).damage
    assert (
        str(damage)
        == f"{commit_key(4)} cannot be read: it was written by another program (spark), where the commit before it is sealed"
    )


async def test_a_table_rolled_back_and_gone_on_differently_is_read_anew() -> None:
    store = MemoryStore()
    await chained(store)
    log = log_of(store)
    await log.load()
    await store.delete([commit_key(3)])
    await log_of(store).commit(await fresh(store), [Txn("q.0", 1)])
    await log_of(store).commit(await fresh(store), [Txn("q.0", 2)])
    found = await log.load()
    assert found.intact
    assert found.txn == {"r.0": 2, "q.0": 2}


async def test_two_writers_at_once_make_one_chain() -> None:
    store = MemoryStore()
    await chained(store)
    logs = [log_of(store) for _ in range(3)]
    snapshots = [await log.load() for log in logs]
    for turn in range(5):
        for number, log in enumerate(logs):
            await log.commit(snapshots[number], [Txn(f"w{number}.{turn}", 1)])  # planned on the same old snapshot
    found = await fresh(store)
    assert found.intact
    assert found.version == 18
    assert [entry.key async for entry in store.list(LOG)][-1] == commit_key(18)
