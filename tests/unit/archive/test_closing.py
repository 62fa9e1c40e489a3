"""Closing dates while segments of dormant receivers are in the journal; what a date needs to be over is in test_ledger.py."""

from __future__ import annotations

import datetime

import pytest

from logsink.archive import digest
from logsink.archive.closing import AFTER, Evidence, close_dates, dates_due
from logsink.archive.compaction import end_of_date
from logsink.archive.dormancy import make_dormant
from logsink.archive.ledger import decode_ledger, digest_of, key_of
from logsink.archive.log import Add, Txn
from logsink.archive.proof import SHA256_TAG
from logsink.archive.snapshot import commit_key
from logsink.errors import Damaged
from logsink.journal.segment import SegmentName
from logsink.store.base import Bytes
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import data_file, log_of, segment, store_segment

DAY = datetime.date(2026, 11, 22)
END = end_of_date(DAY)
OLD = "018bcfe5-6800-7abc-8def-0123456789ab"


@pytest.mark.parametrize(("sequence", "dates"), [(5, [DAY]), (6, [])])
async def test_a_segment_of_a_dormant_receiver(sequence: int, dates: list[datetime.date]) -> None:
    """Its lanes are looked up: what is in the table keeps no date open, and what is not does."""
    seconds = END
    store = MemoryStore(clock=lambda: seconds)
    log = log_of(store, wall=lambda: END - 86_400)
    await log.commit(await log.create(), [Txn(f"{OLD}.0", 5)])
    log = log_of(store, wall=lambda: seconds)
    proved = data_file("one").tagged([(digest.TAG, digest.encode({"2026-11-22T03": (1, 5)})), (SHA256_TAG, "ab" * 32)])
    await log.commit(await log.load(), [Txn("r.0", 3), Add(proved)])
    assert await make_dormant(log, idle=3600.0, least=1) == 1
    await store_segment(store, segment(SegmentName(OLD, 0, sequence), ["late"], received=int(END * 1e6)))
    seconds += AFTER
    due = await dates_due(log, compact_after=3600, target=1)
    assert (due.dates, due.ledgers, due.now) == (dates, [], END + AFTER)
    assert await close_dates(log, Evidence(), compact_after=3600, target=1) == dates
    after = await dates_due(log, compact_after=3600, target=1)
    assert (after.dates, after.ledgers) == ([], dates)


async def test_while_the_log_is_damaged_no_ledger_is_due() -> None:
    now = END + 5 * 86_400
    store = MemoryStore(clock=lambda: now)
    log = log_of(store, wall=lambda: now)
    proved = data_file("one").tagged([(digest.TAG, digest.encode({"2026-11-22T03": (1, 5)})), (SHA256_TAG, "ab" * 32)])
    await log.commit(await log.create(), [Txn("r.0", 3), Add(proved)])
    assert (await dates_due(log, compact_after=3600, target=1)).dates == [DAY]
    await log.commit(await log.load(), [Txn("r.0", 4)])
    await log.commit(await log.load(), [Txn("r.0", 5)])
    await store.delete([commit_key(2)])
    log = log_of(store, wall=lambda: now)
    found = await dates_due(log, compact_after=3600, target=1)
    assert (found.dates, found.snapshot.intact) == ([], False)
    with pytest.raises(Damaged, match="cannot write a ledger"):
        await close_dates(log, Evidence(), compact_after=3600, target=1)


class Slow(MemoryStore):
    """Another process puts the ledger of ``DAY`` just before this one does."""

    async def put_absent(self, key: str, body: Bytes) -> bool:
        if key == key_of(DAY):
            await super().put_absent(key, bytes(body) + b" ")
        return await super().put_absent(key, body)


async def test_a_ledger_that_another_process_has_put_meanwhile_is_named_by_the_next() -> None:
    now = END + 5 * 86_400
    store = Slow(clock=lambda: now)
    log = log_of(store, wall=lambda: now)
    await log.create()
    for day in (22, 23):
        file = data_file(f"{day}", day=day).tagged([(digest.TAG, digest.encode({f"2026-11-{day}T03": (1, 5)}))])
        await log.commit(await log.load(), [Txn(f"r.{day}", 1), Add(file)])
    closed = await close_dates(log, Evidence(), compact_after=3600, target=1)
    assert closed == [DAY + datetime.timedelta(days=1)]
    second = decode_ledger(await store.get(key_of(closed[0])))
    assert second.previous == (DAY.isoformat(), digest_of(await store.get(key_of(DAY))))


async def test_no_ledger_names_that_of_a_date_that_came_late() -> None:
    """As docs/evidence.md says: a date is closed after a later one when its first rows come later."""
    now = END + 5 * 86_400
    store = MemoryStore(clock=lambda: now)
    log = log_of(store, wall=lambda: now)
    await log.create()
    for day in (21, 23, 22, 24):
        file = data_file(f"{day}", day=day).tagged([(digest.TAG, digest.encode({f"2026-11-{day}T03": (1, 5)}))])
        await log.commit(await log.load(), [Txn(f"r.{day}", 1), Add(file)])
        assert await close_dates(log, Evidence(), compact_after=3600, target=1) == [datetime.date(2026, 11, day)]
    ledgers = [decode_ledger(await store.get(key_of(datetime.date(2026, 11, day)))) for day in (21, 22, 23, 24)]
    assert [one.previous and one.previous[0] for one in ledgers] == [None, "2026-11-21", "2026-11-21", "2026-11-23"]
