"""Which rows are taken for copies, whatever the cut into tables, forwards and backwards."""

from __future__ import annotations

import itertools
from contextlib import aclosing
from typing import Any

import pytest

from logsink.flags import Flag
from logsink.query import Query, Report, search
from logsink.query.order import dedupe as dedupe_module
from logsink.query.order.dedupe import APART, Dedupe
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import Row, archive, place, row, rows_of, table

AGAIN = int(Flag.MAYBE_RESENT)
MINUTE = 60_000_000


def sent(receiver: str, received: int, text: str = "a", *, again: bool = False, **more: Any) -> Row:
    """A frame without a time of its own."""
    base = {"raw": text.encode(), "message": text, "sender": "10.0.0.1", "flags": AGAIN if again else 0, "nth": 0}
    return row(received, receiver=receiver, **base | more)


def same_instant(receiver: str, received: int, text: str = "a", *, again: bool = False, **more: Any) -> Row:
    """A frame with a time of its own."""
    return sent(receiver, received, text, again=again, **more) | {"time": row(0)["time"]}


def timed(receiver: str, received: int, *, again: bool = True, twice: bool = False, **more: Any) -> Row:
    """A frame with a time of its own, in fractions of a second."""
    flags = (AGAIN if again else 0) | (int(Flag.SENT_TWICE) if twice else 0)
    return sent(receiver, received, **more) | {"time": row(123_456)["time"], "flags": flags}


DAY = 86_400_000_000

CASES: dict[str, tuple[list[Row], int]] = {  # rows in order, and how many are left
    "resent to another receiver": ([sent("a", 0), sent("b", 1, again=True)], 1),
    "nothing is flagged": ([sent("a", 0), sent("b", 1)], 2),
    "the first is flagged": ([sent("a", 0, again=True), sent("b", 1)], 1),
    "both are flagged": ([sent("a", 0, again=True), sent("b", 1, again=True)], 1),
    "another frame": ([sent("a", 0), sent("b", 1, "b", again=True)], 2),
    "another sender": ([sent("a", 0), sent("b", 1, again=True, sender="10.0.0.2")], 2),
    "the same certificate from another address": (
        [sent("a", 0, identity="CN=x"), sent("b", 1, again=True, sender="10.0.0.2", identity="CN=x")],
        1,
    ),
    "too far apart": ([sent("a", 0), sent("b", APART + 1, again=True)], 2),
    "just near enough": ([sent("a", 0), sent("b", APART, again=True)], 1),
    "a later session of one receiver": ([sent("a", 0), sent("a", 1, again=True)], 1),
    "the same session": ([sent("a", 0, again=True), sent("a", 1)], 2),
    "a repeat at the beginning of a session": ([sent("a", 0, again=True), sent("a", 1, again=True)], 2),
    "a true repeat is kept": ([sent("a", 0), sent("a", 1), sent("b", 2, again=True), sent("b", 3, again=True)], 2),
    "a repeat of its own behind the resend": ([sent("a", 0), sent("b", 1, again=True), sent("b", 2, again=True)], 2),
    "from receiver to receiver": ([sent(r, n, again=n > 0) for n, r in enumerate("abcd")], 1),
    "one instant": ([same_instant("a", 0), same_instant("b", 5 * MINUTE, again=True)], 1),
    "a clock behind": ([sent("b", 0, again=True), sent("a", MINUTE)], 1),
    "a clock that is hours wrong": ([timed("a", 0, again=False), timed("b", 5 * 60 * MINUTE)], 1),
    "a clock that is days wrong": ([timed("a", 0, again=False), timed("b", 5 * DAY)], 1),
    "a clock that is hours wrong, and nothing is flagged": (
        [timed("a", 0, again=False), timed("b", 5 * 60 * MINUTE, again=False)],
        2,
    ),
    "a sender whose clock stands still": ([timed("a", 5 * DAY, again=False), timed("b", 5 * DAY + APART + 1)], 2),
    "its first second again": ([same_instant("a", 0), same_instant("b", APART + 1, again=True)], 2),
    "a time that is only when it was received": (
        [
            timed("a", 0) | {"flags": AGAIN | int(Flag.TIME_INFERRED)},
            timed("b", 2 * APART) | {"flags": AGAIN | int(Flag.TIME_INFERRED)},
        ],
        2,
    ),
    "sent again an hour later to one receiver": ([timed("a", 0, again=False), timed("a", 60 * MINUTE)], 1),
    "twice in one session": ([timed("a", 0), timed("a", 1, twice=True)], 1),
    "twice in one session that was believed": ([timed("a", 0, again=False), timed("a", 1, twice=True)], 1),
    "twice in one session, an hour later": ([timed("a", 0), timed("a", 60 * MINUTE, twice=True)], 1),
    "twice, and then once more": ([timed("a", 0), timed("a", 1, twice=True), timed("a", 2)], 2),
    "many in one instant, each sent again to one receiver": (
        [timed("a", n) for n in range(3)] + [timed("a", 10 + n, twice=True) for n in range(3)],
        3,
    ),
    "many in one instant, believed, each sent again to one receiver": (
        [timed("a", n, again=False) for n in range(3)] + [timed("a", 10 + n, twice=True) for n in range(3)],
        3,
    ),
    "sent again to one receiver twice": ([timed("a", 0), timed("a", 5, twice=True), timed("a", 9, twice=True)], 1),
    "sent again to one receiver, known only the second time": (
        [timed("a", 0, again=False), timed("a", 5), timed("a", 9, twice=True)],
        1,
    ),
    "sent again to one receiver and then to another": ([timed("a", 0), timed("a", 5, twice=True), timed("b", 9)], 1),
    "two in one instant, sent again to one receiver and then to another": (
        [timed("a", n) for n in range(2)]
        + [timed("a", 10 + n, twice=True) for n in range(2)]
        + [timed("b", 20 + n) for n in range(2)],
        2,
    ),
    "sent again to one receiver two days later": ([timed("a", 0), timed("a", 2 * DAY, twice=True)], 1),
    "twice without a time": ([sent("a", 0, again=True), sent("a", 1, flags=AGAIN | int(Flag.SENT_TWICE))], 2),
    "twice in a second": (
        [same_instant("a", 0, again=True), same_instant("a", 1, flags=AGAIN | int(Flag.SENT_TWICE))],
        2,
    ),
    "twice to one receiver, and sent again to another": (
        [timed("a", 0), timed("a", 5, twice=True), timed("b", 9), timed("b", 12, twice=True)],
        1,
    ),
    "twice to two receivers, their clocks apart": (
        [timed("a", 0), timed("a", 5, twice=True), timed("b", 3), timed("b", 4, twice=True)],
        1,
    ),
    "a true repeat at the beginning of a session": ([timed("a", 0), timed("a", 1)], 2),
    "no sender": ([sent("a", 0, sender=None), sent("b", 1, again=True, sender=None)], 1),
}


def left(rows: list[Row], *, descending: bool, cut: int) -> int:
    ordered = sorted(rows, key=place, reverse=descending)
    dedupe = Dedupe(descending=descending, rows=8)
    tables = [table(ordered[i : i + cut]) for i in range(0, len(ordered), cut)]
    found = sum(dedupe(part).num_rows for part in tables)
    assert found + dedupe.hidden == len(rows)
    return found


@pytest.mark.parametrize(("descending", "cut"), list(itertools.product((False, True), (1, 2, 9))))
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("compiled", [True, False])
def test_what_is_hidden(case: str, descending: bool, cut: int, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(dedupe_module, "hide", dedupe_module.hide.py)
    rows, expected = CASES[case]
    assert left(rows, descending=descending, cut=cut) == expected


@pytest.mark.parametrize("descending", [False, True])
def test_what_only_the_clocks_of_receivers_speak_against_is_counted(descending: bool) -> None:
    def apart(*rows: Row) -> int:
        dedupe = Dedupe(descending=descending)
        dedupe(table(sorted(rows, key=place, reverse=descending)))
        return dedupe.apart

    assert apart(sent("a", 0), sent("b", APART + 1, again=True)) == 1
    assert apart(same_instant("a", 0), same_instant("b", APART + 1, again=True)) == 1
    assert apart(sent("a", 0), sent("b", APART, again=True)) == 0
    assert apart(sent("a", 0), sent("b", APART + 1)) == 0
    assert apart(sent("a", 0), sent("a", APART + 1, again=True)) == 0
    assert apart(timed("a", 0), timed("b", APART + 1)) == 0


def test_no_rows() -> None:
    assert Dedupe(descending=False)(table([])).num_rows == 0


def test_what_is_remembered_is_bounded() -> None:
    dedupe = Dedupe(descending=False, rows=4)
    rows = [sent("a", n, str(n)) for n in range(6)]
    assert dedupe(table(rows)).num_rows == 6
    again = [sent("b", 10 + n, str(n), again=True) for n in range(6)]
    assert [r["message"] for r in rows_of([dedupe(table(again[:1])), dedupe(table(again[5:]))])] == ["0"]


async def found(store: MemoryStore, **query: Any) -> tuple[list[Row], Report]:
    async with aclosing(search(store, Query(dedupe=True, **query))) as parts:
        return rows_of([part async for part in parts]), parts.report


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [None, 1, 2, 3, 100])
async def test_the_limit_counts_what_is_shown(limit: int | None, reverse: bool) -> None:
    store = MemoryStore()
    first = [sent("a", n, str(n)) for n in range(3)]
    second = [sent("b", 100 + n, str(n), again=True) for n in range(3)]
    await archive(store, [first, second])
    rows, report = await found(store, limit=limit, reverse=reverse)
    messages = [r["message"] for r in (reversed(rows) if reverse else rows)]
    assert messages == ["0", "1", "2"][-(limit or 3) :]
    assert report.rows == len(rows)
    assert report.hidden == 3 or limit in (1, 2, 3)
    assert report.cut == (limit in (1, 2, 3))
