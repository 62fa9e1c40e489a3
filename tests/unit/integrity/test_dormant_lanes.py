"""Verification and repair of a store whose old receivers are dormant."""

from __future__ import annotations

import pytest

from logsink.archive.dormancy import make_dormant
from logsink.archive.dormant import PREFIX, dormant_key
from logsink.archive.log import Add, Txn
from logsink.archive.snapshot import LOG
from logsink.config import Archive
from logsink.integrity import Verified, verify
from logsink.integrity.repair import Repair
from logsink.journal.segment import SegmentName
from logsink.store.base import Store
from logsink.store.marker import MARKER, encode_marker, new_marker
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import fresh, log_of, put_file, segment, store_segment
from tests.unit.integrity.damages import delete, flip

OLD, NEW = "018bcfe5-6800-7abc-8def-0123456789ab", "018bcfe5-6801-7abc-8def-0123456789ab"


async def a_store() -> tuple[Store, str]:
    """A store in which lane 0 of an old receiver has a live file, and lane 1 has none any more; and its dormant object."""
    store = MemoryStore()
    log = log_of(store, wall=lambda: 1_700_000_000.0)
    await log.create()
    await store.put(MARKER, encode_marker(new_marker("a-store", "a test", 0.0)))
    file = await put_file(store, "f", {f"{OLD}.0": (1, 5)})
    await log.commit(await log.load(), [Txn(f"{OLD}.0", 5), Txn(f"{OLD}.1", 9), Add(file)])
    assert await make_dormant(log, idle=-1e9, least=1) == 2
    ((name, _),) = (await log.load()).dormant.items()
    return store, dormant_key(name)


def said(found: Verified) -> list[tuple[str, str]]:
    return [(one.part, one.damage.key) for one in found.damages]


async def test_an_intact_store() -> None:
    store, _ = await a_store()
    found = await verify(store, deep=True)
    assert (found.damages, found.notes) == ([], [])
    await store.put(f"{PREFIX}{'0' * 64}.json", b"{}")
    assert (await verify(store)).notes == ["1 objects in dormant/ are not named by the log: left over"]


async def test_segments_that_turn_up_are_seen_for_what_they_are() -> None:
    store, _ = await a_store()
    for sequence in (5, 6):
        await store_segment(store, segment(SegmentName(OLD, 0, sequence), ["a"]))
    assert (await verify(store)).damages == []
    await store_segment(store, segment(SegmentName(OLD, 1, 12), ["a"]))
    assert said(await verify(store)) == [("journal", f"journal/{OLD}/1/{10:020d}-{11:020d}")]


async def test_rows_that_no_file_holds_are_missed_in_dormant_lanes_too() -> None:
    store, _ = await a_store()
    log = log_of(store)
    snapshot = await log.wake(await log.load(), [OLD])
    await log.commit(snapshot, [Txn(f"{OLD}.0", 6)])
    assert await make_dormant(log, idle=-1e9, least=1) == 2
    assert said(await verify(store)) == [("lanes", f"journal/{OLD}/0/{6:020d}.arrow")]


@pytest.mark.parametrize("damage", [flip, delete])
async def test_a_damaged_object_is_named_and_repaired_from_what_files_say(damage: object) -> None:
    store, key = await a_store()
    await damage(store, key)  # type: ignore[operator]
    assert said(await verify(store)) == [("log", key)]
    steps = await Repair(store, Archive()).apply()
    assert any(step.done.startswith("wrote the log anew") for step in steps)
    assert said(await verify(store)) == []
    snapshot = await fresh(store)
    assert snapshot.dormant == {}
    assert snapshot.txn == {f"{OLD}.0": 5}, "of a lane without rows in the table nothing is known any more"


async def test_a_log_that_is_gone_is_written_anew_with_what_dormant_objects_say() -> None:
    store, _ = await a_store()
    await store.delete([entry.key async for entry in store.list(LOG)])
    await Repair(store, Archive()).apply()
    snapshot = await fresh(store)
    assert snapshot.txn == {f"{OLD}.0": 5, f"{OLD}.1": 9}
    assert said(await verify(store)) == []
