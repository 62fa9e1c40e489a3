"""Looking up dormant lanes: a snapshot learns where the lanes stand that its log no longer has (``dormant``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from logsink.archive.concurrency import run_concurrently
from logsink.archive.dormant import Positions, born, decode_dormant, dormant_key, latest
from logsink.archive.fold import held_by
from logsink.archive.snapshot import Snapshot
from logsink.damage import Damage
from logsink.errors import FormatError, NotFound
from logsink.store import Store

_READS: Final = 8
"""Most objects read at the same time, of some 20 KiB each."""


async def wake(store: Store, snapshot: Snapshot, receivers: Iterable[str] | None) -> Snapshot:
    """Return ``snapshot`` with the dormant lanes of these receivers, or of all (None), looked up: see ``Snapshot.last``.

    Nothing is read where none of the receivers can be dormant. An object that is missing or damaged is damage of the log:
    then nobody knows where its lanes stand, but for what live files say that they hold.
    """
    old = snapshot.perhaps_dormant(set(receivers or ()))
    if receivers is not None and not old:
        return snapshot
    hot = snapshot.receivers
    asked = old - hot
    names = [
        name
        for name, newest in snapshot.dormant.items()
        if receivers is None or any(born(one) <= newest for one in asked)
    ]
    found, damage = await read_dormant(store, names)
    known = {one: lanes for one, lanes in found.items() if one not in hot and (receivers is None or one in asked)}
    awake: Positions = {**{one: {} for one in old}, **snapshot.awake, **known}
    if damage:
        held = held_by(snapshot.files.values())
        snapshot = snapshot._replace(damage=(*snapshot.damage, *damage), held=held)
    return snapshot._replace(awake=awake, all_awake=snapshot.all_awake or receivers is None)


async def read_dormant(store: Store, names: Sequence[str]) -> tuple[Positions, list[Damage]]:
    """Return what these objects of dormant lanes say, and those that are missing or damaged."""
    damage: list[Damage] = []

    async def read(name: str) -> Positions:
        key = dormant_key(name)
        try:
            return decode_dormant(name, await store.get(key))
        except NotFound:
            damage.append(Damage(key, "is missing, and says where lanes of receivers that are gone stood"))
        except FormatError as error:
            damage.append(Damage(key, f"cannot be read: {error.why}"))
        return {}

    found = await run_concurrently([partial(read, name) for name in names], _READS)
    return latest(*found), sorted(damage)
