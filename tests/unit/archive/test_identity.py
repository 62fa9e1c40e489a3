"""Which store this is: a new one, an older one, one that lost its marker, and one that contradicts itself."""

from __future__ import annotations

import asyncio
import logging

import pytest

from logsink.archive.identity import identify, require, settle
from logsink.archive.log import DeltaLog, Txn
from logsink.archive.missing import expect_commits
from logsink.archive.rounds import Rounds
from logsink.archive.snapshot import LOG, commit_key
from logsink.errors import FormatError, Withheld
from logsink.journal.reader import list_segments
from logsink.journal.segment import SegmentName
from logsink.store.base import MARKER, Store
from logsink.store.guarded import GuardedStore
from logsink.store.local import LocalStore
from logsink.store.marker import Marker, decode_marker, encode_marker
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import add, log_of, rough, segment, store_segment


async def stored(store: Store) -> Marker:
    return decode_marker(await store.get(MARKER))


async def keys(store: Store) -> list[str]:
    return [entry.key async for entry in store.list()]


async def without_marker(store: Store) -> str:
    """Make a store whose marker is lost; return its id."""
    marker = await settle(log_of(store), create=True)
    await store.delete([MARKER])
    return marker.id


async def older(store: Store) -> None:
    """Make a table as one whose commits name no store."""
    log = log_of(store)
    await log.commit(await log.create(), [add("a"), Txn("r.0", 1)])


async def test_a_new_store_has_a_table_and_a_marker_of_one_id(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    caplog.set_level(logging.INFO, "logsink")
    await store.put("probe/left-behind", b"")
    log = log_of(store)
    marker = await settle(log, create=True)
    assert marker == await stored(store)
    assert log.store_id == marker.id == (await log.load()).store
    assert await settle(log_of(store), create=False) == marker
    assert await identify(log_of(store)) == marker
    assert caplog.text.count("created") == 1


async def test_of_processes_that_race_all_find_one_store(caplog: pytest.LogCaptureFixture) -> None:
    for seed in range(50):
        store = rough(seed)
        found = await asyncio.gather(*(settle(log_of(store), create=True) for _ in range(4)))
        [name] = {marker.id for marker in found}
        snapshot = await DeltaLog(store.inner).load()
        assert (snapshot.version, snapshot.store) == (0, name)
        assert snapshot.intact
    assert "missing" not in caplog.text


async def test_where_it_must_not_be_made_it_is_waited_for() -> None:
    store = MemoryStore()
    for attempt in (settle(log_of(store), create=False), require(store)):
        with pytest.raises(Withheld, match="there is no store, and none may be made") as caught:
            await attempt
        assert "mount" in caught.value.hint
        assert "logsink init" in caught.value.hint
    assert await identify(log_of(store)) is None
    assert await keys(store) == []
    await settle(log_of(store), create=True)
    await require(store)


async def test_a_directory_that_must_not_be_made(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("mount") / "store"
    async with LocalStore(root) as store:
        for _ in range(2):
            with pytest.raises(Withheld):
                await require(store)
        assert not root.exists()
        root.mkdir()
        with pytest.raises(Withheld):
            await require(store)


@pytest.mark.parametrize("create", [True, False])
async def test_a_store_of_an_older_version_gets_a_marker(create: bool) -> None:
    store = MemoryStore()
    await older(store)
    before = await DeltaLog(store).load()
    marker = await settle(log_of(store), create=create)
    assert await stored(store) == marker
    assert (await DeltaLog(store).load())._replace(loaded=0) == before._replace(loaded=0)


async def test_a_lost_marker_comes_back_with_the_id_that_the_table_names(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    lost = await without_marker(store)
    log = log_of(store)
    log.store_id = lost
    await log.commit(await log.load(), [add("a"), Txn("r.0", 1)])
    assert (await settle(log_of(store), create=False)).id == lost == (await stored(store)).id
    assert f"wrote one with the id that the table names, {lost}" in caplog.text


async def test_a_lost_marker_and_a_lost_log(caplog: pytest.LogCaptureFixture) -> None:
    """The journal names the id; there is no new table."""
    store = MemoryStore()
    await store_segment(store, segment(SegmentName("r", 0, 1), ["a"])._replace(store_id="the id"))
    log = log_of(store)
    assert (await settle(log, create=True)).id == "the id"
    assert "the id that the journal names" in caplog.text
    snapshot = await log.load()
    assert [damage.key for damage in snapshot.damage] == [LOG]
    assert commit_key(0) not in await keys(store)


@pytest.mark.parametrize("there", ["journal/r/0/00000000000000000001.arrow", "logs/date=2026-11-22/a.parquet", MARKER])
async def test_there_is_no_new_table_where_anything_is(there: str) -> None:
    store = MemoryStore()
    await store.put(there, encode_marker(Marker("a", "b", "c")) if there == MARKER else b"")
    log = log_of(store)
    await settle(log, create=True)
    assert not (await log.load()).intact
    assert sorted(await keys(store)) == sorted({there, MARKER})


@pytest.mark.parametrize("body", [b"", b"{}", encode_marker(Marker("a", "b", "c"))[:-3]])
async def test_a_damaged_marker_is_left_to_repair(body: bytes) -> None:
    store = MemoryStore()
    lost = await without_marker(store)
    await store.put(MARKER, body)
    with pytest.raises(Withheld, match=f"{lost} by its table") as caught:
        await settle(log_of(store), create=True)
    assert "logsink repair" in caught.value.hint
    with pytest.raises(Withheld, match=f"{lost} by its table"):
        await identify(log_of(store))
    assert await store.get(MARKER) == body


async def test_a_marker_of_another_store(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    lost = await without_marker(store)
    await store.put(MARKER, encode_marker(Marker("another", "b", "c")))
    with pytest.raises(Withheld, match=f"the id of this store is another by its marker, and {lost} by its table"):
        await settle(log_of(store), create=True)


async def test_segments_of_two_stores() -> None:
    store = MemoryStore()
    await older(store)
    for lane in range(2):
        await store_segment(store, segment(SegmentName("r", lane, 1), ["a"])._replace(store_id=f"id {lane}"))
    with pytest.raises(Withheld, match="the id of this store is id 0 and id 1 by its table or journal"):
        await settle(log_of(store), create=True)


async def test_a_marker_of_a_newer_version_asks_for_an_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    monkeypatch.setattr("logsink.store.marker.VERSION", 2)
    body = encode_marker(Marker("a", "b", "c"))
    monkeypatch.undo()
    await store.put(MARKER, body)
    with pytest.raises(FormatError, match="its format is 2"):
        await settle(log_of(store), create=True)


async def test_nothing_is_committed_that_was_planned_from_another_store() -> None:
    ours, other = MemoryStore(), MemoryStore()
    log = log_of(ours)
    await settle(log, create=True)
    await settle(log_of(other), create=True)
    with pytest.raises(Withheld, match="it is of store"):
        await log.commit(await log_of(other).load(), [add("a"), Txn("r.0", 1)])
    assert (await log.load()).version == 0


async def test_a_table_of_another_store_is_no_answer_and_nothing_is_learned_from_it() -> None:
    """Until somebody looks at the marker again, another store may be at a URL: it was further, and is gone again."""
    ours, other = MemoryStore(), MemoryStore()
    here = GuardedStore(ours, clock=lambda: 0.0)
    log = log_of(here)
    marker = await settle(log, create=True)
    here.guard(marker.id)
    await here.look()
    assert (await log.load()).version == 0
    theirs = log_of(other)
    await settle(theirs, create=True)
    for version in range(9):
        await theirs.commit(await theirs.load(), [Txn("r.0", version + 1)])
    await store_segment(other, segment(SegmentName("r", 0, 10), ["a"])._replace(store_id=theirs.store_id, commit=9))
    here.inner = other
    for look in (log.load, log.follow, log.load_anew, log.load, log.create):
        with pytest.raises(Withheld, match=f"it is of store {theirs.store_id}, not {marker.id}") as caught:
            await look()
        assert "logsink verify" in caught.value.hint
    await expect_commits(log, await list_segments(here))
    await Rounds(log).read(SegmentName("r", 0, 10))
    here.inner = ours
    assert log.newest == 0
    assert (await log.load()).intact
    assert await log.commit(await log.follow(), [add("a"), Txn("r.0", 1)]) == 1


async def test_a_store_that_comes_while_one_is_prepared_is_the_one() -> None:
    ours, other = MemoryStore(), MemoryStore()
    here = GuardedStore(ours)
    log = log_of(here)
    await settle(log, create=True)
    theirs = log_of(other)
    there = await settle(theirs, create=True)
    await theirs.commit(await theirs.load(), [Txn("r.0", 1)])
    here.inner = other
    assert await settle(log, create=True) == there
    assert (await log.load()).store == there.id == log.store_id


async def test_a_commit_for_another_store_is_not_followed() -> None:
    """One that fits behind ours: the store was copied, and the copy got another marker."""
    store = MemoryStore()
    log, other = log_of(store), log_of(store)
    await settle(log, create=True)
    before = await other.load()
    other.store_id = "another"
    await other.commit(before._replace(store=""), [Txn("r.0", 1)])
    with pytest.raises(Withheld, match="it is of store another"):
        await log.follow()
    assert log.newest == 0
