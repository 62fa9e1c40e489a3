"""One object of the index, read in parts: its head, the coarse buckets of some keys, tails of data files: ``IndexObject``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any, Final, NamedTuple

from logsink.errors import FormatError, StoreError
from logsink.index import HEAD_READ, Head, head_size, read_head
from logsink.query.request import Key, Requirement
from logsink.store import Entry

WHOLE: Final = 256 << 10
"""Bytes of an object that is read whole, at once."""

GAP: Final = 32 << 10
"""Parts closer together than this are fetched in one read: two coarse buckets have that many bytes."""

Fetch = Callable[[str, int, int], Coroutine[Any, Any, bytes]]
"""Returns the bytes ``[start, end)`` of the object at a key."""

Span = tuple[int, int]
"""First byte, and the byte behind the last."""


class Seen(NamedTuple):
    """What the index says of a data file: of its ``total`` row groups, only ``groups`` can have rows that meet the filter."""

    groups: frozenset[int]
    total: int


async def open_object(fetch: Fetch, entry: Entry) -> IndexObject:
    """Read the head of an object. ``FormatError`` when it does not prove itself, or is of a newer format."""
    start = 0 if entry.size <= WHOLE else entry.size - HEAD_READ
    end = await _fetch_all(fetch, entry.key, (start, entry.size))
    if (needed := head_size(entry.key, end)) > len(end):
        start = max(0, entry.size - needed)
        end = await _fetch_all(fetch, entry.key, (start, entry.size))
    return IndexObject(fetch, read_head(entry.key, end, entry.size), start, end)


class IndexObject:
    """An object with its ``head``, and what was fetched of it with that: the bytes from ``start`` on, to its end."""

    def __init__(self, fetch: Fetch, head: Head, start: int, end: bytes) -> None:
        self.head = head
        self._fetch, self._start, self._end = fetch, start, end
        self._tails: asyncio.Task[Mapping[str, bytes]] | None = None
        self._hits: Sequence[int] = ()

    async def look_up(self, sections: Sequence[int], requirements: Sequence[Requirement]) -> dict[str, Seen]:
        """Return what these sections say of rows that meet all requirements, by path.

        ``FormatError`` when a bucket does not prove itself.
        """
        keys = {key: key.number for each in requirements for keys in each for key in keys}
        blocks = await self._blocks(keys)
        seen = {}
        for number in sections:
            section = self.head.sections[number]
            left = section.all_blocks
            for requirement in requirements:
                left &= reduce(or_, (reduce(and_, (blocks[key][number] for key in keys)) for keys in requirement))
            seen[section.path] = Seen(frozenset(section.row_groups(left)), section.groups)
        self._hits = [number for number in sections if seen[self.head.sections[number].path].groups]
        return seen

    async def tail(self, path: str) -> bytes | None:
        """Return the tail of a data file that was found in ``look_up``, not proved; None where it has to be read itself.

        The tails of all of these are read together.
        """
        if self._tails is None:
            self._tails = asyncio.ensure_future(self._read_tails())
        return (await asyncio.shield(self._tails)).get(path)

    async def aclose(self) -> None:
        """End its reads."""
        if self._tails is not None:
            self._tails.cancel()
            await asyncio.gather(self._tails, return_exceptions=True)

    async def _blocks(self, keys: Mapping[Key, int]) -> dict[Key, list[int]]:
        """Return for each key the blocks of each section that may have it."""
        head = self.head
        buckets = sorted({head.bucket(number) for number in keys.values()})
        parts = await self._parts([head.span(bucket) for bucket in buckets])
        slices = {bucket: head.slices(part) for bucket, part in zip(buckets, parts, strict=True)}
        return {key: head.find_in(number, slices[head.bucket(number)]) for key, number in keys.items()}

    async def _read_tails(self) -> Mapping[str, bytes]:
        stored = [section for number in self._hits if (section := self.head.sections[number]).at[1] and section.tail]
        spans = sorted((section.at[0], section.at[0] + section.at[1]) for section in stored)
        if len(_together(spans)) > len(stored) // 2:
            return {}
        try:
            parts = dict(zip(spans, await self._parts(spans), strict=True))
            return {each.path: each.tail_of(bytes(parts[each.at[0], each.at[0] + each.at[1]])) for each in stored}
        except (FormatError, StoreError):
            return {}

    async def _parts(self, spans: Sequence[Span]) -> list[memoryview]:
        """Return parts of the object, which are given in order."""
        held = {(self._start, self._start + len(self._end)): self._end}
        missing = _together([span for span in spans if span[0] < self._start])
        fetched = await asyncio.gather(*(_fetch_all(self._fetch, self.head.key, span) for span in missing))
        held.update(zip(missing, fetched, strict=True))
        return [_part(held, span) for span in spans]


def _part(held: Mapping[Span, bytes], span: Span) -> memoryview:
    start, end = span
    first, body = next((at[0], body) for at, body in held.items() if at[0] <= start and end <= at[1])
    return memoryview(body)[start - first : end - first]


async def _fetch_all(fetch: Fetch, key: str, span: Span) -> bytes:
    """Fetch a part of an object. ``FormatError`` when it is shorter than it was."""
    start, end = span
    body = await fetch(key, start, end)
    if len(body) != end - start:
        raise FormatError(f"cannot read index object {key}", f"it ends at byte {start + len(body)} of {end}")
    return body


def _together(spans: Sequence[Span]) -> list[Span]:
    """Return spans, which are in order, with those as one that are closer together than ``GAP``."""
    found: list[Span] = []
    for start, end in spans:
        if found and start - found[-1][1] <= GAP:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
