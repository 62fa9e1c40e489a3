"""Compaction: the small files of hours and days that are over are merged into few files of about ``target_file`` bytes.

::

    snapshot -> plan -> GET the inputs -> merge (thread) -> inputs still live? -> PUT the output, and facts about it
             -> one commit: remove, add

Every row is rewritten about twice: when its hour is over, with the other files of that hour, and when its date (UTC, of
``received``) is over. A merge only takes place when it makes the file of each row half as large again, so that a few late rows
do not have everything rewritten. One merge makes one file, from inputs that are neighbours in time.

No row is merged unproved: each input must match its checksums, and the digests of the output's rows must be the sum of those of
its inputs. An input that does not is left alone, and named in the log.

Nothing here is safe because of a clock or a claim. Any number of processes may merge the same files: of commits that remove
the same file only the earliest counts (``log``), and an output whose commit lost is deleted later, because one of its inputs
has left the table (``retention``). Each process begins a random while after the hour, so that they seldom do the same work.
"""

from __future__ import annotations

import asyncio
import datetime
import random
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import orjson
import pyarrow as pa

from logsink import telemetry
from logsink.archive import digest
from logsink.archive.concurrency import run_concurrently
from logsink.archive.facts import Facts, NewObject, put_objects
from logsink.archive.file import HELD, INPUTS, NAME, FileWriter, NewFile
from logsink.archive.lanes import encode as lanes_json
from logsink.archive.lanes import union
from logsink.archive.log import Action, Add, DeltaLog, Remove
from logsink.archive.merge import Input, OfNewer, Unreadable, merge
from logsink.archive.snapshot import DataFile, Snapshot
from logsink.damage import Damage
from logsink.errors import Conflict, FormatError, MediumError, NotFound
from logsink.platform.threads import background_thread

ROWS = 6 << 20
"""Most rows of a merged file: the times of all of them are sorted in memory."""

FILES = 256
"""Most inputs of one merge."""

_READS = 4
"""Most inputs fetched at the same time."""

_STAGGER = 1 / 6
"""Most that a process waits longer than others, as a share of ``compact_after``."""

_HOUR = 3600
_EPOCH = datetime.date(1970, 1, 1)


class Sizes(Protocol):
    """The settings of section [maintain] that compaction uses, in seconds and bytes."""

    @property
    def compact_after(self) -> float: ...
    @property
    def target_file(self) -> int: ...
    @property
    def index(self) -> bool:
        """Whether merged files are indexed (``facts``)."""


class Compacted(NamedTuple):
    """A merge: the commit's version, the number of files merged into ``path``, their rows, and bytes before and after."""

    version: int
    files: int
    path: str
    rows: int
    before: int
    after: int


Group = tuple[DataFile, ...]


def plan(files: Iterable[DataFile], *, closed: float, target: int, without: Collection[str] = ()) -> list[Group]:
    """Return groups of files, each to be merged into one file. Paths in ``without`` and files of other programs are left alone.

    Hours and dates are over when they ended by ``closed`` (seconds since the epoch). ``target``: bytes of a merged file.
    """
    small: dict[tuple[datetime.date, int], list[DataFile]] = defaultdict(list)
    for file in files:
        if 2 * file.size < target and file.path not in without and NAME.fullmatch(file.path):
            part = _part(file, closed)
            if part is not None and 2 * file.rows < ROWS:
                small[file.date, part].append(file)
    groups = (_worthwhile(group) for key in sorted(small) for group in _neighbours(small[key], target))
    return [group for group in groups if len(group) > 1]


def end_of_date(date: datetime.date) -> float:
    """Return the end of a date (UTC) in seconds since the epoch."""
    return ((date - _EPOCH).days + 1) * 24 * _HOUR


def _part(file: DataFile, closed: float) -> int | None:
    """Return the part of its date that the file is merged with: -1 all of it, else an hour; None while that is not over."""
    try:
        newest = file.stats.maximum.get("received")
    except FormatError:
        return None
    if not isinstance(newest, int):
        return None
    if end_of_date(file.date) <= closed:
        return -1
    hour = newest // (_HOUR * 1_000_000)
    return hour if (hour + 1) * _HOUR <= closed else None


def _neighbours(files: Iterable[DataFile], target: int) -> Iterator[list[DataFile]]:
    """Yield the files in order of time, in groups that are large enough for one merged file."""
    group, size, rows = list[DataFile](), 0, 0
    for file in sorted(files, key=lambda file: (_begins(file), file.path)):
        if group and (size + file.size > target or rows + file.rows > ROWS or len(group) == FILES):
            yield group
            group, size, rows = [], 0, 0
        group.append(file)
        size, rows = size + file.size, rows + file.rows
    yield group


def _begins(file: DataFile) -> int:
    first = file.stats.minimum.get("time")
    return first if isinstance(first, int) else 0


def _worthwhile(group: Sequence[DataFile]) -> Group:
    """Return the group without its largest files, until none is larger than twice all the others."""
    by_size = sorted(group, key=lambda file: file.size)
    total = sum(file.size for file in group)
    while by_size and 3 * by_size[-1].size > 2 * total:
        total -= by_size.pop().size
    kept = set(by_size)
    return tuple(file for file in group if file in kept)


class _Merged(NamedTuple):
    """A merged file, and objects with facts about it."""

    new: NewFile
    objects: Sequence[NewObject]


class _Unequal(RuntimeError):
    """Raised when the rows of a merged file are not those of its inputs' digests: one of these is wrong, or logsink is."""


class Compactor:
    """Merges files for one process, one group at a time, in a thread of its own.

    ``rest``: how long that thread sleeps after each run, as a multiple of the CPU time that the run took.
    """

    def __init__(
        self,
        log: DeltaLog,
        sizes: Sizes,
        *,
        rest: float = 0.0,
        uniform: Callable[[float, float], float] = random.uniform,
        choice: Callable[[Sequence[Group]], Group] = random.choice,
    ) -> None:
        self._log, self._sizes, self._rest, self._choice = log, sizes, rest, choice
        self._stagger = uniform(0, max(0.0, _STAGGER * sizes.compact_after))
        self._thread = background_thread("compact")
        self._passed: set[str] = set()
        self.damage: list[Damage] = []
        """Files that could not be merged because they are missing or damaged."""

    def close(self) -> None:
        """End the thread, without waiting for a merge that cancelling left behind. No method may be called afterwards."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def due(self, snapshot: Snapshot) -> list[Group]:
        """Return the groups that are due to be merged now."""
        if not self._plan(snapshot, self._log.here()):
            return []  # most often, and then the store's clock need not be asked
        return self._plan(snapshot, await self._log.now())

    def _plan(self, snapshot: Snapshot, now: float) -> list[Group]:
        closed = now - self._sizes.compact_after - self._stagger
        return plan(snapshot.files.values(), closed=closed, target=self._sizes.target_file, without=self._passed)

    async def step(self) -> Compacted | None:
        """Merge one of the groups that are due; return None when none is due.

        Raises ``Conflict`` when others have changed the table so that this merge cannot count: plan again. After an error of
        the store the outcome is unknown. Cancelling is safe.
        """
        merged = None
        while merged is None:  # None: a file cannot be read, so plan again without it
            snapshot = await self._log.load()
            self._log.refuse_damage(snapshot, "merge files")
            groups = await self.due(snapshot)
            if not groups:
                return None
            group = self._choice(groups)
            merged = await self._merge(group)
        new = merged.new
        snapshot = await self._log.load()
        if gone := next((file for file in group if file.path not in snapshot.files), None):
            raise Conflict(f"cannot merge files: {gone.path} has left the table meanwhile")
        await self._log.store.put(new.file.key, memoryview(new.body))
        await put_objects(self._log.store, merged.objects)
        actions: list[Action] = [Remove(file, data_change=False) for file in group]
        version = await self._log.commit(snapshot, [*actions, Add(new.file, data_change=False)], operation="OPTIMIZE")
        if new.file.path not in (await self._log.load()).files:
            raise Conflict(f"cannot find {new.file.path} in the table, where version {version} put it")
        done = Compacted(
            version, len(group), new.file.path, new.file.rows, sum(file.size for file in group), new.file.size
        )
        _report(done)
        return done

    async def _merge(self, group: Group) -> _Merged | None:
        """Return one file with the rows of the group; None when an input cannot be read, which is left alone from now on."""
        try:
            bodies = await run_concurrently([partial(self._log.store.get, file.key) for file in group], _READS)
        except (NotFound, MediumError) as error:
            if not await self._pass_over_unreadable(group):
                raise Conflict(f"cannot merge files: {error}") from error
            return None
        facts = Facts(self._log.store_id) if self._sizes.index else None
        stop, run = threading.Event(), partial(asyncio.get_running_loop().run_in_executor, self._thread)
        try:
            try:
                return await run(_merged, group, bodies, partial(self._pause, stop), facts)
            except _Unequal:
                for file in group:
                    await run(_check_digests, file, await self._log.store.get(file.key))
                raise  # no input is to blame: an error in logsink; nothing was stored
        except Unreadable as error:
            telemetry.COMPACTION_PASSED.log(error=error)
            self._passed.add(error.path)
            if not isinstance(error, OfNewer):  # which a receiver of that version merges
                what = f"cannot be merged: {error.cause}"
                self.damage += [Damage(file.key, what, file.rows) for file in group if file.path == error.path]
            return None
        finally:
            stop.set()

    async def _pass_over_unreadable(self, group: Group) -> bool:
        """Leave alone, from now on, those live files of the group that are gone, or that the disk cannot read.

        Return whether there is any.
        """
        snapshot, found = await self._log.load(), False
        for file in group:
            if file.path in snapshot.files:
                try:
                    await self._log.store.get(file.key)
                    continue
                except NotFound:
                    what = "is missing"
                except MediumError as error:
                    what = f"cannot be merged: {error}"
                found = True
                self._passed.add(file.path)
                self.damage.append(Damage(file.key, what, file.rows))
        return found

    def _pause(self, stop: threading.Event, worked: float) -> None:
        if stop.wait(self._rest * worked) or stop.is_set():
            raise Conflict("cannot merge files: the process is stopping")


def _merged(group: Group, bodies: list[bytes], pause: Callable[[float], None], facts: Facts | None = None) -> _Merged:
    """Return one file with the rows of the group. Empties ``bodies``: each is freed as soon as it is merged."""
    inputs, writer = list[Input](), FileWriter(facts)
    for file in group:
        inputs.append(Input(file.path, bodies.pop(0), file.rows, file.tags))
    lanes = [one.lanes for one in inputs if one.lanes is not None]
    held = union(*lanes) if len(lanes) == len(inputs) else {}  # a part of them would look like all
    digests = [one.digests for one in inputs if one.digests is not None]
    proved = len(digests) == len(inputs)
    merge(inputs, writer, pause)
    if proved and writer.digests != digest.total(digests):
        raise _Unequal("merged other rows than the digests of the inputs say")
    path = f"date={group[0].date}/compacted-{uuid.uuid4().hex[:16]}.parquet"
    said = {INPUTS: orjson.dumps([file.path for file in group])}
    if held:
        said[HELD] = lanes_json(held).encode()
    new = writer.finish(path, group[0].date, said, held)
    if new.file.rows != (expected := sum(file.rows for file in group)):
        raise RuntimeError(f"merged {new.file.rows} rows of {expected}")  # an error in logsink; nothing was stored
    objects = facts.objects(new) if facts is not None else []
    pa.default_memory_pool().release_unused()
    return _Merged(new, objects)


def _check_digests(file: DataFile, body: bytes) -> None:
    """Raise ``Unreadable`` when the rows of a file are not those of its digests."""
    Input(file.path, body, file.rows, file.tags).check_digests()


def _report(done: Compacted) -> None:
    """Count and log a merge."""
    telemetry.COMPACTIONS.inc()
    telemetry.COMPACTED_FILES.inc(done.files)
    telemetry.COMPACTED_BYTES.labels("before").inc(done.before)
    telemetry.COMPACTED_BYTES.labels("after").inc(done.after)
    telemetry.COMPACTION.log(version=done.version, files=done.files, path=done.path, rows=done.rows, bytes=done.after)
