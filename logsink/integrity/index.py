"""Objects of the index, checked. No answer depends on them; but damage to one means that a disk or somebody changes objects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from logsink.archive import (
    TAIL_TAG,
    decode_counts,
    fetch_counts_end,
    read_counts_head,
    read_tail,
    run_concurrently,
    tail_tag,
)
from logsink.errors import FormatError, NotFound
from logsink.index import (
    COUNTS,
    FILTERS,
    HEAD_READ,
    INDEX,
    INDEX_REMEDY,
    damaged,
    decode_object,
    head_size,
    index_date,
    read_head,
)
from logsink.store import Entry, Store

_PARQUET = b"PAR1"

_AT_ONCE = 16
"""Most heads read at the same time."""

_WHOLE_AT_ONCE = 3
"""Most objects read whole at the same time."""


class Objection(NamedTuple):
    """What is wrong with an object; ``damaged``: it does not prove itself. Otherwise it is one of a newer logsink."""

    key: str
    what: str
    damaged: bool


async def check_index(store: Store, *, deep: bool) -> list[Objection]:
    """Return what is wrong with the objects of the index, by key; with ``deep`` each byte of them is read."""
    listed = [entry async for entry in store.list(INDEX)]
    filters = [(_whole if deep else _head, entry) for entry in listed if index_date(entry.key, FILTERS) is not None]
    counts = [
        (_whole_counts if deep else _head_of_counts, entry)
        for entry in listed
        if index_date(entry.key, COUNTS) is not None
    ]
    checks = [
        partial(_check, store, read, entry) for read, entry in sorted([*filters, *counts], key=lambda one: one[1].key)
    ]
    found = await run_concurrently(checks, _WHOLE_AT_ONCE if deep else _AT_ONCE)
    return [one for one in found if one is not None]


async def _check(store: Store, read: Callable[[Store, Entry], Awaitable[None]], entry: Entry) -> Objection | None:
    try:
        await read(store, entry)
    except FormatError as error:
        return Objection(entry.key, error.why, error.hint == INDEX_REMEDY)
    except NotFound:  # upkeep has deleted it
        return None
    return None


async def _head(store: Store, entry: Entry) -> None:
    end = await store.get(entry.key, max(0, entry.size - HEAD_READ))
    if (size := head_size(entry.key, end)) > len(end):
        end = await store.get(entry.key, max(0, entry.size - size))
    read_head(entry.key, end, entry.size)


async def _whole(store: Store, entry: Entry) -> None:
    body = await store.get(entry.key)
    await asyncio.to_thread(_check_whole, entry.key, body)


def _check_whole(key: str, body: bytes) -> None:
    """Check all parts of an index object, and that they are all of it. ``FormatError``."""
    head = read_head(key, body, len(body))
    decode_object(key, body)
    end = head.buckets[-1]
    for section in head.sections:
        offset, length, raw = section.at
        if raw:
            tag = tail_tag(((TAIL_TAG, section.tail),))
            try:
                read_tail(section.path, section.tail_of(body[offset : offset + length]), tag)
            except FormatError as error:
                raise damaged(key, f"the tail of {section.path} is another one") from error
            end += length
    if head.buckets[0] or end + head_size(key, body) != len(body):
        raise damaged(key, "it has bytes that belong to nothing")


async def _head_of_counts(store: Store, entry: Entry) -> None:
    read_counts_head(entry.key, await fetch_counts_end(store.get, entry.key, entry.size))


async def _whole_counts(store: Store, entry: Entry) -> None:
    body = await store.get(entry.key)
    await asyncio.to_thread(decode_counts, entry.key, body)
    if body[: len(_PARQUET)] != _PARQUET:
        raise FormatError(f"cannot read counts {entry.key}", "it does not begin as a Parquet file", hint=INDEX_REMEDY)
