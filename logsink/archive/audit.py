"""The audit of the table's log: every commit and checkpoint is read and proved, not only those that a snapshot needs.

A log that was rebuilt (``rebuilding``) begins anew with the version that says so: what is older is superseded, and not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import orjson

from logsink.archive.chain import check, digest, parse
from logsink.archive.concurrency import run_concurrently
from logsink.archive.fold import DamagedCheckpoint, Fold
from logsink.archive.rebuilding import OPERATION
from logsink.archive.snapshot import HINT, LOG, Snapshot, checkpoint_key, checkpoint_part, commit_key, commit_version
from logsink.damage import Damage
from logsink.errors import FormatError, MediumError, NotFound
from logsink.store import Store

_READS = 16
"""Most commits read at the same time."""

_BATCH = 256
"""Commits in memory at once."""


class Audit(NamedTuple):
    """What an audit found.

    damage       damaged and missing objects of the log
    replaceable  version of each damaged checkpoint of one part -> the table at that version, as its commits prove it
    commits, checkpoints   how many were read
    superseded   objects older than the version from which the log was rebuilt
    heads        version of each commit that counts -> its SHA-256, as ledgers name it
    """

    damage: tuple[Damage, ...]
    replaceable: dict[int, Snapshot]
    commits: int
    checkpoints: int
    superseded: int
    heads: Mapping[int, str] = MappingProxyType({})


async def audit_log(store: Store, advance: Callable[[int], None] = lambda count: None) -> Audit:
    """Read and prove the whole log. ``advance`` is told how many objects were read since it was last called.

    Commits and checkpoints that maintenance cleans up meanwhile are no damage. Raises ``FormatError`` for a table that this
    version cannot read.
    """
    while True:
        commits, parts, hint = await _list(store)
        try:
            return await _Auditor(store, commits, parts, hint, advance).run()
        except _CleanedUp:
            continue


class _CleanedUp(Exception):
    """The oldest versions were cleaned up while they were read."""


Parts = dict[int, list[str]]
"""Version of a complete checkpoint -> the keys of its parts."""


async def _list(store: Store) -> tuple[set[int], Parts, bool]:
    """Return the versions of commits, the complete checkpoints, and whether there is a hint."""
    commits: set[int] = set()
    found: dict[tuple[int, int], list[str]] = {}
    hint = False
    async for entry in store.list(LOG):
        hint = hint or entry.key == HINT
        if (version := commit_version(entry.key)) is not None:
            commits.add(version)
        elif (part := checkpoint_part(entry.key)) is not None:
            found.setdefault(part, []).append(entry.key)
    return commits, {version: keys for (version, count), keys in found.items() if len(keys) == count}, hint


class _Auditor:
    """One audit of a log with these objects."""

    def __init__(
        self, store: Store, commits: set[int], parts: Parts, hint: bool, advance: Callable[[int], None]
    ) -> None:
        self._store, self._commits, self._parts, self._hint = store, commits, parts, hint
        self._advance = advance
        self._damage: list[Damage] = []
        self._replaceable: dict[int, Snapshot] = {}
        self._fold = Fold(Snapshot())
        self._start, self._rebuilt = 0, False
        self._heads: dict[int, str] = {}
        self._taken = 0
        """Damages of ``_fold`` that are in ``_damage`` already."""

    async def run(self) -> Audit:
        """Read everything that counts, from the oldest version from which all can be proved."""
        there = sorted(self._commits | set(self._parts))
        if not there:
            return Audit((), {}, 0, 0, 0)
        self._start = 0 if 0 in self._commits else min(self._parts, default=0)
        versions = [version for version in there if version >= self._start]
        following = self._start
        for low in range(0, len(versions), _BATCH):
            following = await self._batch(versions[low : low + _BATCH], following)
        self._check_readable(versions[-1])
        if self._hint:
            await self._check_hint()
        return Audit(
            tuple(self._damage),
            self._replaceable,
            sum(version >= self._start for version in self._commits),
            sum(version >= self._start for version in self._parts),
            sum(version < self._start for version in (*self._commits, *self._parts)),
            self._heads,
        )

    async def _batch(self, versions: list[int], following: int) -> int:
        """Apply these versions, of which ``following`` should be the first, and return the one that should follow."""
        there = [version for version in versions if version in self._commits]
        bodies = await run_concurrently([partial(self._get, commit_key(version)) for version in there], _READS)
        commits = dict(zip(there, bodies, strict=True))
        self._advance(len(versions))
        for version in versions:
            body = commits.get(version)
            if body is None and version in self._commits and version not in (await _list(self._store))[0]:
                raise _CleanedUp
            if version > following:
                self._fold.lose(following, version - 1)
                self._note()
            if body is not None and _rebuilt(body, version):
                self._begin_anew(version)
            if body is not None:
                self._heads[version] = digest(body)
            await self._version(
                version, body, first=version == self._start and version in self._parts and not self._rebuilt
            )
            following = version + 1
        return following

    def _begin_anew(self, version: int) -> None:
        """Forget what was found: the log begins with this version."""
        self._damage, self._replaceable, self._fold, self._taken = [], {}, Fold(Snapshot()), 0
        self._heads = {}
        self._start, self._rebuilt = version, True

    def _check_readable(self, last: int) -> None:
        """Check that a log that was rebuilt has a checkpoint: other programs need one to read it."""
        if self._rebuilt and self._start and not any(version >= self._start for version in self._parts):
            key = checkpoint_key(last)
            self._damage.append(Damage(key, "is missing, so that other programs cannot read the table"))
            if not self._fold.damage:
                self._replaceable[last] = self._fold.snapshot(last, -1, 0.0)

    async def _version(self, version: int, body: bytes | None, *, first: bool) -> None:
        """Apply and prove one version: its commit, and its checkpoint where it has one."""
        if not first:
            try:
                self._fold.lose(version) if body is None else self._fold.commit(version, body)
            except DamagedCheckpoint as error:  # the log begins with a checkpoint, and this commit contradicts it
                self._fold.damage.append(Damage(checkpoint_key(version), f"cannot be used: {error}"))
            self._note()
        if version not in self._parts:
            return
        try:
            fold = await self._checkpoint(version, body)
            same = self._fold.damage or first or _same(fold, self._fold, version)
            if not same:
                raise DamagedCheckpoint(
                    "cannot use a checkpoint of the table's log", "it does not hold what its commits held"
                )
        except DamagedCheckpoint as error:
            self._damage.append(Damage(self._parts[version][0], f"cannot be used: {error.why}"))
            if not self._fold.damage and not first and len(self._parts[version]) == 1:
                self._replaceable[version] = self._fold.snapshot(version, version, 0.0)
                self._fold = Fold(self._replaceable[version])
            elif first:
                self._fold.lose(version)
                self._taken = len(self._fold.damage)
            return
        self._note_of(fold)
        if first or self._fold.damage:
            self._fold, self._taken = fold, len(fold.damage)

    async def _checkpoint(self, version: int, body: bytes | None) -> Fold:
        """Return the table that a checkpoint holds, compared with the commit of its version. ``DamagedCheckpoint``."""
        fold = Fold(Snapshot())
        for key in self._parts[version]:
            part = await self._get(key)
            if part is None and version not in (await _list(self._store))[1]:
                raise _CleanedUp
            await asyncio.to_thread(fold.checkpoint, part or b"")
        fold.checkpointed(version, body)
        fold.version = version
        return fold

    def _note(self) -> None:
        """Take over what the fold has found since the last time."""
        self._damage += self._fold.damage[self._taken :]
        self._taken = len(self._fold.damage)

    def _note_of(self, fold: Fold) -> None:
        """Take over what a checkpoint's fold says of the commit of its version, unless it is known."""
        for damage in fold.snapshot(fold.version, fold.version, 0.0).damage:
            if all(one.key != damage.key for one in self._damage):
                self._damage.append(damage)

    async def _check_hint(self) -> None:
        """Check that the hint where to begin names a checkpoint that is there."""
        body = await self._get(HINT)
        try:
            version = int(orjson.loads(body or b"")["version"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            self._damage.append(Damage(HINT, "cannot be read"))
            return
        if version not in self._parts and version not in (await _list(self._store))[1]:
            self._damage.append(Damage(HINT, f"names a checkpoint of version {version}, which is not there"))

    async def _get(self, key: str) -> bytes | None:
        try:
            return await self._store.get(key)
        except MediumError:
            return b""
        except NotFound:
            return None


def _rebuilt(body: bytes, version: int) -> bool:
    """Return whether a commit proves that the log begins anew with it."""
    if f'"{OPERATION}"'.encode() not in body[:4096]:
        return False
    try:
        seal = check(body, parse(body), version, sealed=True)
    except FormatError:
        return False
    return seal is not None and seal.rebuilt


def _same(one: Fold, other: Fold, version: int) -> bool:
    """Return whether both hold the same table. A checkpoint may have fewer tombstones: old ones are left out."""
    a, b = (fold.snapshot(version, -1, 0.0) for fold in (one, other))
    return (a.files, a.txn, a.lost, a.accepted, a.dormant) == (b.files, b.txn, b.lost, b.accepted, b.dormant)
