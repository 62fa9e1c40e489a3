"""A fleet that numbers its messages, as the rows that a store has of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.flags import Flag
from logsink.query.columns import SCHEMA, as_rows

START = 1_795_305_600_000_000
"""2026-11-22T00:00:00Z in microseconds."""

STEP = 50_000
"""Microseconds from one message of a boot to the next."""


class Shipped(NamedTuple):
    """The rows in the order of their arrival, and the holes: boot, first and last number that is missing."""

    rows: pa.Table
    holes: list[tuple[str, int, int]]

    def parts(self, of: int) -> list[pa.Table]:
        """The rows as an archive has them: sorted by application and time, in row groups of so many rows."""
        order = pc.sort_indices(
            pa.table({"app": self.rows.column("app").cast(pa.string()), "time": self.rows.column("time")}),
            [("app", "ascending"), ("time", "ascending")],
        )
        rows = self.rows.take(order)
        return [rows.slice(at, of) for at in range(0, rows.num_rows, of)]


def shipped(seed: int, *, boots: int = 20, each: int = 50_000, holes: int = 0) -> Shipped:
    """Send ``each`` messages of each boot to two receivers, and lose ``holes`` ranges of their numbers.

    Boots are two lives of rsyslogd on each instance. Each changes over to the other receiver after every 7,001st message; the
    clocks of the receivers differ by half a second. A session in ten breaks: its last messages, which the receiver has stored,
    are sent to the other receiver again and flagged there.
    """
    random = np.random.default_rng(seed)
    lost = _lost(random, boots, each, holes)
    tables = []
    for boot in range(boots):
        numbers = np.arange(1, each + 1)
        kept = np.ones(each, np.bool_)
        for of, first, last in lost:
            kept[first - 1 : last] &= of != boot
        again = np.zeros(each, np.bool_)
        for end in np.flatnonzero(random.random(each // 1000) < 0.1) * 1000:
            again[end : end + random.integers(1, 300)] = True
        again &= kept
        number = np.concatenate((numbers[kept], numbers[again]))
        flags = np.concatenate((np.zeros(int(kept.sum())), np.full(int(again.sum()), int(Flag.MAYBE_RESENT))))
        tables.append(_rows(random, boot, number, flags.astype(np.int64)))
    rows = pa.concat_tables(tables).combine_chunks()
    return Shipped(as_rows(rows, SCHEMA.names), [(name(boot), first, last) for boot, first, last in lost])


def name(boot: int) -> str:
    """The name of a boot."""
    return f"b{boot:04x}.{boot * 7919:012X}"


def _lost(random: np.random.Generator, boots: int, each: int, holes: int) -> list[tuple[int, int, int]]:
    """Return ranges of numbers, none of them beside another one, nor at the beginning or the end."""
    places = np.sort(random.choice(boots * (each // 1000 - 2), holes, replace=False))
    found = []
    for place in places.tolist():
        boot, thousand = divmod(place, each // 1000 - 2)
        first = (thousand + 1) * 1000 + int(random.integers(1, 400))
        found.append((boot, first, first + int(random.choice((1, 2, 7, 100, 599))) - 1))
    return found


def _rows(random: np.random.Generator, boot: int, number: np.ndarray, flags: np.ndarray) -> pa.Table:
    n = len(number)
    receiver = (number // 7001 + (flags != 0)) % 2
    time = START + number * STEP + boot * 1000
    received = time + 20_000 + (flags != 0) * 3_000_000 + receiver * 500_000
    instance = f"i-{boot // 2:03d}"
    head = f'[deploy@32473 role="web" deploy="a\\]b" instance="{instance}" boot="{name(boot)}" seq="'
    texts = pc.binary_join_element_wise(head, pa.array(number).cast(pa.string()), '"]', "")
    names = pa.array(["app", "cron", "nginx"])
    return pa.table(
        {
            "time": pa.array(time).cast(pa.timestamp("us", "UTC")),
            "received": pa.array(received).cast(pa.timestamp("us", "UTC")),
            "nth": pa.array(np.arange(n), pa.int32()),
            "structured_data": texts,
            "app": names.take(pa.array(random.integers(0, 3, n))),
            "instance": pa.array([instance]).take(pa.array(np.zeros(n, np.int64))),
            "receiver": pa.array(["r0", "r1"]).take(pa.array(receiver)),
            "flags": pa.array(flags, pa.int32()),
        }
    )
