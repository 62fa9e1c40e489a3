"""The probe: prove by a race for a fresh key that a store honours put-if-absent, on which all promises of logsink rest."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress

from logsink.errors import Refused, StoreError
from logsink.store.base import Store

PREFIX = "probe/"
"""Prefix of the keys of these races, which are deleted at once."""

RACERS = 8
"""Conditional puts sent at the same time: a server that looks first and writes later lets several of eight succeed."""


async def prove(store: Store, remedy: str) -> None:
    """Race for a key: exactly one put must succeed, and a later one must not. Raises ``Refused`` with the hint ``remedy``."""
    key = f"{PREFIX}{uuid.uuid4().hex}"
    try:
        won = await _race(store, key)
        late = await store.put_absent(key, b"late")
        if sum(won) != 1 or late:
            raise Refused(
                f"cannot use {store.url}: of {RACERS + 1} puts of one key with If-None-Match: *, {sum(won) + late} "
                "succeeded instead of one, so acknowledged messages could be overwritten",
                hint=remedy,
            )
        winner = f"racer {won.index(True)}".encode()
        stored = await store.get(key)
        if stored != winner:
            raise Refused(f"cannot use {store.url}: {winner!r} was put, {stored!r} was read", hint=remedy)
    except BaseException:
        with suppress(StoreError):
            await store.delete([key])
        raise
    await store.delete([key])


async def _race(store: Store, key: str) -> list[bool]:
    """Return whether each put succeeded. Raises an error only after all puts have ended, so that none follows the deletion."""
    racers = (store.put_absent(key, f"racer {n}".encode()) for n in range(RACERS))
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome is True for outcome in outcomes]
