"""What there is to read."""

from __future__ import annotations

import pytest

from logsink.archive.log import Txn
from logsink.errors import NotFound
from logsink.journal import SegmentName
from logsink.query import Between, Filter
from logsink.query.read import file_bounds, make_plan
from logsink.query.request import UNKNOWN, Bounds
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, archive, journal, row


async def test_files_and_segments_that_can_hold_an_answer() -> None:
    store = MemoryStore()
    await archive(store, [[row(1), row(9)], [row(20)]], txn=[Txn("r1.0", 1)])
    await journal(store, SegmentName("r1", 0, 1), [row(1)])
    await journal(store, SegmentName("r1", 0, 2), [row(30)])
    plan = await make_plan(store, Filter((Between("time", START + 10, None),)))
    assert [segment.name.sequence for segment in plan.segments] == [2]
    assert [file_bounds(file, "time") for file in plan.files] == [Bounds(START + 20, START + 20, 0)]
    assert file_bounds(plan.files[0], "message") == UNKNOWN
    other = plan.of(Filter((Between("time", None, START + 10),)))
    assert [file_bounds(file, "time").low for file in other.files] == [START + 1]
    assert other.segments == plan.segments


async def test_nothing_was_ever_stored() -> None:
    with pytest.raises(NotFound, match="cannot find a logsink store at memory://"):
        await make_plan(MemoryStore(), Filter())
