"""What the index says of a plan's data files: which cannot hold an answer, and which row groups of the others can: ``Index``.

Only a filter with keys (``request.keys``) asks it. The objects of the index are listed while the plan is made. Then, date by
date: the end of each object, which has its head; the coarse buckets of the keys; and where several files are to be read, their
tails. These reads run side by side, and as far ahead of the files as a limit makes likely to be needed.

An object that is missing, damaged, of a newer format or of another store says nothing, and neither does a section of a file
that the table does not have in just this form: these files are read as if there were no index. So no error of the index is
ever one of the query.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from logsink.archive import DataFile, tail_tag
from logsink.errors import FormatError, StoreError
from logsink.index import FILTERS, Section, index_date
from logsink.query.read.index_object import IndexObject, Seen, open_object
from logsink.query.read.listing import list_index
from logsink.query.read.plan import Plan, file_bounds
from logsink.query.request import Between, Filter, Requirement
from logsink.store import Entry, Store

READS: Final = 32
"""Reads of the index that run at once; each is small."""

Objects = Mapping[datetime.date, Sequence[Entry]]
"""The objects of the index that have filters, by date."""


class _Answer(NamedTuple):
    """What the index says of the files of a date, and the objects that say so; both by path."""

    seen: Mapping[str, Seen]
    sources: Mapping[str, IndexObject]


def filters_of(listed: Iterable[Entry]) -> Objects:
    """Return those of the listed objects that have filters."""
    found: dict[datetime.date, list[Entry]] = {}
    for entry in listed:
        date = index_date(entry.key, FILTERS)
        if date is not None:
            found.setdefault(date, []).append(entry)
    return found


class Index:
    """The index, asked for the files of ``plan`` in the order in which they are read. Close it in the end.

    With ``limited`` the dates are asked as they are needed, and some ahead: the more, the more were needed. ``descending``: the
    newest dates come first.
    """

    def __init__(
        self,
        store: Store,
        objects: Objects,
        plan: Plan,
        requirements: Sequence[Requirement],
        *,
        descending: bool = False,
        limited: bool = False,
    ) -> None:
        self._store, self._objects, self._requirements = store, objects, requirements
        self._store_id, self._limited = plan.snapshot.store, limited
        self._slots = asyncio.Semaphore(READS)
        self._files: dict[datetime.date, dict[str, DataFile]] = {}
        for file in plan.files:
            self._files.setdefault(file.date, {})[file.path] = file
        self._dates = sorted(self._files, reverse=descending)
        self._places = {date: place for place, date in enumerate(self._dates)}
        self._answers: list[asyncio.Task[_Answer]] = []
        self._opened: list[IndexObject] = []

    async def seen(self, file: DataFile) -> Seen | None:
        """Return what the index says of a file of the plan; None where it says nothing."""
        return (await self._answer(file.date)).seen.get(file.path)

    async def tail(self, file: DataFile) -> bytes | None:
        """Return the tail of a file as the index has it, not proved; None where it is better read from the file."""
        source = (await self._answer(file.date)).sources.get(file.path)
        return None if source is None else await source.tail(file.path)

    async def aclose(self) -> None:
        """End all reads."""
        for task in self._answers:
            task.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        for each in self._opened:
            await each.aclose()

    async def _answer(self, date: datetime.date) -> _Answer:
        place = self._places[date]
        begun, wanted = len(self._answers), 2 * place + 2 if self._limited else len(self._dates)
        self._answers += [asyncio.ensure_future(self._ask(each)) for each in self._dates[begun:wanted]]
        return await asyncio.shield(self._answers[place])

    async def _ask(self, date: datetime.date) -> _Answer:
        """Return what the objects of a date say of its files."""
        opened = await asyncio.gather(*map(self._open, self._objects.get(date, ())))
        assigned = _assigned([each for each in opened if each is not None], self._files[date])
        seen: dict[str, Seen] = {}
        sources: dict[str, IndexObject] = {}
        for each, found in zip(assigned, await asyncio.gather(*map(self._look_up, assigned.items())), strict=True):
            seen.update(found)
            sources.update(dict.fromkeys(found, each))
        return _Answer(seen, sources)

    async def _open(self, entry: Entry) -> IndexObject | None:
        """Return an object; None where it is of no use."""
        try:
            opened = await open_object(self._get, entry)
        except (FormatError, StoreError):
            return None
        if opened.head.store and self._store_id and opened.head.store != self._store_id:
            return None
        self._opened.append(opened)
        return opened

    async def _look_up(self, asked: tuple[IndexObject, Sequence[int]]) -> Mapping[str, Seen]:
        each, sections = asked
        try:
            return await each.look_up(sections, self._requirements)
        except (FormatError, StoreError):
            return {}

    async def _get(self, key: str, start: int, end: int) -> bytes:
        async with self._slots:
            return await self._store.get(key, start, end)


def bytes_to_read(files: Iterable[DataFile], filter: Filter) -> float:
    """Return about how many bytes of files a query can have to read: of each, the part of its time that the filter leaves."""
    spans = [one for one in filter.conditions if isinstance(one, Between) and one.column == "time"]
    total = 0.0
    for file in files:
        low, high, _ = file_bounds(file, "time")
        share = 1.0
        if isinstance(low, int) and isinstance(high, int) and high > low:
            first = max([low, *(one.low for one in spans if one.low is not None)])
            last = min([high, *(one.high for one in spans if one.high is not None)])
            share = max(0, last - first) / (high - low)
        total += share * file.size
    return total


def stored_bytes(plan: Plan, filter: Filter) -> float:
    """Return about how many bytes of the store the rows take that meet a filter on time: journal and data files of a plan."""
    return bytes_to_read(plan.files, filter) + sum(segment.size for segment in plan.segments)


class Excluded(NamedTuple):
    """What the index leaves unread of a plan: files, and row groups of the ``others``, of which it knows ``groups``."""

    files: int
    others: int
    row_groups: int
    groups: int


async def excluded(store: Store, plan: Plan, filter: Filter) -> Excluded | None:
    """Return what the index leaves unread of a plan; None when it has no say: there is none, or the filter has no keys."""
    keys = filter.index_keys()
    objects = filters_of(await list_index(store)) if keys else {}
    if not objects:
        return None
    async with aclosing(Index(store, objects, plan, keys)) as index:
        seen = [await index.seen(file) for file in plan.files]
    known = [one for one in seen if one is not None]
    left = [one for one in known if one.groups]
    groups = sum(one.total for one in left)
    return Excluded(
        len(known) - len(left),
        len(seen) - len(known) + len(left),
        groups - sum(len(one.groups) for one in left),
        groups,
    )


def _assigned(objects: Sequence[IndexObject], files: Mapping[str, DataFile]) -> dict[IndexObject, list[int]]:
    """Return which sections are asked of which objects: each file once, of few objects."""
    matching = {
        each: [number for number, section in enumerate(each.head.sections) if _matches(section, files)]
        for each in objects
    }
    assigned, done = dict[IndexObject, list[int]](), set[str]()
    for each in sorted(objects, key=lambda each: len(matching[each]), reverse=True):
        sections = {each.head.sections[number].path: number for number in matching[each]}
        if left := [number for path, number in sections.items() if path not in done]:
            assigned[each] = left
            done.update(sections)
    return assigned


def _matches(section: Section, files: Mapping[str, DataFile]) -> bool:
    """Return whether a section is about one of these files as the table has it now."""
    file = files.get(section.path)
    if file is None or file.size != section.size:
        return False
    try:
        tag = tail_tag(file.tags)
    except FormatError:
        return False
    return section.tail == ("" if tag is None else str(tag))
