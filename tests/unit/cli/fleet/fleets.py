"""A small fleet in a store. Its times are relative to now, by hours, so that tests may take their time."""

from __future__ import annotations

import time
from pathlib import Path

from logsink.store import open_store
from tests.support.counted import put_counts
from tests.unit.query.archives import START, Row, archive, row

SECOND = 1_000_000
HOUR = 3600 * SECOND
NOW = time.time_ns() // 1000
MIDDAY = NOW - NOW % (24 * HOUR) - 12 * HOUR
"""Midday of yesterday, UTC."""

GOODBYE = '[origin software="rsyslogd" swVersion="8.2302.0"] exiting on signal 15.'


def instance(name: str, deploy: str, first: int, last: int, *, role: str = "web", said: str | None = None) -> list[Row]:
    """Rows of an instance, ten of them at even times from ``first`` to ``last``."""
    who = {"instance": f"i-{name}", "host": name, "role": role, "deploy": deploy, "environment": "prod"}
    who |= {"sender": f"10.0.0.{ord(name[-1])}", "app": "app"}
    rows = [
        row(first + (last - first) * n // 9 - START, severity=3 if n == 5 else 6, message=f"{name} {n}", **who)
        for n in range(10)
    ]
    if said is not None:
        rows.append(row(last - SECOND - START, severity=6, message=said, **who | {"app": "rsyslogd"}))
    return rows


FLEET = [
    instance("web-1", "d1", MIDDAY - 9 * HOUR, MIDDAY, said=GOODBYE),
    instance("web-2", "d1", MIDDAY - 9 * HOUR, MIDDAY - HOUR),
    instance("web-3", "d2", MIDDAY - HOUR, NOW + HOUR),
    instance("db-1", "d1", MIDDAY - 9 * HOUR, NOW - 2 * HOUR, role="db"),
    [row(MIDDAY - START, host="router", message="link up", severity=5)],
]


async def fill(directory: Path, *, counted: bool = True) -> str:
    """Make the fleet's store and return its URL; without counts its rows are read."""
    url = f"file://{directory}/store"
    async with open_store(url) as store:
        await archive(store, FLEET)
        if counted:
            await put_counts(store)
    return url
