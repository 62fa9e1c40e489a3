"""Making lanes dormant: what the log's state says of receivers that archived nothing for long goes into an object of its own.

The object is put and read back, and then one commit takes the lanes out of the state and names it (``dormant`` has the format,
and why nothing is forgotten by it). Any receiver may do it, and several at once: the commit needs each lane to stand where the
object says, and no lane of these receivers to have moved since (``log``), so of several commits one wins. Killed in between, an
object is left that nothing names: it is small, true, and stays.

Which lanes are taken is no matter of safety, so clocks may decide it: one that is made dormant too early is read from the
object, and is in the state again with its next commit. Receivers whose segments are in the journal are left alone, so that
queries have nothing to look up.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from logsink import telemetry
from logsink.archive.dormant import Positions, born, dormant_key, encode_dormant, receiver_of
from logsink.archive.log import Action, DeltaLog, Dormant, MakeDormant
from logsink.archive.snapshot import Snapshot
from logsink.errors import Conflict, Unavailable
from logsink.journal import list_segments
from logsink.store import put_once

IDLE: Final = 30 * 86_400.0
"""Seconds after the last commit of its lanes from which on a receiver counts as old."""

LEAST: Final = 1_000
"""Fewest lanes that are worth an object: 250 lives of receivers with four lanes each."""

_MOST: Final = 10_000
"""Most lanes that one commit makes dormant: 1 MB of JSON."""


async def make_dormant(log: DeltaLog, *, idle: float = IDLE, least: int = LEAST) -> int:
    """Make the lanes of old receivers dormant, where there are ``least`` of them; return how many were made so.

    Where another process moves one of them meanwhile, nothing is done until the next call. Raises ``Damaged`` when the log is
    damaged, and what the store raises.
    """
    snapshot = await log.load()
    now = await log.now()
    if not idle_lanes(snapshot, idle, now, least):
        return 0
    log.refuse_damage(snapshot, "make lanes dormant")
    waiting = {stored.name.receiver for stored in await list_segments(log.store)}
    positions = idle_lanes(snapshot, idle, now, least, waiting)
    actions: list[Action] = [
        MakeDormant(app_id, last) for lanes in positions.values() for app_id, last in lanes.items()
    ]
    if not actions:
        return 0
    name, body = encode_dormant(log.store_id or snapshot.store, positions)
    await put_once(log.store, dormant_key(name), body)
    if await log.store.get(dormant_key(name)) != body:
        raise Unavailable(f"cannot make lanes dormant: {dormant_key(name)} was read back differently")
    actions.append(Dormant(name, max(map(born, positions))))
    try:
        await log.commit(snapshot, actions, operation="MAKE DORMANT")
    except Conflict:
        return 0
    telemetry.LANES_MADE_DORMANT.log(lanes=len(actions) - 1, receivers=len(positions))
    return len(actions) - 1


def idle_lanes(
    snapshot: Snapshot, idle: float, now: float, least: int = LEAST, waiting: Collection[str] = ()
) -> Positions:
    """Return the lanes of receivers none of whose lanes has moved for ``idle`` seconds, the longest idle first.

    ``now``: seconds since the epoch. Empty where there are fewer than ``least``. Receivers that are ``waiting`` to be archived
    are left out, and those whose ids do not say when they were born.
    """
    if len(snapshot.txn) < least:
        return {}
    lanes: dict[str, dict[str, int]] = {}
    moved: dict[str, int] = {}
    for app_id, last in snapshot.txn.items():
        receiver = receiver_of(app_id)
        lanes.setdefault(receiver, {})[app_id] = last
        moved[receiver] = max(snapshot.moved.get(app_id, 0), moved.get(receiver, 0))
    before = min(max(moved.values()), now * 1000) - idle * 1000
    found: dict[str, dict[str, int]] = {}
    count = 0
    for receiver in sorted(lanes, key=lambda one: (moved[one], one)):
        if moved[receiver] >= before or count + len(lanes[receiver]) > _MOST:
            break
        if born(receiver) >= 0 and receiver not in waiting:
            found[receiver] = lanes[receiver]
            count += len(lanes[receiver])
    return found if count >= least else {}
