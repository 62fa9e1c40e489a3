"""What a tally means: holes, doubles, quiet times, wrong clocks, rows that were cut."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.query.audit.tally import MINUTE, MINUTES, NUMBERS, SPAN, as_matrix
from logsink.query.columns import Int64, as_integers

AHEAD: Final = 2_000_000
"""Microseconds by which a sender's times are later than their receipt, from which on its clock is called wrong."""

BEHIND: Final = 60_000_000
"""Microseconds by which even the fastest row of a sender is late, from which on its clock is suspected."""

LEAST_QUIET: Final = 10
"""Minutes without a row that may be unusual."""

UNUSUAL: Final = 5
"""How many times longer than usual (all but one of a hundred pauses of the sender) an unusual pause is."""

LEAST_HISTORY: Final = 100
"""Pauses of a sender, those of a minute included, from which on one can say what is usual."""

HABIT: Final = 3
"""Pauses at least half as long that make one usual: nights, weekends, jobs."""


class Hole(NamedTuple):
    """Numbers of a boot that are missing, from ``first`` to ``last``, and the times of the rows before and after."""

    boot: str
    instance: str
    first: int
    last: int
    before: int | None = None
    after: int | None = None

    @property
    def missing(self) -> int:
        """How many numbers are missing."""
        return self.last - self.first + 1


class Boot(NamedTuple):
    """The numbers of one boot.

    least, most   the first and the last number
    rows          how many rows have a number
    numbers       how many different numbers
    doubles       rows whose number another row has, too
    unexplained   of these, the ones that are not flagged as perhaps sent twice
    reordered     rows that arrived behind a greater number, at least
    first, last   times of the first and the last row
    """

    boot: str
    instance: str
    least: int
    most: int
    rows: int
    numbers: int
    doubles: int
    unexplained: int
    reordered: int
    first: int
    last: int


class Sender(NamedTuple):
    """What is known of the rows of one sender: an instance, or a host that names none.

    ahead   the most that a time is later than its receipt, in microseconds; None where no row has both
    """

    name: str
    rows: int
    unnumbered: int
    truncated: int
    incomplete: int
    ahead: int | None
    first: int
    last: int

    @property
    def clock(self) -> int:
        """How wrong the clock seems to be, in microseconds: ahead, behind (negative), or 0."""
        return self.ahead if self.ahead is not None and (self.ahead > AHEAD or self.ahead < -BEHIND) else 0


class Quiet(NamedTuple):
    """An unusually long time without a row: the last minute with one before it and the first after it, and what is usual."""

    sender: str
    since: int
    until: int
    usual: int


class Findings(NamedTuple):
    """What an audit found; instants are microseconds since the epoch."""

    boots: list[Boot]
    holes: list[Hole]
    senders: list[Sender]
    quiet: list[Quiet]
    dropped: list[str]
    """Boots and senders whose numbers or times are too many to be looked at."""

    @property
    def missing(self) -> int:
        """How many numbers are missing in all."""
        return sum(hole.missing for hole in self.holes)


def findings(tally: pa.Table, dropped: Sequence[str] = ()) -> Findings:
    """Return what a merged tally means; holes have no times yet."""
    boots: list[Boot] = []
    holes: list[Hole] = []
    for name, mine in _by_name(tally, NUMBERS):
        if _sum(mine, "selected"):
            boots.append(_boot(name, mine))
            holes += holes_of(name, mine)
    senders: list[Sender] = []
    quiet: list[Quiet] = []
    for name, mine in _by_name(tally, MINUTES):
        senders.append(_sender(name, mine))
        quiet += _quiet(name, mine)
    return Findings(boots, holes, senders, quiet, sorted(dropped))


def holes_of(boot: str, spans: pa.Table) -> Iterator[Hole]:
    """Yield the numbers that are missing between the first and the last one of a boot."""
    lows, highs = _runs(spans)
    instance = spans.column("instance")[0].as_py()
    for at in np.flatnonzero(lows[1:] > highs[:-1] + 1).tolist():
        yield Hole(boot, instance, int(highs[at]) + 1, int(lows[at + 1]) - 1)


def _by_name(tally: pa.Table, what: int) -> Iterator[tuple[str, pa.Table]]:
    mine = tally.filter(pc.equal(tally.column("what"), what)).sort_by([("name", "ascending"), ("begin", "ascending")])
    names = mine.column("name").to_pylist()
    edges = [0, *(at for at in range(1, len(names)) if names[at] != names[at - 1]), len(names)]
    for start, end in itertools.pairwise(edges):
        if start < end:
            yield names[start], mine.slice(start, end - start)


def _runs(spans: pa.Table) -> tuple[Int64, Int64]:
    """Return the first and the last of numbers that follow one another without a gap, but perhaps at the edge of spans."""
    begin, end = (as_integers(spans.column(name)) for name in ("begin", "end"))
    complete = np.asarray(spans.column("bits").combine_chunks().is_null())
    partial = spans.filter(pa.array(~complete))
    numbers = _numbers(partial)
    starts = np.flatnonzero(np.append(True, np.diff(numbers) > 1)) if len(numbers) else np.zeros(0, np.int64)
    ends = np.append(starts[1:], len(numbers)) - 1 if len(numbers) else starts
    lows = np.concatenate((numbers[starts], begin[complete] * SPAN))
    highs = np.concatenate((numbers[ends], end[complete] * SPAN - 1))
    order = np.argsort(lows, kind="stable")
    return lows[order], highs[order]


def _numbers(spans: pa.Table) -> Int64:
    """Return the numbers of spans that are not complete, ascending."""
    bits = as_matrix(spans.column("bits"), 0) | as_matrix(spans.column("resent"), 0)
    row, place = np.nonzero(np.unpackbits(bits, axis=1, bitorder="little"))
    numbers: Int64 = as_integers(spans.column("begin"))[row] * SPAN + place
    return numbers


def _boot(name: str, spans: pa.Table) -> Boot:
    lows, highs = _runs(spans)
    widths = as_integers(spans.column("end")) - as_integers(spans.column("begin"))
    complete = SPAN * int(widths[np.asarray(spans.column("bits").combine_chunks().is_null())].sum())
    plain = complete + int(np.unpackbits(as_matrix(spans.column("bits"), 0), axis=1).sum())
    numbers = int((highs - lows + 1).sum())
    rows = _sum(spans, "rows")
    return Boot(
        boot=name,
        instance=spans.column("instance")[0].as_py(),
        least=int(lows[0]),
        most=int(highs[-1]),
        rows=rows,
        numbers=numbers,
        doubles=rows - numbers,
        unexplained=_sum(spans, "plain") - plain,
        reordered=_sum(spans, "reordered"),
        first=int(as_integers(spans.column("first")).min()),
        last=int(as_integers(spans.column("last")).max()),
    )


def _sender(name: str, spans: pa.Table) -> Sender:
    ahead = int(as_integers(spans.column("ahead")).max())
    return Sender(
        name=name,
        rows=_sum(spans, "rows"),
        unnumbered=_sum(spans, "unnumbered"),
        truncated=_sum(spans, "truncated"),
        incomplete=_sum(spans, "incomplete"),
        ahead=None if ahead == np.iinfo(np.int64).min else ahead,
        first=int(as_integers(spans.column("first")).min()),
        last=int(as_integers(spans.column("last")).max()),
    )


def _quiet(name: str, spans: pa.Table) -> Iterator[Quiet]:
    """Yield the pauses of a sender that are unusual for it."""
    lows, highs = _runs(spans)
    pauses = lows[1:] - highs[:-1]
    inside = int((highs - lows).sum())  # pauses of one minute: a row in each
    every = np.concatenate((np.ones(min(inside, 1_000_000), np.int64), pauses))
    if len(every) < LEAST_HISTORY:
        return
    usual = int(np.quantile(every, 0.99, method="lower"))
    for at in np.flatnonzero((pauses > LEAST_QUIET) & (pauses >= UNUSUAL * usual)).tolist():
        if np.count_nonzero(pauses * 2 >= pauses[at]) < HABIT:
            yield Quiet(name, int(highs[at]) * MINUTE, int(lows[at + 1]) * MINUTE, usual)


def _sum(spans: pa.Table, column: str) -> int:
    return int(as_integers(spans.column(column)).sum())
