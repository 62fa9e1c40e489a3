"""Closing dates while segments of dormant receivers are in the journal; what a date needs to be over is in test_ledger.py."""

from __future__ import annotations

import datetime

import pytest

from logsink.archive import digest
from logsink.archive.closing import AFTER, Evidence, close_dates
from logsink.archive.compaction import end_of_date
from logsink.archive.dormancy import make_dormant
from logsink.archive.log import Add, Txn
from logsink.archive.proof import SHA256_TAG
from logsink.journal.segment import SegmentName
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
    assert await close_dates(log, Evidence(), compact_after=3600, target=1) == dates
