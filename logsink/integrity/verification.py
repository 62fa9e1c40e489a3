"""The verification of a store: it reads, and says what is damaged. It may run beside receivers at any time.

Objects are listed before the table is loaded, so what is missing then was there when something was said of it. What seems to be
missing is looked at once more by a fresh snapshot, because upkeep deletes meanwhile what it has archived, merged or retired.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from logsink.archive import (
    HINT,
    LANES_TAG,
    Audit,
    Checked,
    DataFile,
    DeltaLog,
    Described,
    Lanes,
    Ledger,
    audit_log,
    check_file,
    checkpoint_key,
    commit_key,
    describe,
    dormant_name,
    lanes_missing,
    lanes_of,
    lanes_union,
    lost_lanes,
    run_concurrently,
)
from logsink.errors import FormatError, NotFound
from logsink.index import INDEX_REMEDY
from logsink.integrity.coverage import held, holes, overlaps
from logsink.integrity.findings import REPAIR, RESTORE, SAVE, Loss, Progress, Verified
from logsink.integrity.index import check_index
from logsink.integrity.journal import Journal, read_journal, uncovered
from logsink.integrity.ledgers import compare, read_ledgers
from logsink.integrity.survey import Survey, survey
from logsink.journal import Gap, SegmentName, find_gaps
from logsink.store import MARKER, Store, decode_marker

MISSING: Final = "is missing"
"""What ``check_file`` says of a file that is not there."""

_TAILS, _WHOLE = 16, 3
"""Most data files read at the same time: their ends, or whole ones, of about 128 MiB each."""

_TAMPERED = (
    "rows were changed or taken: `logsink verify --ledger`, with your copy, names each hour by the rows themselves"
)

_LOG_REMEDY = f"{REPAIR} writes the log again from the data files; or restore it from a backup"


async def verify(
    store: Store, *, deep: bool = False, since: datetime.date | None = None, progress: Progress | None = None
) -> Verified:
    """Check a store, and return what was found.

    ``deep`` reads data files whole. ``since`` leaves out data files of earlier dates. Only reads. Raises what the store raises,
    ``NotFound`` where there is none, and ``FormatError`` for a store of a newer logsink.
    """
    return await Verification(store, deep=deep, since=since, progress=progress or Progress()).run()


class Verification:
    """One verification, with what it learned: ``there`` (the survey), ``journal``, ``audit`` (of the log), ``checked``.

    ``known``: what an earlier one has found in data files, which are not read again; one that was missing is looked for.
    """

    there: Survey
    journal: Journal
    audit: Audit

    def __init__(
        self,
        store: Store,
        *,
        deep: bool,
        since: datetime.date | None,
        progress: Progress,
        known: Mapping[str, Checked] = MappingProxyType({}),
    ) -> None:
        self.store = store
        self.log = DeltaLog(store)
        self.found = Verified(deep=deep)
        self.checked: dict[str, Checked] = {}
        self.gaps: set[Gap] = set()
        self.marker = ""
        """The id in the marker, "" when that is missing or damaged."""
        self.seen = -1
        """The newest version of the table that a segment or a ledger names; -1: none."""
        self._deep, self._since, self._progress, self._known = deep, since, progress, known

    async def look_at_journal(self) -> None:
        """Check the journal only."""
        self.there = await survey(self.log)
        await self._check_journal()

    async def run(self) -> Verified:
        """Check everything, in the order in which things depend on each other."""
        self.there = await survey(self.log)
        self._progress.total = len(self.there.segments) + sum(map(self._weight, self._files))
        await self._check_journal()
        files = self._files  # of the second look, where there was one
        self.found.version = self.there.snapshot.version
        await self._check_marker()
        await self._check_log()
        await self._check_files(files)
        self._check_lanes()
        await self._check_strangers()
        await self._check_ledgers()
        await self._check_index()
        self._check_losses()
        return self.found

    @property
    def log_damaged(self) -> bool:
        """Whether the log does not say any more what counts: more of it is damaged than checkpoints that can be replaced."""
        harmless = {HINT, *(checkpoint_key(version) for version in self.audit.replaceable)}
        return any(one.part == "log" and one.damage.key not in harmless for one in self.found.damages)

    @property
    def _files(self) -> list[DataFile]:
        """The live files that are to be checked."""
        return [one for one in self.there.live if self._since is None or one.date >= self._since]

    def _weight(self, file: DataFile) -> int:
        return file.size if self._deep else 1

    async def _check_journal(self) -> None:
        """Check the segments, and the lanes from the txn on."""
        self.journal = await read_journal(self.store, self.there.segments)
        self.found.segments = len(self.there.segments)
        self._progress.done += len(self.there.segments)
        snapshot = self.there.snapshot
        for name, what in self.journal.damaged.items():
            if name.key in snapshot.lost:
                self.found.notes.append(f"{name.key} {what}; it is recorded as lost")
            elif snapshot.covers(name):
                self.found.add("journal", name.key, f"{what}; its rows are archived", rows=0)
            else:
                remedy = SAVE if name in self.journal.unread else RESTORE
                self.found.add("journal", name.key, what, remedy=remedy)
        self.gaps = await self._gaps()
        for gap in sorted(self.gaps):
            self.found.add("journal", gap.key, gap.damage.what, remedy=RESTORE)

    async def _gaps(self) -> set[Gap]:
        """Return the gaps that two looks at the journal show: a lane may grow while another one is listed."""
        found = self._gaps_of(self.there)
        if not found:
            return set()
        self.there = await survey(self.log)
        again = await read_journal(self.store, self.there.segments)
        for app_id, sequence in again.stored.items():  # what a segment said that is archived and deleted by now holds
            self.journal.stored[app_id] = max(self.journal.stored.get(app_id, 0), sequence)
        self.journal.rows |= again.rows
        self.journal.hours |= again.hours
        self.journal.gone |= again.gone
        return found & self._gaps_of(self.there)

    def _gaps_of(self, there: Survey) -> set[Gap]:
        explained = lost_lanes(there.snapshot.lost)
        names = [one.name for one in there.segments]
        found = find_gaps(names, there.snapshot.reached, self.journal.stored)
        return {gap for gap in found if not _explained(explained, gap)}

    async def _check_marker(self) -> None:
        """Check the marker, and that segments and commits name the same store."""
        named = {*self.journal.stores, *([self.there.snapshot.store] if self.there.snapshot.store else [])}
        try:
            self.marker = decode_marker(await self.store.get(MARKER)).id
        except NotFound:
            if named:
                self.found.add("marker", MARKER, "is missing", remedy=f"{REPAIR} writes it again, with the store's id")
            else:
                self.found.notes.append(f"{MARKER} is not there: the store is of an older version of logsink")
            return
        except FormatError as error:
            what = f"cannot be read: {error.why}"
            self.found.add("marker", MARKER, what, remedy=f"{REPAIR} writes it again, with the store's id")
            return
        for other in sorted(named - {self.marker}):
            remedy = "find out where these objects come from: two stores may have been mixed"
            self.found.add(
                "marker", MARKER, f"has the id {self.marker}, and objects of store {other} are here", remedy=remedy
            )

    async def _check_log(self) -> None:
        """Check commits, their chain and checkpoints, and that the log reaches as far as receivers knew it."""
        found = self.audit = await audit_log(self.store)
        self.found.commits, self.found.checkpoints = found.commits, found.checkpoints
        for damage in (*found.damage, *self.there.snapshot.damage):
            self.found.add("log", damage.key, damage.what, rows=damage.rows, remedy=_LOG_REMEDY)
        if found.superseded:
            self.found.notes.append(
                f"{found.superseded:,} objects of the log are older than its beginning, and do not count"
            )
        await self._check_end(self.journal.newest, "receivers have seen")

    async def _check_end(self, seen: int, who: str) -> None:
        """Check that the log reaches to a version that somebody says was there."""
        version = self.there.snapshot.version
        if seen > max(version, self.seen) and (await self.log.load()).version < seen:
            what = f"ends with version {version}, and {who} version {seen}"
            self.found.add("log", "logs/_delta_log", what, remedy=_LOG_REMEDY)
        self.seen = max(self.seen, seen)

    async def _check_files(self, files: Sequence[DataFile]) -> None:
        """Check live files. One that is missing is damage only while it is still live."""
        at_once = _WHOLE if self._deep else _TAILS
        await run_concurrently([partial(self._check_file, one) for one in files], at_once)
        damaged = [one for one in files if self.checked[one.path].what]
        if any(self.checked[one.path].what == MISSING for one in damaged):
            fresh = await self.log.load()
            damaged = [one for one in damaged if one.path in fresh.files]
            for path in [one.path for one in files if one.path not in fresh.files]:
                self.checked.pop(path)
        for one in damaged:
            checked = self.checked[one.path]
            self.found.add("files", one.key, checked.what, rows=checked.rows, remedy=RESTORE)
        self.found.files = len(self.checked)
        self.found.rows = sum(one.known_rows or 0 for one in files if one.path in self.checked)
        self.found.nbytes = sum(one.size for one in files if one.path in self.checked)
        self.found.unproved = sum(not one.proved and not one.what for one in self.checked.values())

    async def _check_file(self, file: DataFile) -> None:
        known = self._known.get(file.path)
        if known is None or known.what == MISSING:
            known = await check_file(self.store, file, deep=self._deep)
        self.checked[file.path] = known
        self._progress.done += self._weight(file)

    def _check_lanes(self) -> None:
        """Check that live files hold each row once, and all that the table claims to hold."""
        snapshot = self.there.snapshot
        live = [one for one in self.there.live if self._still(one)]
        for pair in overlaps(live):
            what = (
                f"holds rows that {pair.other} holds, too: segments {pair.first} to {pair.last} of lane {pair.app_id}"
            )
            self.found.add("lanes", f"logs/{pair.one}", what)
        for app_id, first, last in holes(live, snapshot.reached, snapshot.lost):
            what = "counts as archived, and no data file holds its rows"
            self.found.add("lanes", Gap.of(app_id, first, last).key, what, remedy=RESTORE)
        lanes = lanes_union(*(held(one) or {} for one in live))
        if any(held(one) is None for one in live):
            return
        names = [one.name for one in self.there.segments if one.name not in self.journal.gone]
        for name in uncovered(names, snapshot, lanes, lost_lanes(snapshot.lost)):
            self.found.add("lanes", name.key, "counts as archived, and no data file holds its rows")

    def _still(self, file: DataFile) -> bool:
        """Return whether a file was live to the end, or was not looked at."""
        return file.path in self.checked or (self._since is not None and file.date < self._since)

    async def _check_strangers(self) -> None:
        """Look at data files that the log does not know: left over, put by others, or evidence of a commit that is lost."""
        snapshot = self.there.snapshot
        paths = [path for path in self.there.data if path not in snapshot.files and path not in snapshot.tombstones]
        found = await run_concurrently([partial(self._describe, path) for path in paths], _TAILS)
        known = [one for one in found if one is not None]
        rows = dict[str, int]()  # of all files that say the same lanes: one for each date
        for one in known:
            said = dict(one.file.tags).get(LANES_TAG, "")
            rows[said] = rows.get(said, 0) + one.rows
        for one in known:
            beyond = self._beyond(one, rows[dict(one.file.tags).get(LANES_TAG, "")])
            if beyond and not await self._committed_meanwhile(one.file.path):
                what = f"is not in the table, and only it has rows of segments {beyond[1]} to {beyond[2]} of lane {beyond[0]}"
                self.found.add("log", one.file.key, what, rows=one.rows, remedy=_LOG_REMEDY)
        if known:
            self.found.notes.append(
                f"{len(known):,} data files are not in the table: left over, or about to be committed"
            )
        if foreign := len(found) - len(known):
            self.found.notes.append(
                f"{foreign:,} objects among the data files are not in the table, and not logsink's, or damaged"
            )
        named = sum(dormant_name(key) in snapshot.dormant for key in self.there.dormant)
        if others := len(self.there.dormant) - named:
            self.found.notes.append(f"{others:,} objects in dormant/ are not named by the log: left over")
        if self.there.quarantine:
            self.found.notes.append(f"{len(self.there.quarantine):,} objects are in quarantine/")

    async def _describe(self, path: str) -> Described | None:
        """Return what a file is that the log does not know; None for a damaged one, or none of logsink's."""
        try:
            return await describe(self.store, path, self.there.data[path].size)
        except (FormatError, NotFound):
            return None

    def _beyond(self, one: Described, rows: int) -> tuple[str, int, int] | None:
        """Return segments that the table does not claim, and of which ``one`` has rows that the journal has not.

        ``rows``: those of it and of files that hold the same segments on other dates.
        """
        there = {stored.name for stored in self.there.segments} & set(self.journal.rows)
        present, missing = 0, None
        for app_id, intervals in (lanes_of(one.file.tags) or {}).items():
            receiver, _, lane = app_id.rpartition(".")
            for first, last in intervals:
                names = [SegmentName(receiver, int(lane), sequence) for sequence in range(first, last + 1)]
                present += sum(self.journal.rows[name] for name in names if name in there)
                above = [name for name in names if name not in there and not self.there.snapshot.covers(name)]
                missing = missing or ((app_id, above[0].sequence, above[-1].sequence) if above else None)
        return missing if rows > present else None

    async def _committed_meanwhile(self, path: str) -> bool:
        fresh = await self.log.load()
        return path in fresh.files or path in fresh.tombstones

    async def _check_ledgers(self) -> None:
        """Check that each ledger in the store proves itself, is the one that the next one names, and adds up with the table."""
        remedy = f"put your copy of it back, else {REPAIR} sets it aside, and a receiver writes a new one"
        ledgers = await read_ledgers(self.store)
        for key, what in ledgers.damaged.items():
            self.found.add("ledgers", key, what, rows=0, remedy=remedy)
        for key, ledger in ledgers.found.items():
            await self._check_end(ledger.version, f"{key} names")
            self._check_head(key, ledger)
        remedy = f"put your copy of it back, else {REPAIR} records it as lost"
        for key, what in ledgers.unlinked.items():
            if key not in self.there.snapshot.lost:
                self.found.add("ledgers", key, what, rows=0, remedy=remedy)
        if self.there.snapshot.intact:
            for key, ledger in ledgers.found.items():
                self._compare(key, ledger)

    def _check_head(self, key: str, ledger: Ledger) -> None:
        """Check that the commit of the ledger's version is the one that it names, and not one made after that was lost."""
        commit, head = commit_key(ledger.version), self.audit.heads.get(ledger.version)
        if not ledger.commit or head in (None, ledger.commit) or commit in {one.key for one in self.audit.damage}:
            return
        self.found.add("log", commit, f"is not the commit that {key} names", remedy=_LOG_REMEDY)

    def _compare(self, key: str, ledger: Ledger) -> None:
        """Compare a ledger with the table. It is no damage that rows were retired, are recorded as lost, or came late."""
        snapshot = self.there.snapshot
        oldest = min(
            (one.date for one in self.there.live), default=datetime.date.max
        )  # retention takes the oldest dates
        if ledger.date < oldest or (self._since is not None and ledger.date < self._since):
            return
        files = [one for one in self.there.live if one.date == ledger.date]
        found = compare(ledger, files)
        known = (f"logs/date={ledger.date}/", "journal/")
        # A repair that writes the log anew leaves rows to the journal that are there.
        waiting = found.doubtful and found.waits(self.journal.waiting(snapshot))
        if found.doubtful and not waiting and not any(lost.startswith(known) for lost in snapshot.lost):
            what = f"does not add up with the table: {found.what}"
            self.found.add("dates", key, what, rows=found.missing or None, remedy=_TAMPERED)
        elif found.what:
            why = "rows are in the journal" if waiting else "rows are recorded as lost"
            why = why if found.doubtful else "rows came after it was written"
            self.found.notes.append(f"{key} does not add up with the table, {why}: {found.what}")

    async def _check_index(self) -> None:
        """Check that the objects of the index prove themselves. What was deleted of it is no damage."""
        for key, what, damaged in await check_index(self.store, deep=self._deep):
            if damaged:
                self.found.add("index", key, what, rows=0, remedy=INDEX_REMEDY)
            else:
                self.found.notes.append(f"{key} is not read: {what}")

    def _check_losses(self) -> None:
        """Name what the log records as lost; what no operator has accepted is damage."""
        snapshot = self.there.snapshot
        self.found.losses = [
            Loss(key, rows or None, key in snapshot.accepted) for key, rows in sorted(snapshot.lost.items())
        ]
        for loss in self.found.losses:
            if not loss.accepted:
                self.found.add("journal", loss.key, "is lost", rows=loss.rows, remedy=f"{REPAIR} accepts that")


def _explained(lost: Lanes, gap: Gap) -> bool:
    return not any(lanes_missing(lost, gap.app_id, gap.first, gap.last))
