"""Why an object of a plan cannot be read: it was removed on purpose, is missing, or is damaged.

Objects are removed after a commit that says so: a segment once it is archived, a data file once it was merged or retired. So
when one is gone, a snapshot that is loaded *afterwards* decides. If the table still needs the object, it is missing, which is
damage: the rest is the answer. Otherwise its rows are elsewhere by now, and the query is planned again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from logsink.archive import DataFile, DeltaLog, Snapshot, receiver_of
from logsink.damage import Damage
from logsink.errors import FormatError, NotFound
from logsink.journal import SegmentName, list_segments
from logsink.query.read.claims import Claims


class Losses:
    """Says what damage it is that objects cannot be read; ``log`` is that of the table in their store."""

    def __init__(self, log: DeltaLog) -> None:
        self._log, self._snapshot = log, Snapshot()
        self._lock = asyncio.Lock()
        self._asked = self._answered = 0

    async def snapshot(self, receivers: Iterable[str] = ()) -> Snapshot:
        """Return the table from a listing that begins after this call; calls that wait together share one.

        ``receivers``: those of which more is asked, so that dormant lanes of theirs are looked up.
        """
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._answered < mine:
                served = self._asked
                self._snapshot = await self._log.load()
                self._answered = served
            snapshot = self._snapshot
        return await self._log.wake(snapshot, receivers)

    async def of_file(self, file: DataFile, error: FormatError | NotFound) -> Damage:
        """Return the damage of a data file that was planned to be read; raise ``error`` again when it has left the table."""
        return await self._of(file.key, error, file.known_rows, lambda now: file.path in now.files)

    async def of_segment(self, name: SegmentName, error: FormatError | NotFound) -> Damage:
        """Return the damage of a segment that was planned to be read; raise ``error`` again when it has been archived."""
        return await self._of(name.key, error, None, lambda now: not now.shows(name), [name.receiver])

    async def of_claims(self, claims: Claims) -> list[Damage]:
        """Return the damage that what segments say is not there. Where it came meanwhile, there is none."""
        names = [stored.name for stored in await list_segments(self._log.store)]
        receivers = {name.receiver for name in names} | set(map(receiver_of, claims.lanes))
        return list(claims.damage(names, await self.snapshot(receivers)))

    async def _of(
        self,
        key: str,
        error: FormatError | NotFound,
        rows: int | None,
        needed: Callable[[Snapshot], bool],
        receivers: Iterable[str] = (),
    ) -> Damage:
        if not isinstance(error, NotFound):
            return of_error(key, error, rows)
        if not needed(await self.snapshot(receivers)):
            raise error
        return Damage(key, "is missing", rows)


def of_snapshot(snapshot: Snapshot) -> Iterator[Damage]:
    """Yield what a snapshot says of damage to the table's log, and of losses that nobody has accepted."""
    yield from snapshot.damage
    for key, rows in snapshot.lost.items():
        if key not in snapshot.accepted:
            yield Damage(key, "is recorded as lost", rows or None)


def of_error(key: str, error: FormatError, rows: int | None = None) -> Damage:
    """Return the damage of an object that was read with an error."""
    return Damage(key, f"cannot be read: {error.why}" + (f"; {error.hint}" if error.newer else ""), rows)
