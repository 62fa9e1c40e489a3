"""A day of one line a second that nobody has merged: a file for each minute, and an hour's journal, on an S3 server."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np
import pytest

from logsink.archive import DeltaLog
from logsink.archive.checkpointing import checkpoint
from logsink.archive.rounds import Rounds
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.parse import Frames, Origin, Settings
from logsink.query import Filter, Holds, OneOf, Query, search
from logsink.query.read.tuning import FETCHES
from logsink.store import Store, open_store
from logsink.store.memory import MemoryStore
from tests.support.s3 import Server, s3_environment, s3_server
from tests.support.trips import Trips
from tests.unit.query.archives import START

__all__ = ["s3_environment", "s3_server"]

SECOND = 1_000_000
COLUMNS = ("time", "host", "app", "severity", "message")


def segment(name: SegmentName, first: int, count: int) -> Segment:
    """Lines of so many seconds from the second ``first`` of the day on, each read by itself."""
    lines = [
        f"<{n % 192}>1 2026-11-22T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z web-{n % 7} app{n % 3} 1 - - "
        f"request {n * 2654435761 % 2**32:08x} took {n % 1009} ms".encode()
        for n in range(first, first + count)
    ]
    frames = Frames(
        np.frombuffer(b"".join(lines), np.uint8),
        np.cumsum([0, *map(len, lines)]).astype(np.int32),
        np.zeros(count, np.int32),
        START + np.arange(first, first + count) * SECOND,
        np.zeros(count, np.int32),
        (Origin("10.0.0.1", None, "tcp"),),
    )
    return Segment(name, Settings(), frames)


async def day(store: Store, minutes: int, seconds: int) -> None:
    """Fill a store as a receiver does that commits each minute, and has not yet committed the last ``seconds``."""
    made = MemoryStore()
    log = DeltaLog(made)
    rounds, snapshot = Rounds(log), await log.create()
    for minute in range(minutes):
        name = SegmentName("receiver", 0, minute + 1)
        await rounds.archive(snapshot, {name: segment(name, minute * 60, 60)})
        snapshot = await log.load()
    await checkpoint(log, 1)
    rounds.close()
    for n in range(seconds):
        name = SegmentName("receiver", 0, minutes + 1 + n)
        await made.put(name.key, encode_segment(segment(name, minutes * 60 + n, 1)))
    entries, slots = [entry.key async for entry in made.list()], asyncio.Semaphore(FETCHES)

    async def copy(key: str) -> None:
        async with slots:
            await store.put(key, await made.get(key))

    await asyncio.gather(*map(copy, entries))


@pytest.mark.parametrize(("minutes", "seconds"), [(40, 40), pytest.param(1440, 3600, marks=pytest.mark.slow)])
async def test_each_file_costs_a_request_and_32_are_under_way(
    minutes: int, seconds: int, s3_environment: Server
) -> None:
    url = s3_environment.fresh_url()
    async with open_store(url) as store:
        await day(store, minutes, seconds)
        for filter, least in (
            (Filter(), minutes * 60 + seconds),
            (Filter((OneOf("host", ("web-3",)), Holds("message", ("took 97",)))), 1),
        ):
            trips, found = Trips(store), 0
            async with aclosing(search(trips, Query(filter, COLUMNS))) as tables:
                async for rows in tables:
                    found += rows.num_rows
            assert found >= least
            objects = [
                key for trip in trips.asked for key in trip if key.startswith(("logs/date=", "journal/receiver/"))
            ]
            assert len(objects) == len(set(objects)) == minutes + seconds  # one request each; two are allowed
            assert trips.requests <= len(objects) + 8  # listings, and the log behind its checkpoint
            assert trips.most_at_once == FETCHES
