"""Planning of a repair of the table: which data files count, which are made again, and what is lost.

What is left of the log says which files are live. Where one of them is damaged, files that hold the same rows take its place:
those that it was merged from, one into which it was merged, one whose commit lost. Where the log itself is damaged, data files
that it does not know any more are taken in, as far as they prove themselves. What no file holds is made from segments that are
still in the journal, and the rest is recorded as lost.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from logsink.archive import (
    LANES_TAG as TAG,
)
from logsink.archive import (
    Checked,
    DataFile,
    Described,
    Lanes,
    describe,
    describe_body,
    dormant_name,
    lanes_inside,
    lanes_missing,
    lanes_of,
    lanes_union,
    lost_lanes,
    read_dormant,
    run_concurrently,
)
from logsink.errors import FormatError, NotFound
from logsink.integrity.choice import Candidate, choose
from logsink.integrity.coverage import held, holes
from logsink.integrity.verification import Verification
from logsink.journal import Gap, SegmentName

_WHOLE = 3
"""Most data files read at the same time, of about 128 MiB each."""


class Restore(NamedTuple):
    """Rows to make from segments ``first`` to ``last`` of a lane: those of one date, or of all dates (None)."""

    app_id: str
    first: int
    last: int
    date: datetime.date | None = None

    @property
    def names(self) -> list[SegmentName]:
        receiver, _, lane = self.app_id.rpartition(".")
        return [SegmentName(receiver, int(lane), sequence) for sequence in range(self.first, self.last + 1)]


@dataclass
class TablePlan:
    """What is to become of the table.

    rebuild   whether the log begins anew
    last      the last version that is there, or that anything names
    keep      live files that stay
    take      files that enter
    drop      live files that leave: damaged, missing, or replaced
    salvage   damaged files of which a new file keeps all rows but those of some row groups
    restore   rows to make again from segments
    lost      what is to be recorded as lost: keys, and numbers of rows (0: not known)
    txn       the txns of the table
    """

    rebuild: bool = False
    last: int = -1
    keep: list[DataFile] = field(default_factory=list)
    take: list[DataFile] = field(default_factory=list)
    drop: list[DataFile] = field(default_factory=list)
    salvage: list[tuple[DataFile, frozenset[int]]] = field(default_factory=list)
    restore: list[Restore] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)
    txn: dict[str, int] = field(default_factory=dict)

    @property
    def needed(self) -> bool:
        return bool(self.rebuild or self.take or self.drop or self.salvage or self.restore or self.lost)


class Planner:
    """Plans from what a verification found."""

    def __init__(self, found: Verification) -> None:
        self._found, self._store = found, found.store
        self._there, self._snapshot = found.there, found.there.snapshot
        self._described: dict[str, Described] = {}
        self._broken: list[Described] = []
        """Files that the log does not know, whose ends prove themselves, and whose rows do not."""
        self._bad: dict[str, Checked] = {
            path: checked for path, checked in found.checked.items() if checked.what and path in self._snapshot.files
        }
        self._segments = {one.name for one in self._there.segments}.difference(
            found.journal.damaged, found.journal.gone
        )
        self._named: set[str] = set()
        """Paths of files that were merged by an older version, into a file that counts."""

    async def plan(self) -> TablePlan:
        """Return what is to be done. Reads data files that the log does not know, whole, where they may be needed."""
        snapshot = self._snapshot
        plan = TablePlan(rebuild=self._found.log_damaged)
        plan.last = max(snapshot.version, self._found.seen)
        plan.txn = dict(snapshot.reached)
        if not (plan.rebuild or self._bad):
            plan.keep = list(snapshot.files.values())
            return plan
        if plan.rebuild:
            await self._wake_all(plan)
        pools = await self._pools(plan)
        for date in sorted(pools):
            self._plan_date(plan, date, pools[date])
        if plan.rebuild:
            self._plan_lanes(plan)
        return plan

    async def _wake_all(self, plan: TablePlan) -> None:
        """Plan that lanes are where the objects of dormant lanes say, also those that the log does not name any more."""
        names = [name for key in self._there.dormant if (name := dormant_name(key))]
        found, _ = await read_dormant(self._store, names)
        for lanes in found.values():
            for app_id, last in lanes.items():
                plan.txn[app_id] = max(last, plan.txn.get(app_id, 0))

    async def _pools(self, plan: TablePlan) -> dict[datetime.date, list[Candidate]]:
        """Return the candidates of each date on which something may change. Files that say no lanes stay as they are."""
        dates = {self._snapshot.files[path].date for path in self._bad}
        live = list(self._snapshot.files.values())
        among = [one for one in live if plan.rebuild or one.date in dates]
        paths = {one.path for one in among}
        plan.keep = [one for one in live if one.path not in paths]
        await self._describe([one.path for one in among if not one.tags and one.path not in self._bad], whole=False)
        pools: dict[datetime.date, list[Candidate]] = {one.date: [] for one in among}
        for one in among:
            lanes = self._lanes(one)
            if one.path in self._bad:
                continue
            if lanes is None:
                plan.keep.append(one)
                self._named.update(self._inputs(one.path))
            else:
                pools[one.date].append(Candidate(one, lanes, live=True))
        for described in await self._strangers(dates, rebuild=plan.rebuild):
            lanes = lanes_of(described.file.tags)
            if lanes is not None:
                pools.setdefault(described.file.date, []).append(Candidate(described.file, lanes))
            elif plan.rebuild and not self._named.intersection((described.file.path, *described.inputs)):
                plan.take.append(described.file)  # merged by an older version: nothing else has its rows
                self._named.update(described.inputs)
        for date, pool in pools.items():
            pools[date] = [one for one in pool if one.live or one.file.path not in self._named]
        return pools

    async def _strangers(self, dates: Iterable[datetime.date], *, rebuild: bool) -> list[Described]:
        """Return files that are not live and prove themselves: of damaged ``dates``, and those unknown to a damaged log."""
        snapshot, prefixes = self._snapshot, {f"date={date}/" for date in dates}
        paths = []
        for path in self._there.data:
            near, dead = path.partition("/")[0] + "/" in prefixes, path in snapshot.tombstones
            if path not in snapshot.files and (near or (rebuild and not dead)):
                paths.append(path)
        await self._describe(paths, whole=True)
        found = [self._described[path] for path in paths if path in self._described]
        found = [one for one in found if one.file.path not in snapshot.tombstones or self._replaces(one)]
        found.sort(key=lambda one: (-one.rows, one.file.path))
        waiting = {one.file.path for one in self._to_be_archived(found)}
        return [one for one in found if one.file.path not in waiting]

    def _replaces(self, one: Described) -> bool:
        """Return whether all that a file holds was in a damaged file of its date."""
        lanes = lanes_of(one.file.tags)
        bad = [self._snapshot.files[path] for path in self._bad]
        damaged = lanes_union(*(held(file) or {} for file in bad if file.date == one.file.date))
        return bool(lanes) and lanes_inside(lanes or {}, damaged)

    def _to_be_archived(self, found: Sequence[Described]) -> list[Described]:
        """Return files at the end of their lanes all of whose rows are in the journal, too: a commit that was never made.

        Their commit may have had a second file, of another date, which was never put; so the segments count, not they.
        """
        left, waiting = list(found), list[Described]()
        while True:
            ends = dict(self._snapshot.reached)
            for one in left:
                for app_id, intervals in (lanes_of(one.file.tags) or {}).items():
                    ends[app_id] = max(ends.get(app_id, 0), intervals[-1][1])
            rows = dict[str, int]()  # of all files that say the same lanes: one for each date
            for one in left:
                said = dict(one.file.tags).get(TAG, "")
                rows[said] = rows.get(said, 0) + one.rows
            last = [
                one
                for one in left
                if not one.merged
                and self._unarchived(lanes_of(one.file.tags) or {}, ends, rows[dict(one.file.tags).get(TAG, "")])
            ]
            if not last:
                return waiting
            waiting += last
            paths = {one.file.path for one in last}
            left = [one for one in left if one.file.path not in paths]

    def _unarchived(self, lanes: Lanes, ends: dict[str, int], rows: int) -> bool:
        """Return whether these sequences are above their txn, the last of their lanes, and the journal has their ``rows``.

        A segment that is missing had no rows in the file where those that are there have as many as the file.
        """
        names = [
            name for app_id, intervals in lanes.items() for one in intervals for name in Restore(app_id, *one).names
        ]
        there = sum(self._found.journal.rows.get(name, 0) for name in names if name in self._segments)
        return bool(lanes) and (
            rows <= there
            and all(
                intervals[0][0] > self._snapshot.last(app_id) and intervals[-1][1] == ends[app_id]
                for app_id, intervals in lanes.items()
            )
        )

    async def _describe(self, paths: Sequence[str], *, whole: bool) -> None:
        """Read files that the log does not know, or says no lanes of. Those that do not prove themselves are passed over."""

        async def read(path: str) -> None:
            try:
                if whole:
                    body = await self._store.get(f"logs/{path}")
                    self._described[path] = await asyncio.to_thread(describe_body, path, body)
                else:
                    self._described[path] = await describe(self._store, path, self._snapshot.files[path].size)
            except NotFound:
                return
            except FormatError:
                if whole and path not in self._snapshot.tombstones:
                    with suppress(FormatError, NotFound):
                        self._broken.append(await describe(self._store, path, self._there.data[path].size))

        await run_concurrently([partial(read, path) for path in paths], _WHOLE)

    def _lanes(self, file: DataFile) -> Lanes | None:
        said = held(file)
        if said is None and file.path in self._described:
            return lanes_of(self._described[file.path].file.tags)
        return said

    def _inputs(self, path: str) -> Sequence[str]:
        return self._described[path].inputs if path in self._described else ()

    def _plan_date(self, plan: TablePlan, date: datetime.date, pool: list[Candidate]) -> None:
        """Choose the files of one date, and plan what of its damaged ones is made again or lost."""
        bad = [file for path in self._bad if (file := self._snapshot.files[path]).date == date]
        chosen = choose(pool)
        salvaged = []
        for file in bad:
            lanes = held(file)
            whole = lanes is not None and not list(self._left(lanes, chosen, segments=True))
            if not whole and self._bad[file.path].groups is not None:
                salvaged.append(Candidate(file, lanes or {}, live=True))
        if salvaged:
            chosen = choose([*pool, *salvaged])
        paths = {one.file.path for one in chosen}
        rescued = [one.file for one in salvaged if one.file.path in paths or not one.lanes]
        plan.salvage += [(file, self._bad[file.path].groups or frozenset()) for file in rescued]
        plan.lost |= {file.key: rows for file in rescued if (rows := self._bad[file.path].rows)}
        plan.keep += [one.file for one in chosen if one.live and one.file not in rescued]
        plan.take += [one.file for one in chosen if not one.live]
        dropped = [one.file for one in pool if one.live and one.file.path not in paths]
        plan.drop += [*dropped, *bad]
        for file in bad:
            if file not in rescued:
                self._plan_loss(plan, file, chosen)

    def _plan_loss(self, plan: TablePlan, file: DataFile, chosen: Sequence[Candidate]) -> None:
        """Plan what is to be done for a damaged file of which nothing can be read."""
        lanes = held(file)
        if lanes is None:
            plan.lost[file.key] = file.known_rows or 0
            return
        before = lanes_union(*(one.lanes for one in chosen))
        left = list(self._left(lanes, chosen))
        plan.restore += [Restore(*interval, file.date) for interval in self._restorable(left)]
        gone = list(self._left(lanes, chosen, segments=True))
        if not gone:
            return
        replaced = [one.file for one in chosen if not one.live and lanes_inside(one.lanes, lanes)]
        rows = (file.known_rows or 0) - sum(one.known_rows or 0 for one in replaced)
        plan.lost[file.key] = max(0, rows) if len(left) == len(gone) else 0
        others = lanes_union(
            before, *(held(one) or {} for one in self._snapshot.files.values() if one.path not in self._bad)
        )
        for app_id, first, last in gone:
            for a, b in lanes_missing(others, app_id, first, last):
                plan.lost[Gap.of(app_id, a, b).key] = 0

    def _left(
        self, lanes: Lanes, chosen: Sequence[Candidate], *, segments: bool = False
    ) -> Iterator[tuple[str, int, int]]:
        """Yield what of ``lanes`` none of ``chosen`` holds, and, with ``segments``, no segment of the journal either."""
        others = lanes_union(*(one.lanes for one in chosen))
        for app_id, intervals in lanes.items():
            for first, last in intervals:
                for a, b in lanes_missing(others, app_id, first, last):
                    if not segments:
                        yield app_id, a, b
                        continue
                    there = self._journal(app_id, a, b)
                    yield from ((app_id, c, d) for c, d in lanes_missing(there, app_id, a, b))

    def _restorable(self, intervals: Iterable[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
        """Yield the parts of intervals whose segments are in the journal."""
        for app_id, first, last in intervals:
            for a, b in self._journal(app_id, first, last).get(app_id, ()):
                yield app_id, a, b

    def _journal(self, app_id: str, first: int, last: int) -> Lanes:
        """Return which of these sequences are in the journal, intact."""
        names = [name for name in Restore(app_id, first, last).names if name in self._segments]
        return lanes_union({app_id: [(name.sequence, name.sequence) for name in names]})

    def _plan_lanes(self, plan: TablePlan) -> None:
        """Plan the txns of a log that begins anew, and what is missing below them."""
        files = [*plan.keep, *plan.take, *(file for file, _ in plan.salvage)]
        said = [self._lanes(file) or lanes_of(file.tags) for file in files]
        lanes = lanes_union(*(one for one in said if one is not None))
        for app_id, intervals in lanes.items():
            plan.txn[app_id] = max(plan.txn.get(app_id, 0), intervals[-1][1])
        self._plan_broken(plan, lanes)
        if any(one is None for one in said):
            return
        explained = {**self._snapshot.lost, **plan.lost}
        missing = list(holes(files, plan.txn, explained))
        if self._snapshot.version < 0:
            missing += self._prefixes(lanes, lost_lanes(explained))
        restored = lanes_union(*({one.app_id: [(one.first, one.last)]} for one in plan.restore))
        for app_id, first, last in missing:
            for a, b in lanes_missing(restored, app_id, first, last):
                there = self._journal(app_id, a, b)
                plan.restore += [Restore(app_id, c, d) for c, d in there.get(app_id, ())]
                plan.lost |= {Gap.of(app_id, c, d).key: 0 for c, d in lanes_missing(there, app_id, a, b)}

    def _plan_broken(self, plan: TablePlan, lanes: Lanes) -> None:
        """Plan that damaged files at the ends of their lanes are lost: nothing else, and no segment, holds their rows."""
        said = [(one, lanes_of(one.file.tags) or {}) for one in self._broken]
        for one, held_once in sorted(said, key=lambda pair: [intervals[0] for intervals in pair[1].values()]):
            gone = [
                (app_id, *interval)
                for app_id, intervals in held_once.items()
                for first, last in intervals
                for interval in lanes_missing(lanes, app_id, first, last)
            ]
            last = all(first == plan.txn.get(app_id, 0) + 1 for app_id, first, _ in gone)
            if not gone or not last or any(self._journal(*interval) for interval in gone):
                continue
            plan.lost[one.file.key] = one.rows
            for app_id, first, end in gone:
                plan.txn[app_id] = end
                plan.lost[Gap.of(app_id, first, end).key] = 0

    def _prefixes(self, lanes: Lanes, explained: Lanes) -> Iterator[tuple[str, int, int]]:
        """Yield what is missing at the beginning of lanes of a log that is gone: nothing says that it was retired."""
        for app_id, intervals in lanes.items():
            for first, last in lanes_missing(explained, app_id, 1, intervals[0][0] - 1):
                yield app_id, first, last
