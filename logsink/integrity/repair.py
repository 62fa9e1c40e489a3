"""The repair of a store: what a verification finds is mended where that is possible, and else recorded as lost.

Nothing is deleted but what was copied to ``quarantine/`` first, and only damaged segments, ledgers and index objects are. Each
step leaves a store that is no worse than before, so a repair may be killed anywhere and run again. It may run beside receivers:
these stand still where the log is damaged, and turn a repair back where both write, as any two writers do; then it plans again.

The steps: the marker; the table (``tables``), by one commit, or by a log that begins anew; checkpoints; segments that are
missing or damaged, which their lanes pass; and the acceptance of what is lost.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from logsink import __version__
from logsink.archive import (
    HINT,
    QUARANTINE,
    Accepted,
    Action,
    Add,
    Checked,
    DataFile,
    DeltaLog,
    Limits,
    Lost,
    Remove,
    Rounds,
    Snapshot,
    Table,
    Txn,
    adopt,
    checkpoint_key,
    rebuild,
    restore_rows,
    salvage_file,
    stretch,
    write_checkpoint,
)
from logsink.errors import Conflict, FormatError, MediumError, NotFound
from logsink.integrity.coverage import held
from logsink.integrity.findings import Progress, Verified
from logsink.integrity.ledgers import read_ledgers
from logsink.integrity.survey import get_or_none
from logsink.integrity.tables import Planner, Restore, TablePlan
from logsink.integrity.verification import Verification
from logsink.journal import Segment, SegmentName, read_segment
from logsink.store import MARKER, OverlayStore, Store, encode_marker, new_id, new_marker, open_store

_TRIES = 20
"""Most times that a step is planned again because another process wrote meanwhile."""

_PARTS = 16
"""Most segments of which one data file is made, some 16 MiB each."""


class Step(NamedTuple):
    """One thing that a repair does, or would do, in words; ``done``: in the past tense."""

    what: str
    done: str


class Repair:
    """One repair of a store. ``plan`` says what there is to do, ``apply`` does it; ``found`` is what was found before.

    ``quick``: trust the inside of data files whose ends prove themselves. ``settle``: seconds after which a single running
    receiver archives what it has in memory, which may be missing or damaged in the journal: ``archive.max_age``.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        *,
        quick: bool = False,
        settle: float = 0.0,
        progress: Progress | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.store = store
        self._limits, self._quick, self._settle, self._sleep = limits, quick, settle, sleep
        self._progress = progress or Progress()
        self._steps: list[Step] = []
        self.found = Verified()

    async def plan(self) -> list[Step]:
        """Return what ``apply`` would do now. It is done, and all that this writes goes to a temporary directory instead.

        Running receivers are not waited for, so that missing segments are named which these may still archive from memory.
        """
        with tempfile.TemporaryDirectory(prefix="logsink-repair-") as directory:
            async with OverlayStore(self.store, open_store(directory)) as trial:
                repair = Repair(trial, self._limits, quick=self._quick, progress=self._progress)
                steps = await repair.apply()
                self.found = repair.found
                return steps

    async def apply(self) -> list[Step]:
        """Mend everything, and return what was done. Raises what the store raises, and ``Conflict`` when others are faster."""
        self._steps = []
        deep, known = not self._quick, dict[str, Checked]()
        for attempt in range(_TRIES):
            found = await self._verify(deep=deep, known=known)
            known.update(found.checked)  # to read all data files again may take longer than the next commit is away
            self.found, whole = found.found, found
            try:
                await self._mend_marker(found)
                if await self._mend_table(found):
                    found = await self._verify(deep=False)
                await self._mend_checkpoints(found)
                await self._mend_ledgers(found)
                await self._mend_index(whole)
                break
            except (Conflict, NotFound):
                if attempt == _TRIES - 1:
                    raise
        await self._mend_journal()
        await self._accept()
        return self._steps

    async def _verify(self, *, deep: bool, known: Mapping[str, Checked] = MappingProxyType({})) -> Verification:
        self._progress.done = 0
        found = Verification(self.store, deep=deep, since=None, progress=self._progress, known=known)
        await found.run()
        return found

    def _say(self, would: str, done: str, what: str) -> None:
        self._steps.append(Step(f"{would} {what}", f"{done} {what}"))

    # The marker

    async def _mend_marker(self, found: Verification) -> None:
        if found.marker or not any(one.part == "marker" for one in found.found.damages):
            return
        ids = found.journal.stores
        named = found.there.snapshot.store or max(ids, key=lambda one: ids[one], default="")
        await self._quarantine(MARKER)
        marker = new_marker(named or new_id(), f"logsink/{__version__}", await self.store.now())
        await self.store.put(MARKER, encode_marker(marker))
        self._say("write", "wrote", f"{MARKER} with the id {named or 'of a new store'}")

    # The table

    def _say_table(self, plan: TablePlan) -> None:
        for key, rows in sorted(plan.lost.items()):
            self._say("record as lost:", "recorded as lost:", key + (f" ({rows:,} rows)" if rows else ""))
        for file in plan.take:
            self._say("take into the table:", "took into the table:", file.key)
        for file, groups in plan.salvage:
            what = f"{file.key} but for {len(groups)} damaged row groups, in a new file"
            self._say("keep the rows of", "kept the rows of", what)
        for one in plan.restore:
            self._say("make again from the journal:", "made again from the journal:", _those(one))
        for file in plan.drop:
            self._say("take out of the table:", "took out of the table:", file.key)
        if plan.rebuild:
            files = len(plan.keep) + len(plan.take)
            self._say("write the log anew,", "wrote the log anew,", f"as version {plan.last + 1}, with {files:,} files")

    async def _mend_table(self, found: Verification) -> bool:
        """Mend the table; return whether there was anything to mend."""
        plan = await Planner(found).plan()
        if not plan.needed:
            return False
        steps = list(self._steps)
        self._say_table(plan)
        try:
            made = [new for one in plan.restore for new in await self._restore(one)]
            for file, groups in plan.salvage:
                made += await self._salvage(file, groups)
            for file in plan.drop:
                if file.path in found.checked and found.checked[file.path].what:
                    await self._quarantine(file.key)
            await self._commit(found, plan, made)
        except (Conflict, NotFound):
            self._steps = steps
            raise
        return True

    async def _restore(self, one: Restore) -> list[DataFile]:
        """Make data files of segments, and return them, stored."""
        made = []
        for start in range(0, len(one.names), _PARTS):
            segments: list[Segment] = [
                await read_segment(self.store, name) for name in one.names[start : start + _PARTS]
            ]
            made += await asyncio.to_thread(restore_rows, segments, one.date)
        for new in made:
            await self.store.put(new.file.key, memoryview(new.body))
        return [new.file for new in made]

    async def _salvage(self, file: DataFile, groups: frozenset[int]) -> list[DataFile]:
        body = await self.store.get(file.key)
        new = await asyncio.to_thread(salvage_file, file, body, groups, held(file) or {})
        if new is None:
            return []
        await self.store.put(new.file.key, memoryview(new.body))
        return [new.file]

    async def _commit(self, found: Verification, plan: TablePlan, made: Sequence[DataFile]) -> None:
        snapshot = found.there.snapshot
        if plan.rebuild:
            files = {one.path: one for one in (*plan.keep, *plan.take, *made)}
            now = await self.store.now()
            gone = {one.path: int(now * 1000) for one in plan.drop}
            tombstones = {path: at for path, at in {**snapshot.tombstones, **gone}.items() if path not in files}
            removed = {**snapshot.removed, **{one.path: one.tags for one in plan.drop}}
            lost = {**snapshot.lost, **plan.lost}
            table = Table(files, plan.txn, tombstones, lost, frozenset(lost), removed, snapshot.schema)
            await rebuild(self.store, plan.last, table, store_id=found.marker or snapshot.store, now=now)
            return
        actions: list[Action] = [Remove(file, data_change=True) for file in plan.drop]
        actions += [Add(file) for file in (*plan.take, *made)]
        for key, rows in plan.lost.items():
            actions += [Lost(key, rows), Accepted(key)]
        await found.log.commit(snapshot, actions, operation="REPAIR")

    # Checkpoints

    async def _mend_checkpoints(self, found: Verification) -> None:
        for version, snapshot in found.audit.replaceable.items():
            await self._rewrite(checkpoint_key(version), snapshot)
        if any(one.damage.key == HINT for one in found.found.damages):
            await self._rewrite(HINT, found.there.snapshot)

    async def _rewrite(self, key: str, snapshot: Snapshot) -> None:
        await self._quarantine(key)
        await write_checkpoint(self.store, snapshot)
        self._say("write again:", "wrote again:", key)

    # Ledgers and the index

    async def _mend_ledgers(self, found: Verification) -> None:
        """Set damaged ledgers aside, and record as lost those that others name and that are not there."""
        if all(one.part != "ledgers" for one in found.found.damages):
            return
        for key in (await read_ledgers(self.store)).damaged:
            if await self._quarantine(key):
                await self.store.delete([key])
                self._say("move to quarantine/:", "moved to quarantine/:", key)
        snapshot = await found.log.load()
        lost = [key for key in (await read_ledgers(self.store)).unlinked if key not in snapshot.lost]
        actions = [action for key in lost for action in (Lost(key, 0), Accepted(key))]
        if actions:
            await found.log.commit(snapshot, actions, operation="REPAIR")
        for key in lost:
            self._say("record as lost:", "recorded as lost:", key)

    async def _mend_index(self, found: Verification) -> None:
        """Set damaged objects of the index aside: no answer depends on them, and upkeep makes others."""
        for key in dict.fromkeys(one.damage.key for one in found.found.damages if one.part == "index"):
            if await self._quarantine(key):
                await self.store.delete([key])
                self._say("move to quarantine/:", "moved to quarantine/:", key)

    # The journal

    async def _mend_journal(self) -> None:
        """Have lanes pass what is missing or damaged, and set damaged segments aside."""
        found = await self._look()
        before = found.there.snapshot
        if _blocked(found):
            await self._wait(found)
            rounds = Rounds(DeltaLog(self.store))
            try:
                found = await self._pass(rounds)
            finally:
                rounds.close()
        for key in sorted(set(found.there.snapshot.lost) - set(before.lost)):
            self._say("record as lost:", "recorded as lost:", key)
        snapshot = found.there.snapshot
        for name, what in sorted(found.journal.damaged.items()):
            if snapshot.covers(name) and await self._move(name):
                self._say("move to quarantine/:", "moved to quarantine/:", f"{name.key}, which {what}")

    async def _look(self) -> Verification:
        """Return what there is to see in the journal."""
        found = Verification(self.store, deep=False, since=None, progress=Progress())
        await found.look_at_journal()
        return found

    async def _pass(self, rounds: Rounds) -> Verification:
        """Archive the lanes of the journal up to what is missing or damaged, pass that, and go on, until nothing is left."""
        seen = None
        while True:
            found = await self._look()
            snapshot = found.there.snapshot
            gaps = [gap for gap in found.gaps if snapshot.last(gap.app_id) == gap.first - 1]
            now = (snapshot.version, len(found.gaps), len(found.journal.damaged))
            if not _blocked(found) or now == seen:
                return found
            seen = now
            try:
                if gaps:
                    actions: list[Action] = [Txn(gap.app_id, gap.last) for gap in gaps]
                    for gap in gaps:
                        actions += [Lost(gap.key, 0), Accepted(gap.key)]
                    await found.log.commit(snapshot, actions, operation="REPAIR")
                else:
                    await adopt(rounds, self._limits, orphan_after=-1.0, delete=False)
            except Conflict:
                seen = None  # a running receiver archives its lanes itself

    async def _wait(self, found: Verification) -> None:
        """Wait until running receivers had the time to archive what they have in memory.

        Many of them begin later than a single one. All get as long again as a single one waits, for the archiving itself.
        """
        newest = max((one.modified for one in found.there.segments), default=0.0)
        left = newest + self._settle * (stretch(found.there.snapshot) + 1) - await self.store.now()
        if left > 0:
            await self._sleep(left)

    async def _move(self, name: SegmentName) -> bool:
        """Move a damaged segment to quarantine, unless it can be read by now."""
        try:
            await read_segment(self.store, name)
        except NotFound:
            return False
        except FormatError:
            moved = await self._quarantine(name.key)
            if moved:
                await self.store.delete([name.key])
            return moved
        return False

    async def _quarantine(self, key: str) -> bool:
        """Copy an object to quarantine, under a name of its own where another copy is there.

        Return False when the disk cannot read it: it stays where it is.
        """
        try:
            body = await self.store.get(key)
        except NotFound:
            return True
        except MediumError:
            return False
        place = QUARANTINE + key
        if not await self.store.put_absent(place, body) and await get_or_none(self.store, place) != body:
            await self.store.put_absent(f"{place}.{time.time_ns()}", body)
        return True

    # Losses

    async def _accept(self) -> None:
        log = DeltaLog(self.store)
        for _ in range(_TRIES):
            snapshot = await log.load()
            keys = _unaccepted(snapshot)
            if not keys:
                return
            try:
                await log.commit(snapshot, [Accepted(key) for key in keys], operation="REPAIR")
            except Conflict:
                continue
            for key in keys:
                self._say("accept the loss of", "accepted the loss of", key)
            return


def _blocked(found: Verification) -> bool:
    """Return whether a lane has to pass something that is missing or damaged."""
    snapshot = found.there.snapshot
    return bool(found.gaps) or any(not snapshot.covers(name) for name in found.journal.damaged)


def _unaccepted(snapshot: Snapshot) -> list[str]:
    return sorted(set(snapshot.lost) - snapshot.accepted)


def _those(one: Restore) -> str:
    key = one.names[0].key
    return key if len(one.names) == 1 else f"{key} to {one.last}"
