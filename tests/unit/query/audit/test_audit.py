"""An audit of a store: holes with the times around them, also within a range of time."""

from __future__ import annotations

from typing import Any

import pytest

from logsink.query.audit import Audit, Findings
from logsink.query.audit import audit as audit_module
from logsink.query.request import Filter
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, Row, archive, row

MINUTE = 60_000_000


def numbered(number: int, *, boot: str = "b1", late: int = 0, **values: Any) -> Row:
    """A row of the minute of its number; ``late``: how much earlier its own time is, as of a log file that is read later."""
    text = f'[deploy@32473 boot="{boot}" seq="{number}"]'
    return (
        row(number * MINUTE, structured_data=text, instance="i-1", flags=0)
        | {"time": START + number * MINUTE - late}
        | values
    )


async def audited(*files: list[Row], since: int | None = None, until: int | None = None) -> tuple[Findings, Audit]:
    async with MemoryStore() as store:
        await archive(store, files, group=50)
        audit = Audit(
            store,
            Filter(),
            None if since is None else START + since * MINUTE,
            None if until is None else START + until * MINUTE,
        )
        return await audit.run(), audit


def simple(found: Findings) -> list[tuple[int, int, int | None, int | None]]:
    minutes = [(hole, [at and (at - START) // MINUTE for at in (hole.before, hole.after)]) for hole in found.holes]
    return [(hole.first, hole.last, before, after) for hole, (before, after) in minutes]


async def test_holes_have_the_times_around_them() -> None:
    rows = [numbered(n) for n in range(1, 400) if n not in (50, 51, 300)]
    found, audit = await audited(rows[::2], rows[1::2])
    assert simple(found) == [(50, 51, 49, 52), (300, 300, 299, 301)]
    assert found.missing == 3
    assert len(audit.folds) == 2
    assert audit.report.rows == len(rows)


async def test_without_holes_rows_are_read_once() -> None:
    _, audit = await audited([numbered(n) for n in range(1, 200)])
    assert len(audit.folds) == 1


async def test_a_range_tells_of_its_own_holes_only() -> None:
    rows = [numbered(n) for n in range(1, 1000) if n not in (100, 310, 500, 690, 900)]
    found, _ = await audited(rows, since=300, until=700)
    assert [(hole.first, hole.last) for hole in found.holes] == [(310, 310), (500, 500), (690, 690)]
    found, _ = await audited(rows, since=311, until=690)
    assert [(hole.first, hole.last) for hole in found.holes] == [(310, 310), (500, 500), (690, 690)], "at its edges"
    found, _ = await audited(rows, since=320, until=600)
    assert [(hole.first, hole.last) for hole in found.holes] == [(500, 500)]


async def test_numbers_whose_times_are_outside_of_the_range_are_no_holes() -> None:
    """As when rsyslog reads a file or the journal: the time of a message may be days before that of its neighbours."""
    old = [numbered(n, late=5000 * MINUTE) for n in (400, 401, 450)]
    rows = [numbered(n) for n in range(1, 1000) if n not in (400, 401, 450, 460)]
    found, _ = await audited(rows, old)
    assert [(hole.first, hole.last) for hole in found.holes] == [(460, 460)]
    found, audit = await audited(rows, old, since=300, until=700)
    assert simple(found) == [(460, 460, 459, 461)]
    assert audit.report.rows < 1000


async def test_a_hole_of_which_a_part_has_other_times() -> None:
    rows = [numbered(n) for n in range(1, 1000) if n not in range(400, 410)]
    found, _ = await audited(rows, [numbered(n, late=5000 * MINUTE) for n in range(403, 406)], since=300, until=700)
    assert [(hole.first, hole.last) for hole in found.holes] == [(400, 402), (406, 409)]


async def test_numbers_that_came_hours_apart_with_times_outside_of_the_range_seem_to_be_missing() -> None:
    """As docs/fleet.md says: without a range they are found."""
    early = [numbered(n) for n in (*range(1, 11), *range(21, 31))]
    other = [numbered(n, late=-600 * MINUTE, received=START + (n + 600) * MINUTE) for n in range(11, 21)]
    found, _ = await audited(early, other)
    assert found.holes == []
    found, _ = await audited(early, other, since=0, until=60)
    assert [(hole.first, hole.last) for hole in found.holes] == [(11, 20)]


async def test_only_so_many_holes_get_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "MOST_HOLES", 1)
    found, _ = await audited([numbered(n) for n in range(1, 100) if n not in (10, 50, 51)])
    assert simple(found) == [(10, 10, None, None), (50, 51, 49, 52)]


async def test_boots_are_apart() -> None:
    found, _ = await audited(
        [numbered(n) for n in range(1, 20)], [numbered(n, boot="b2") for n in range(1, 30) if n != 10]
    )
    assert [(hole.boot, hole.first) for hole in found.holes] == [("b2", 10)]


async def test_an_empty_store() -> None:
    found, _ = await audited()
    assert found == Findings([], [], [], [], [])
