"""The upkeep of the index: objects of a date that is over become few, those that nobody needs go, and old files get theirs.

::

    list index/ -> snapshot -> of each date: heads -> which objects are needed -> several of a date that is over: join them,
                                                      and in the place of a damaged one facts that are made anew
                                                   -> one that is not needed, and old: delete it

An object is needed when it has a live file that no newer object has. Those that are not needed, and are older than
``keep_removed``, are deleted on a fresh and intact snapshot, once the objects that replace them are as old.

Several processes may do this at once, be stopped anywhere, and do it again: two joined objects of the same files are as good as
one, and the older of them is deleted later. Nothing here may lose rows, for no answer depends on the index. An object that
cannot be read is left alone, because a newer logsink may have written it; ``logsink verify`` names those that are damaged.
"""

from __future__ import annotations

import asyncio
import datetime
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import pyarrow as pa

from logsink import telemetry
from logsink.archive import proof
from logsink.archive.compaction import Sizes, end_of_date, plan
from logsink.archive.concurrency import run_concurrently
from logsink.archive.counts import (
    decode_counts,
    encode_counts,
    fetch_counts_end,
    read_counts_head,
    union_counts,
)
from logsink.archive.facts import Facts, NewObject, new_name, put_objects
from logsink.archive.file import NewFile
from logsink.archive.log import DeltaLog
from logsink.archive.merge import Input, Unreadable
from logsink.archive.snapshot import DataFile, Snapshot
from logsink.damage import Damage
from logsink.errors import FormatError, MediumError, NotFound
from logsink.index import (
    COUNTS,
    FILTERS,
    HEAD_READ,
    INDEX,
    decode_object,
    encode_object,
    head_size,
    index_date,
    index_key,
    read_head,
)
from logsink.parse import ROWS_SCHEMA
from logsink.platform.threads import background_thread
from logsink.store import Bytes, Entry, Store

MOST_JOINED = 256 << 20
"""Most bytes of objects that are joined to one. They are in memory together."""

ENOUGH_ROWS = 1 << 14
"""Rows from which on a file that was not merged is worth an index although its date is not over."""

_HEADS = 16
"""Most heads read at the same time."""

_READS = 4
"""Most whole objects read at the same time."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class FileIdentity:
    """How an object describes a data file: facts about it are facts about exactly this file.

    ``uncounted``: the object says that the file has no counts, because they would not be small.
    """

    size: int
    tail: str
    uncounted: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, file: DataFile) -> FileIdentity:
        return cls(file.size, dict(file.tags).get(proof.TAIL_TAG, ""))


class Kind(ABC):
    """A kind of objects about data files. ``name``: what their keys end with."""

    name: str

    @abstractmethod
    async def files(self, store: Store, entry: Entry) -> Mapping[str, FileIdentity]:
        """Return the data files, by path, that the object is about. ``FormatError``, ``NotFound``."""

    @abstractmethod
    def check(self, key: str, body: bytes) -> None:
        """Read all of an object. ``FormatError`` when it is damaged."""

    @abstractmethod
    def join(
        self, date: datetime.date, store: str, bodies: Mapping[str, bytes], chosen: Mapping[str, str]
    ) -> NewObject:
        """Return one object about the files in ``chosen``: of each, by path, the key of the object that has its facts.

        ``bodies``: the objects by key. ``store``: the id of the store. ``FormatError`` when one of them is damaged.
        """


class Filters(Kind):
    """Index objects: the filters of data files, and their tails."""

    name = FILTERS

    async def files(self, store: Store, entry: Entry) -> Mapping[str, FileIdentity]:
        end = await store.get(entry.key, max(0, entry.size - HEAD_READ))
        if (size := head_size(entry.key, end)) > len(end):
            end = await store.get(entry.key, max(0, entry.size - size))
        head = read_head(entry.key, end, entry.size)
        return {one.path: FileIdentity(one.size, one.tail, not one.counts) for one in head.sections}

    def check(self, key: str, body: bytes) -> None:
        decode_object(key, body)

    def join(
        self, date: datetime.date, store: str, bodies: Mapping[str, bytes], chosen: Mapping[str, str]
    ) -> NewObject:
        decoded = [(key, one) for key, body in bodies.items() for one in decode_object(key, body)]
        sections = [one for key, one in decoded if chosen.get(one.said.path) == key]
        return NewObject(
            index_key(date, new_name(), FILTERS),
            encode_object(date, store, sorted(sections, key=lambda one: one.said.path)),
        )


class CountsOfFiles(Kind):
    """Objects with counts of data files."""

    name = COUNTS

    async def files(self, store: Store, entry: Entry) -> Mapping[str, FileIdentity]:
        head = read_counts_head(entry.key, await fetch_counts_end(store.get, entry.key, entry.size))
        return {path: FileIdentity(counted.size, counted.tail) for path, counted in head.files.items()}

    def check(self, key: str, body: bytes) -> None:
        decode_counts(key, body)

    def join(
        self, date: datetime.date, store: str, bodies: Mapping[str, bytes], chosen: Mapping[str, str]
    ) -> NewObject:
        parts = [
            decode_counts(key, body).only([path for path, of in chosen.items() if of == key])
            for key, body in bodies.items()
        ]
        return NewObject(index_key(date, new_name(), COUNTS), encode_counts(union_counts(parts)))


KINDS: Sequence[Kind] = (Filters(), CountsOfFiles())


class Joined(NamedTuple):
    """Objects of a date that were joined: how many, and of how many files and bytes the one is that they became."""

    date: datetime.date
    objects: int
    files: int
    nbytes: int


class Tended(NamedTuple):
    """What one look at the index did. ``removed``: objects that nobody needs any more, deleted."""

    joined: Sequence[Joined] = ()
    removed: int = 0


class Indexed(NamedTuple):
    """Data files that were indexed: how many, their rows; those that could not be read."""

    files: int = 0
    rows: int = 0
    damage: Sequence[Damage] = ()


@dataclass
class IndexProgress:
    """How far indexing has come, in rows."""

    total: int = 0
    done: int = 0


class Settings(Sizes, Protocol):
    """The settings of section [maintain] that this uses, in seconds and bytes."""

    @property
    def keep_removed(self) -> float: ...


class Choice(NamedTuple):
    """Which objects of a date are needed.

    needed   the oldest first, each with the live files that no newer object has
    others   those that are not needed
    """

    needed: Mapping[Entry, Collection[str]]
    others: Sequence[Entry]


class Indexing:
    """The upkeep of the index by one process. ``close`` it at the end."""

    def __init__(self, log: DeltaLog, settings: Settings) -> None:
        self._log, self._settings = log, settings
        self._thread = background_thread("index")
        self._heads: dict[str, Mapping[str, FileIdentity] | None] = {}
        """What objects are about, by key; None for those that cannot be read. Of the last listing."""
        self._damaged: set[str] = set()
        """Keys of objects that were found damaged when they were to be joined: that is not tried again."""

    def close(self) -> None:
        """End the thread, without waiting for what cancelling left behind. No method may be called afterwards."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def tend(self) -> Tended:
        """Join the objects of dates that are over, and delete those that nobody needs. Cancelling is safe."""
        now = await self._log.now()
        listed = [entry async for entry in self._log.store.list(INDEX)]
        self._heads = {key: head for key, head in self._heads.items() if key in {entry.key for entry in listed}}
        snapshot = await self._log.load()
        self._log.refuse_damage(snapshot, "tend the index")
        if snapshot.version < 0:  # without a log, nothing tells which files count
            return Tended()
        over, joined, old = self._over(snapshot, now), list[Joined](), list[tuple[Kind, Sequence[Entry]]]()
        for kind, date, entries in _by_date(listed):
            choice = await self._choose(kind, entries, snapshot)
            if date in over:
                intact = {entry: paths for entry, paths in choice.needed.items() if entry.key not in self._damaged}
                made = [await self._join(kind, date, part, snapshot.files) for part in _parts(intact)]
                joined += [one for one in made if one is not None]
            if self._replaced(choice, now):
                old.append((kind, entries))
        return Tended(tuple(joined), await self._remove(old, now) if old else 0)

    async def index_missing(self, progress: IndexProgress) -> Indexed:
        """Index the live files whose filter or counts are not there, of dates that are over or of ``ENOUGH_ROWS`` rows.

        The newest come first.

        After each file its objects are there, so that this may be stopped and goes on where it was.
        """
        now, done, damage = await self._log.now(), Indexed(), list[Damage]()
        snapshot = await self._log.load()
        self._log.refuse_damage(snapshot, "index data files")
        missing = await self._missing(snapshot, now)
        progress.total = sum(file.rows for file in missing)
        for file in missing:
            try:
                body = await self._log.store.get(file.key)
                objects = await self._run(partial(_objects_of, file, body, self._log.store_id))
                if objects and await put_objects(self._log.store, objects) == len(objects):
                    done = done._replace(files=done.files + 1, rows=done.rows + file.rows)
            except Unreadable as error:
                damage.append(Damage(file.key, f"cannot be indexed: {error.cause}", file.rows))
            except MediumError as error:
                damage.append(Damage(file.key, f"cannot be indexed: {error}", file.rows))
            except NotFound:
                if file.path in (await self._log.load()).files:
                    damage.append(Damage(file.key, "is missing", file.rows))
            progress.done += file.rows
        return done._replace(damage=tuple(damage))

    async def _missing(self, snapshot: Snapshot, now: float) -> list[DataFile]:
        listed = [entry async for entry in self._log.store.list(INDEX)]
        filtered, counted = [await self._known(kind, listed) for kind in KINDS]
        closed = now - self._settings.compact_after
        files = sorted(snapshot.files.values(), key=lambda file: (file.date, file.path), reverse=True)

        def is_known(file: DataFile) -> bool:
            this = (file.path, FileIdentity.of(file))
            return this in filtered and (this in counted or filtered[this])

        def is_worth_it(file: DataFile) -> bool:
            rows = file.known_rows or 0
            return rows >= ENOUGH_ROWS or (rows > 0 and end_of_date(file.date) <= closed)

        return [file for file in files if not is_known(file) and is_worth_it(file)]

    async def _known(self, kind: Kind, listed: Iterable[Entry]) -> Mapping[tuple[str, FileIdentity], bool]:
        """Return the files that objects of a kind are about, each with whether one of them says that it is ``uncounted``."""
        there = [entry for one, _, entries in _by_date(listed) if one is kind for entry in entries]
        known = dict[tuple[str, FileIdentity], bool]()
        for head in await run_concurrently([partial(self._files, kind, entry) for entry in there], _HEADS):
            for this in (head or {}).items():
                known[this] = known.get(this, False) or this[1].uncounted
        return known

    def _over(self, snapshot: Snapshot, now: float) -> set[datetime.date]:
        """Return the dates that are over and of which no files are to be merged."""
        closed = now - self._settings.compact_after
        due = plan(snapshot.files.values(), closed=closed, target=self._settings.target_file)
        merging = {group[0].date for group in due}
        dates = {file.date for file in snapshot.files.values()} - merging
        return {date for date in dates if end_of_date(date) <= closed}

    async def _choose(self, kind: Kind, entries: Sequence[Entry], snapshot: Snapshot) -> Choice:
        """Return which objects of a date are needed. The only object of a date with live files is not even read."""
        date = index_date(entries[0].key, kind.name)
        live = {file.path: FileIdentity.of(file) for file in snapshot.files.values() if file.date == date}
        if not live:
            return Choice({}, entries)
        if len(entries) == 1:
            return Choice({entries[0]: ()}, ())
        heads = await run_concurrently([partial(self._files, kind, entry) for entry in entries], _HEADS)
        needed, others, seen = dict[Entry, Collection[str]](), list[Entry](), set[str]()
        newest_first = sorted(zip(entries, heads, strict=True), key=lambda one: one[0][::-1], reverse=True)
        for entry, head in newest_first:
            if head is None:
                continue
            mine = {path for path, described in head.items() if live.get(path) == described} - seen
            seen |= mine
            if mine:
                needed[entry] = mine
            else:
                others.append(entry)
        return Choice(dict(reversed(needed.items())), others)

    async def _files(self, kind: Kind, entry: Entry) -> Mapping[str, FileIdentity] | None:
        """Return the files that an object is about; None when it cannot be read."""
        if entry.key not in self._heads:
            try:
                self._heads[entry.key] = await kind.files(self._log.store, entry)
            except FormatError as error:
                telemetry.INDEX_FAILED.log(error=error)
                self._heads[entry.key] = None
            except NotFound:  # another process has deleted it
                self._heads[entry.key] = None
        return self._heads[entry.key]

    async def _join(
        self, kind: Kind, date: datetime.date, part: Mapping[Entry, Collection[str]], files: Mapping[str, DataFile]
    ) -> Joined | None:
        """Put one object in the place of several; return None where that cannot be. ``files``: the live ones, by path."""
        store, keys = self._log.store, [entry.key for entry in part]
        chosen = {path: entry.key for entry, paths in part.items() for path in paths}
        try:
            read = await run_concurrently([partial(self._body, key) for key in keys], _READS)
            bodies = dict(zip(keys, read, strict=True))
            try:
                new = await self._run(partial(kind.join, date, self._log.store_id, bodies, chosen))
            except FormatError:
                bodies, chosen = await self._mended(kind, bodies, chosen, files)
                if len(bodies) < 2:
                    return None
                new = await self._run(partial(kind.join, date, self._log.store_id, bodies, chosen))
        except NotFound:
            return None
        if not await put_objects(store, [new]):
            return None
        done = Joined(date, len(part), len(chosen), len(memoryview(new.body)))
        telemetry.INDEXED.log(date=date, objects=done.objects, files=done.files, bytes=done.nbytes)
        return done

    async def _body(self, key: str) -> bytes:
        """Return an object; nothing of one that the disk cannot read, which is as damaged as others."""
        try:
            return await self._log.store.get(key)
        except MediumError:
            return b""

    async def _mended(
        self, kind: Kind, bodies: Mapping[str, bytes], chosen: Mapping[str, str], files: Mapping[str, DataFile]
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        """Return ``bodies`` and ``chosen`` with new objects, made from the data files, in the place of damaged ones.

        A file that cannot be read is in neither; then the damaged object stays, and is not joined.
        """
        kept, of = dict(bodies), dict(chosen)
        for key, body in bodies.items():
            try:
                await self._run(partial(kind.check, key, body))
                continue
            except FormatError as error:
                telemetry.INDEX_FAILED.log(error=error)
            self._damaged.add(key)
            del kept[key]
            for path in [path for path, source in chosen.items() if source == key]:
                del of[path]
                if (new := await self._made_anew(kind, files[path])) is not None:
                    kept[new.key], of[path] = bytes(memoryview(new.body)), new.key
        return kept, of

    async def _made_anew(self, kind: Kind, file: DataFile) -> NewObject | None:
        """Return the object of a kind about a data file, which is read; None where that cannot be."""
        try:
            objects = await self._run(
                partial(_objects_of, file, await self._log.store.get(file.key), self._log.store_id)
            )
        except (Unreadable, MediumError, NotFound):
            return None
        return next((one for one in objects if index_date(one.key, kind.name) is not None), None)

    def _replaced(self, choice: Choice, now: float) -> list[Entry]:
        """Return the objects of a date that are not needed, when they and what replaces them are old enough."""
        old = now - self._settings.keep_removed
        if any(entry.modified >= old for entry in choice.needed):
            return []
        return [entry for entry in choice.others if entry.modified < old]

    async def _remove(self, old: Iterable[tuple[Kind, Sequence[Entry]]], now: float) -> int:
        """Delete what nobody needs among the objects of these dates, on a snapshot that was read anew."""
        snapshot = await self._log.load_anew()
        self._log.refuse_damage(snapshot, "delete objects of the index")
        if snapshot.version < 0:
            return 0
        keys = list[str]()
        for kind, entries in old:
            keys += [entry.key for entry in self._replaced(await self._choose(kind, entries, snapshot), now)]
        if keys:
            await self._log.store.delete(keys)
            telemetry.INDEX_REMOVED.log(objects=len(keys))
        return len(keys)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _by_date(listed: Iterable[Entry]) -> list[tuple[Kind, datetime.date, Sequence[Entry]]]:
    """Return the objects of each kind and date."""
    found = defaultdict[tuple[int, datetime.date], list[Entry]](list)
    for entry in listed:
        for number, kind in enumerate(KINDS):
            if (date := index_date(entry.key, kind.name)) is not None:
                found[number, date].append(entry)
    return [(KINDS[number], date, entries) for (number, date), entries in sorted(found.items())]


def _parts(needed: Mapping[Entry, Collection[str]]) -> list[Mapping[Entry, Collection[str]]]:
    """Return groups of two objects and more that become one each."""
    parts, size = [dict[Entry, Collection[str]]()], 0
    for entry, paths in needed.items():
        if 2 * entry.size > MOST_JOINED:
            continue
        if size + entry.size > MOST_JOINED:
            parts.append({})
            size = 0
        parts[-1][entry] = paths
        size += entry.size
    return [part for part in parts if len(part) > 1]


def _objects_of(file: DataFile, body: Bytes, store: str) -> Sequence[NewObject]:
    """Return the objects about a data file. ``Unreadable`` when it cannot be read."""
    source, facts = Input(file.path, bytes(body), file.rows, file.tags), Facts(store)
    for group in range(source.groups):
        facts.add(source.read(group, ROWS_SCHEMA.names))
    return facts.objects(NewFile(file, pa.py_buffer(body)))
