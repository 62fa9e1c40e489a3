"""A ledger that was kept elsewhere proves its date, against somebody who can rewrite everything in the store consistently."""

from __future__ import annotations

import datetime
import hashlib
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from logsink.archive.compaction import Compactor
from logsink.archive.ledger import LEDGERS, Ledger, decode_ledger, encode_ledger, key_of, make
from logsink.archive.log import Accepted, DeltaLog, Remove
from logsink.archive.rounds import Rounds
from logsink.archive.snapshot import commit_key
from logsink.config import Maintain
from logsink.integrity import Repair, verify, verify_ledger
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.parse import Frames, Origin, Settings
from logsink.store.base import Store
from logsink.store.marker import MARKER, encode_marker, new_marker
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import Limits, fresh

DAY = datetime.date(2026, 11, 22)
BEGIN = int(datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC).timestamp() * 1e6)
HOUR = 3_600_000_000
ID = "7f9b0a52-6a0e-4f0e-8a55-0b6c7b6f4e11"


class Message(NamedTuple):
    """A frame, and when it was received: microseconds since the epoch."""

    received: int
    frame: bytes


MESSAGES = [
    Message(BEGIN + n * HOUR // 3, b"<%d>1 2026-11-22T%02d:00:00Z web-%d app - - - request %d" % (n, n // 3, n % 4, n))
    for n in range(60)
]


def frames_of(chosen: Sequence[Message]) -> Frames:
    return Frames(
        np.frombuffer(b"".join(one.frame for one in chosen), np.uint8),
        np.cumsum([0, *(len(one.frame) for one in chosen)]).astype(np.int32),
        np.zeros(len(chosen), np.int32),
        np.array([one.received for one in chosen], np.int64),
        np.zeros(len(chosen), np.int32),
        (Origin("10.0.0.1", None, "relp"),),
    )


async def store_of(messages: Sequence[Message], parts: int = 3) -> Store:
    """A consistent store of these messages, in some files, as a receiver makes it."""
    store = MemoryStore()
    log = DeltaLog(store, store_id=ID)
    await log.create()
    await store.put(MARKER, encode_marker(new_marker(ID, "a test", 0.0)))
    rounds = Rounds(log)
    try:
        for number, some in enumerate(np.array_split(np.arange(len(messages)), parts), 1):
            frames = frames_of([messages[n] for n in some])
            name = SegmentName("r", 0, number)
            await rounds.archive(await log.load(), {name: Segment(name, Settings(), frames, number, ID)})
    finally:
        rounds.close()
    return store


async def ledger_of(store: Store) -> Ledger:
    snapshot = await fresh(store)
    made = make(snapshot, DAY, store=ID, by="logsink/x", written="2026-11-23T02:00:00+00:00", previous=None)
    assert made.rows == len(MESSAGES)
    return decode_ledger(encode_ledger(made))


async def test_a_date_that_nobody_touched() -> None:
    store = await store_of(MESSAGES)
    found = await verify_ledger(store, await ledger_of(store))
    assert found.holds
    assert (found.rows, found.files, found.unchanged) == (60, 3, 3)


async def test_a_ledger_holds_through_merging_and_clean_up_of_the_log() -> None:
    store = await store_of(MESSAGES)
    ledger = await ledger_of(store)
    compactor = Compactor(DeltaLog(store), Maintain(retention=None))
    try:
        assert await compactor.step() is not None
    finally:
        compactor.close()
    await store.delete([commit_key(ledger.version)])
    found = await verify_ledger(store, ledger._replace(version=99))
    assert found.holds == (not found.damages)
    assert found.differences == []
    assert (found.rows, found.files, found.unchanged) == (60, 1, 0)


def changed(messages: list[Message], at: int) -> list[Message]:
    frame = messages[at].frame.replace(b"request", b"rebuest")
    return [*messages[:at], messages[at]._replace(frame=frame), *messages[at + 1 :]]


def taken(messages: list[Message], at: int) -> list[Message]:
    return [*messages[:at], *messages[at + 1 :]]


def added(messages: list[Message], at: int) -> list[Message]:
    return [*messages[:at], messages[at], *messages[at:]]


def moved(messages: list[Message], at: int) -> list[Message]:
    later = messages[at]._replace(received=messages[at].received + 1 + at)
    return [*messages[:at], later, *messages[at + 1 :]]


def exchanged(messages: list[Message], at: int) -> list[Message]:
    """Two messages of one hour change places in time."""
    other = at + 1 if at % 3 < 2 else at - 1
    swapped = list(messages)
    swapped[at] = Message(messages[at].received, messages[other].frame)
    swapped[other] = Message(messages[other].received, messages[at].frame)
    return swapped


TAMPERINGS: list[Callable[[list[Message], int], list[Message]]] = [changed, taken, added, moved, exchanged]


@pytest.mark.parametrize("tamper", TAMPERINGS)
async def test_tampering_is_found_whatever_was_rewritten_with_it(
    tamper: Callable[[list[Message], int], list[Message]],
) -> None:
    """The whole store is made anew, by the same code: nothing in it contradicts anything else. 200 attempts in all."""
    ledger = await ledger_of(await store_of(MESSAGES))
    chance = random.Random(tamper.__name__)
    for _ in range(40):
        at = chance.randrange(len(MESSAGES))
        store = await store_of(tamper(list(MESSAGES), at), chance.choice([1, 2, 5]))
        assert (await verify(store)).intact
        found = await verify_ledger(store, ledger._replace(commit=""))  # as if the log had been cleaned up
        hour = f"2026-11-22T{at // 3:02d}"
        assert [one.hour for one in found.differences] == [hour], (tamper, at)
        assert not found.holds


@pytest.mark.parametrize("tamper", TAMPERINGS)
async def test_verification_compares_the_ledgers_that_are_in_the_store(
    tamper: Callable[[list[Message], int], list[Message]],
) -> None:
    store = await store_of(tamper(list(MESSAGES), 7))
    ledger = await ledger_of(await store_of(MESSAGES))
    await store.put(key_of(DAY), encode_ledger(ledger._replace(commit="")))  # rows alone contradict it
    found = await verify(store)
    if tamper is added:  # as rows that came late
        (note,) = found.notes
        assert (found.damages, note.partition(", ")[2]) == (
            [],
            "rows came after it was written: 2026-11-22T02: 4 rows, where the ledger says 3",
        )
        return
    (damage,) = found.damages
    assert (damage.part, damage.damage.key, damage.damage.rows) == (
        "dates",
        key_of(DAY),
        1 if tamper is taken else None,
    )
    assert damage.damage.what.startswith("does not add up with the table: 2026-11-22T02: ")
    assert (await verify(store, since=DAY + datetime.timedelta(1))).intact
    assert await Repair(store, Limits()).plan() == []


async def test_rows_that_are_recorded_as_lost_or_retired_do_not_contradict_a_ledger() -> None:
    store = await store_of(MESSAGES)
    await store.put(key_of(DAY), encode_ledger(await ledger_of(store)))
    gone, *others = (await fresh(store)).files.values()
    await store.delete([gone.key])
    await Repair(store, Limits()).apply()
    found = await verify(store)
    assert found.intact
    assert any("rows are recorded as lost" in note for note in found.notes)
    log = DeltaLog(store)
    await log.commit(await log.load(), [Remove(one, data_change=True) for one in others])
    assert (await verify(store)).intact


@pytest.mark.parametrize(("moved", "waits"), [(0, True), (1, False)])
async def test_rows_that_wait_in_the_journal_do_not_contradict_a_ledger(moved: int, waits: bool) -> None:
    """As a repair leaves them that makes the log anew. Rows of other hours are others."""
    store = await store_of(MESSAGES[:40], 2)
    ledger = await ledger_of(await store_of(MESSAGES))
    await store.put(key_of(DAY), encode_ledger(ledger._replace(version=2, commit="")))
    rest = [one._replace(received=one.received + moved * HOUR) for one in MESSAGES[40:]]
    segment = Segment(SegmentName("r", 0, 3), Settings(), frames_of(rest), 3, ID)
    await store.put(segment.name.key, memoryview(encode_segment(segment)))
    found = await verify(store)
    assert found.intact == waits
    assert any("rows are in the journal" in note for note in found.notes) == waits


@pytest.mark.parametrize("older", [True, False])
async def test_a_date_that_is_gone_contradicts_its_ledger_where_an_older_one_is_there(older: bool) -> None:
    """Retention takes the oldest dates."""
    ledger = encode_ledger((await ledger_of(await store_of(MESSAGES)))._replace(commit=""))
    day = -24 * HOUR if older else 24 * HOUR
    store = await store_of([one._replace(received=one.received + day) for one in MESSAGES])
    await store.put(key_of(DAY), ledger)
    found = await verify(store)
    assert [one.damage.rows for one in found.damages] == ([60] if older else [])


async def test_a_forged_digest_in_the_log_does_not_help() -> None:
    """Rows are read, not believed: a store whose tags say the ledger's digests, and whose file has other rows."""
    store, other = await store_of(MESSAGES, 1), await store_of(changed(list(MESSAGES), 7), 1)
    ledger = await ledger_of(store)
    (mine,) = (await fresh(store)).files.values()
    (theirs,) = (await fresh(other)).files.values()
    await store.put(mine.key, await other.get(theirs.key))
    found = await verify_ledger(store, ledger)
    assert [one.hour for one in found.differences] == ["2026-11-22T02"]


async def test_what_else_contradicts_a_ledger() -> None:
    store = await store_of(MESSAGES)
    ledger = await ledger_of(store)
    assert "is of store other" in (await verify_ledger(store, ledger._replace(store="other"))).damages[0]
    assert "is not the one" in (await verify_ledger(store, ledger._replace(commit="00" * 32))).damages[0]
    gone = next(iter((await fresh(store)).files.values()))
    await store.delete([gone.key])
    found = await verify_ledger(store, ledger)
    assert found.damages == [f"{gone.key} is missing"]
    assert not found.holds


async def test_commits_that_a_ledger_names_are_missed_when_no_row_is() -> None:
    """A merge and a note of a loss move no row; the ledger that was written after them says that they were there."""
    store = await store_of(MESSAGES)
    log = DeltaLog(store, store_id=ID)
    last = await log.commit(await log.load(), [Accepted("logs/x")])
    ledger = await ledger_of(store)
    await store.put(key_of(DAY), encode_ledger(ledger))
    assert not (await verify(store, deep=True)).damages
    await store.delete([commit_key(last)])
    (damage,) = (await verify(store, deep=True)).damages
    assert damage.damage.what == f"ends with version {last - 1}, and {key_of(DAY)} names version {last}"
    await Repair(store, Limits()).apply()
    found = await verify(store, deep=True)
    assert (found.damages, found.version) == ([], last + 1)


async def test_a_commit_in_the_place_of_one_that_a_ledger_names() -> None:
    """The log reaches as far as before, and each of its commits follows from the one before it."""
    store = await store_of(MESSAGES)
    log = DeltaLog(store, store_id=ID)
    last = await log.commit(await log.load(), [Accepted("logs/x")])
    await store.put(key_of(DAY), encode_ledger(await ledger_of(store)))
    await store.delete([commit_key(last)])
    log = DeltaLog(store, store_id=ID)
    assert await log.commit(await log.load(), [Accepted("logs/y")]) == last
    (damage,) = (await verify(store, deep=True)).damages
    assert str(damage.damage) == f"{commit_key(last)} is not the commit that {key_of(DAY)} names"
    await Repair(store, Limits()).apply()
    found = await verify(store, deep=True)
    assert (found.damages, found.version) == ([], last + 1)


async def test_ledgers_in_the_store_prove_themselves() -> None:
    store = await store_of(MESSAGES)
    body = encode_ledger(await ledger_of(store))
    await store.put(key_of(DAY), body)
    for name in (f"{DAY}.json.sig", f"{DAY:%Y%m%d}.json", "README"):
        await store.put(LEDGERS + name, b"somebody else's")
    assert (await verify(store)).intact
    for bit in range(0, 8 * len(body), 7):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        await store.put(key_of(DAY), bytes(flipped))
        assert [one.damage.key for one in (await verify(store)).damages] == [key_of(DAY)], bit
    await store.put(key_of(DAY + datetime.timedelta(1)), body)
    await store.put(key_of(DAY), body)
    (damage,) = (await verify(store)).damages
    assert damage.damage.what == "is the ledger of 2026-11-22"


@pytest.mark.parametrize("how", ["delete", "replace", "flip"])
async def test_a_ledger_that_is_not_the_one_that_the_next_one_names(how: str) -> None:
    """It is named, a repair records that the one that was named is lost, and a receiver may write another."""
    store = await store_of(MESSAGES)
    snapshot, days, previous = await fresh(store), [DAY + datetime.timedelta(n) for n in range(3)], None
    for day in days:
        made = make(snapshot, day, store=ID, by="a test", written="2026-11-24T00:00:00+00:00", previous=previous)
        body = encode_ledger(made)
        await store.put(key_of(day), body)
        previous = (day.isoformat(), hashlib.sha256(body).hexdigest())
    assert (await verify(store)).intact
    other = encode_ledger(decode_ledger(await store.get(key_of(days[1])))._replace(by="another"))
    if how == "delete":
        await store.delete([key_of(days[1])])
    else:
        await store.put(key_of(days[1]), other if how == "replace" else other[:-1])
    (damage,) = (await verify(store)).damages
    assert damage.damage.key == key_of(days[1])
    assert how == "flip" or damage.damage.what.endswith(f"{key_of(days[2])} names" + " it" * (how == "delete"))
    await Repair(store, Limits()).apply()
    found = await verify(store)
    assert found.intact
    assert [(loss.key, loss.accepted) for loss in found.losses] == [(key_of(days[1]), True)]
    await store.put(key_of(days[1]), other)
    assert (await verify(store)).intact


async def test_the_oldest_ledger_may_name_one_that_is_gone() -> None:
    store = await store_of(MESSAGES)
    await store.put(key_of(DAY), encode_ledger((await ledger_of(store))._replace(previous=("2026-11-21", "00" * 32))))
    assert (await verify(store)).intact
