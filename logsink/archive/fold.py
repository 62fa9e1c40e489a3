"""Commits and checkpoints, applied one after the other to a snapshot, and checked while that goes on.

What does not prove itself is left out and named (``damage``); what comes after it is applied all the same. Then the result is
what the rest proves, and ``Snapshot.intact`` says that it is not all.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import unquote

import pyarrow as pa

from logsink.archive.chain import MODULUS, Seal, State, check, digest, parse
from logsink.archive.checkpoints import decode_checkpoint
from logsink.archive.foreign import refuse_metadata, refuse_protocol
from logsink.archive.lanes import Lanes, inside, lanes_of, union
from logsink.archive.snapshot import (
    ACCEPTED,
    ASLEEP,
    DORMANT,
    LOST,
    DataFile,
    Json,
    Snapshot,
    checkpoint_key,
    commit_key,
    join_tags,
)
from logsink.damage import Damage
from logsink.errors import FormatError

_CHECKPOINT: Final = "cannot read a checkpoint of the table's log"


class DamagedCheckpoint(FormatError):
    """A checkpoint cannot be decoded, or does not hold what its commits held. ``digest``: SHA-256 of its bytes."""

    digest = ""


class Fold:
    """Applies actions one after the other: the last one counts for each path and ``appId``, for metadata and protocol."""

    def __init__(self, base: Snapshot) -> None:
        self.damage = list(base.damage)
        self.version, self.head, self.sealed, self.store = base.version, base.head, base.sealed, base.store
        self._files = dict(base.files)
        self._txn = dict(base.txn)
        self._moved = dict(base.moved)
        self._tombstones = dict(base.tombstones)
        self._lost, self._accepted = dict(base.lost), set(base.accepted)
        self._dormant = dict(base.dormant)
        self._newest_sealed = base.sealed
        self._known = base.version >= 0
        self._removed = dict(base.removed)
        known = State() if base.version < 0 else None
        self._state = State(int(base.state, 16)) if base.state else known
        self._checkpoint = -1  # version of a checkpoint that no commit has proved yet
        self._doubt: Damage | None = None  # the commit of that version is damaged
        self._protocol: Json | None = None
        self._metadata: Json | None = None
        self._refused: FormatError | None = None  # what is wrong with the protocol or metadata of a checkpoint
        self._created, self._schema, self._described = base.created, base.schema, base.metadata

    def snapshot(self, version: int, checkpoint: int, loaded: float) -> Snapshot:
        """Return the result. Raises ``FormatError`` when protocol or metadata are not those of a table of logsink."""
        if version >= 0 and not self._known and (self._protocol is None or self._metadata is None) and not self.damage:
            first = commit_key(0) if checkpoint < 0 else checkpoint_key(checkpoint)
            self._break(Damage(first, "holds no protocol or no metadata"))
        self._refuse_foreign()
        damage = [*self.damage, *([] if self._doubt is None else [self._doubt])]
        files = without_merged(self._files) if damage else self._files
        return Snapshot(
            version=version,
            files=files,
            txn=self._txn,
            moved=self._moved,
            tombstones=self._tombstones,
            checkpoint=checkpoint,
            loaded=loaded,
            damage=tuple(damage),
            lost=self._lost,
            accepted=frozenset(self._accepted),
            store=self.store,
            head=self.head,
            sealed=self.sealed,
            state="" if self._state is None or damage else str(self._state),
            removed=self._removed,
            created=self._created,
            schema=self._schema,
            metadata=self._described,
            held=held_by(files.values()) if damage else {},
            dormant=self._dormant,
        )

    def _refuse_foreign(self) -> None:
        """Raise ``FormatError`` when protocol or metadata, as far as they are known, are not those of a table of logsink."""
        if self._protocol is not None:
            refuse_protocol(self._protocol)
        if self._metadata is not None:
            refuse_metadata(self._metadata)

    @property
    def state(self) -> State:
        """The digest of what is there now."""
        if self._state is None:
            self._state = State()
            for file in self._files.values():
                self._state.add_file(file)
            for app_id, version in self._transactions():
                self._state.move(app_id, None, version)
        return self._state

    def state_after(self, actions: Sequence[Json]) -> str:
        """Return what the digest is once these actions, which make sense, are applied; nothing is changed."""
        after = Fold(Snapshot(files=self._files, txn=self._txn, lost=self._lost, dormant=self._dormant))
        after._state, after._accepted = State(self.state.value), set(self._accepted)
        for change in _changes(actions):
            change(after)
        return str(after.state)

    def lose(self, first: int, last: int | None = None) -> None:
        """Take note that the commit of version ``first`` is missing, and those after it up to ``last``."""
        others = "" if last in (None, first) else f", as are the commits after it up to version {last}"
        self._break(Damage(commit_key(first), f"is missing{others}"))

    def commit(self, version: int, body: bytes) -> None:
        """Apply one commit, or take note that it is damaged. ``DamagedCheckpoint``: it contradicts the checkpoint before it."""
        self.version = version
        try:
            actions = parse(body)
            seal = check(body, actions, version, sealed=self.sealed)
            changes = list(_changes(actions))
        except FormatError as error:
            self._break(Damage(commit_key(version), f"cannot be read: {error.why}"))
            return
        if seal is not None and seal.rebuilt:
            self._begin_anew()
        if seal is not None and seal.previous and self.head and seal.previous != self.head:
            before = Damage(commit_key(version - 1), "is not the commit that the one after it was made after")
            if self._checkpoint == version - 1:  # its actions are in the checkpoint, which this commit may prove
                self._doubt = before
            elif self._newest_sealed:
                self._break(Damage(commit_key(version), "does not follow the commit before it"))
            else:
                self._break(before)
        for change in changes:
            change(self)
        self._prove(version, seal, body, "does not add up with the commits before it")

    def checkpoint(self, body: bytes) -> None:
        """Apply one part of a checkpoint; it has at most one action for each path and ``appId``."""
        try:
            part = decode_checkpoint(body)
            self._files.update(part.files)
            if self._state is not None:
                self._state = State((self._state.value + part.digest) % MODULUS)
            for row in part.removed:
                self.remove(unquote(row["path"]), row.get("deletionTimestamp") or 0, row["tags"])
            for row in part.txns:
                self.move(row["appId"], row["version"], row.get("lastUpdated") or 0)
            for row in part.protocols:
                self.describe(row, None)
            for row in part.metadata:
                self.describe(None, row)
        except FormatError as error:
            raise DamagedCheckpoint(_CHECKPOINT, error.why) from error
        except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
            raise DamagedCheckpoint(_CHECKPOINT, str(error)) from error

    def checkpointed(self, version: int, body: bytes | None) -> None:
        """Check the checkpoint of ``version``, which was applied just now, by its commit; ``body``: None where that is gone."""
        self._checkpoint = version
        try:
            self._refuse_foreign()
        except FormatError as error:
            self._refused = error
        tagged = any(file.packed for file in self._files.values())  # by a version of logsink that seals its commits
        if self._refused is not None and tagged:
            raise DamagedCheckpoint(_CHECKPOINT, self._refused.why)
        if body is None:
            if tagged:  # clean-up leaves this commit
                self._doubt = Damage(commit_key(version), "is missing, which proves the checkpoint of its version")
            return
        try:
            seal = check(body, parse(body), version, sealed=False)
        except FormatError as error:  # its actions are in the checkpoint, which the next commit may prove
            self._doubt = Damage(commit_key(version), f"cannot be read: {error.why}")
            return
        self._prove(version, seal, body, "does not add up with the checkpoint of its version")

    def add(self, file: DataFile) -> None:
        """A data file enters the table."""
        if self._state is not None:
            if (before := self._files.get(file.path)) is not None:
                self._state.remove_file(before)
            self._state.add_file(file)
        self._files[file.path] = file
        self._tombstones.pop(file.path, None)
        self._removed.pop(file.path, None)

    def remove(self, path: str, deleted: int, tags: Mapping[str, str]) -> None:
        """A data file leaves the table; ``deleted``: milliseconds since the epoch."""
        before = self._files.pop(path, None)
        if self._state is not None and before is not None:
            self._state.remove_file(before)
        self._tombstones[path] = deleted
        if tags:
            self._removed[path] = tuple(sorted(tags.items()))

    def move(self, app_id: str, version: int, updated: int) -> None:
        """A transaction's version changes: that of a lane, or what is recorded about a lost object or dormant lanes."""
        before: int | None
        after: int | None = version
        if app_id.startswith(LOST):
            key = app_id.removeprefix(LOST)
            before, self._lost[key] = self._lost.get(key), version
        elif app_id.startswith(ACCEPTED):
            key = app_id.removeprefix(ACCEPTED)
            before = 1 if key in self._accepted else None
            after = 1
            self._accepted.add(key)
        elif app_id.startswith(DORMANT):
            name = app_id.removeprefix(DORMANT)
            before, self._dormant[name] = self._dormant.get(name), version
        elif version == ASLEEP:
            before, after = self._txn.pop(app_id, None), None
            self._moved.pop(app_id, None)
        else:
            before, self._txn[app_id] = self._txn.get(app_id), version
            self._moved[app_id] = updated
        if self._state is not None:
            self._state.move(app_id, before, after)

    def describe(self, protocol: Json | None, metadata: Json | None) -> None:
        """The table's protocol or metadata are these from now on."""
        self._protocol = protocol or self._protocol
        self._metadata = metadata or self._metadata
        self._described = metadata or self._described
        self._refused = None
        if metadata and isinstance(created := metadata.get("createdTime"), int):
            self._created = created
        if metadata and isinstance(schema := metadata.get("schemaString"), str):
            self._schema = schema

    def _transactions(self) -> Iterator[tuple[str, int]]:
        yield from self._txn.items()
        yield from ((LOST + key, rows) for key, rows in self._lost.items())
        yield from ((ACCEPTED + key, 1) for key in self._accepted)
        yield from ((DORMANT + name, newest) for name, newest in self._dormant.items())

    def _prove(self, version: int, seal: Seal | None, body: bytes, otherwise: str) -> None:
        """Compare the state with what a commit says, and remember the commit as the newest."""
        self.head, self._newest_sealed = digest(body), seal is not None
        if seal is None:
            return
        self.sealed, self.store = True, seal.store or self.store
        if self._refused is not None:  # logsink has committed, so the table is one of logsink
            raise DamagedCheckpoint(_CHECKPOINT, self._refused.why)
        if seal.state and not self.damage:
            if str(self.state) == seal.state:
                self._doubt = None
            elif self._checkpoint >= 0:
                raise DamagedCheckpoint(
                    f"cannot rely on the checkpoint of version {self._checkpoint}", f"commit {version} says otherwise"
                )
            else:
                self._break(Damage(commit_key(version), otherwise))
        self._checkpoint = -1

    def _begin_anew(self) -> None:
        """Forget everything: the next commit holds the whole table."""
        held = (self._files, self._txn, self._moved, self._tombstones, self._removed, self._lost, self._accepted)
        for one in (*held, self._dormant):
            one.clear()
        self.damage, self.head, self._checkpoint, self._doubt, self._state = [], "", -1, None, State()
        self._known, self._protocol, self._metadata, self._refused = False, None, None, None

    def _break(self, damage: Damage) -> None:
        """Take note of damage: what the next commits say about the state and about those before them proves nothing."""
        self.damage.append(damage)
        self.head, self._checkpoint = "", -1


Change = Callable[[Fold], None]


def _changes(actions: Sequence[Json]) -> Iterator[Change]:
    """Yield what the actions of a commit do. Raises ``FormatError`` for an action that makes no sense."""
    try:
        for action in actions:
            if (add := action.get("add")) is not None:
                day, tags = add["partitionValues"].get("date"), dict(add.get("tags") or {})
                file = _data_file(add["path"], add["size"], day, add.get("stats"), tags)
                yield partial(Fold.add, file=file)
            elif (remove := action.get("remove")) is not None:
                deleted, tags = remove.get("deletionTimestamp") or 0, dict(remove.get("tags") or {})
                if type(deleted) is not int:
                    raise TypeError(f"no time is {deleted!r}")
                yield partial(Fold.remove, path=unquote(remove["path"]), deleted=deleted, tags=tags)
            elif (txn := action.get("txn")) is not None:
                app_id, version, updated = txn["appId"], txn["version"], txn.get("lastUpdated") or 0
                if not (type(app_id) is str and type(version) is type(updated) is int):
                    raise TypeError(f"no transaction is {txn}")
                yield partial(Fold.move, app_id=app_id, version=version, updated=updated)
            elif "protocol" in action or "metaData" in action:
                described = (action.get("protocol"), action.get("metaData"))
                yield partial(Fold.describe, protocol=described[0], metadata=described[1])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FormatError("cannot read a commit of the table's log", repr(error)) from error


def _data_file(path: str, size: int, day: str | None, statistics: str | None, tags: Mapping[str, str]) -> DataFile:
    decoded = unquote(path)
    if "://" in decoded or decoded.startswith("/"):
        raise FormatError("cannot read the table", f"data file {decoded} is outside of it")
    try:
        date = datetime.date.fromisoformat(day or "")
    except ValueError:
        raise FormatError("cannot read the table", f"data file {decoded} has no date, but {day!r}") from None
    if type(size) is not int or not isinstance(statistics, str | None):
        raise FormatError("cannot read the table", f"data file {decoded} has no size, but {size!r}")
    return DataFile(decoded, date, size, statistics or "{}", join_tags(tags.items()))


def without_merged(files: Mapping[str, DataFile]) -> Mapping[str, DataFile]:
    """Return the files without those whose lanes a merged file of the same date holds, so that no row is there twice.

    Where a commit is missing, a merge may be known only from its result, or from what later came of that.
    """
    held = {path: lanes for path, file in files.items() if (lanes := _lanes(file))}
    merged: dict[datetime.date, list[str]] = {}
    for path in held:
        if path.rpartition("/")[2].startswith("compacted-"):
            merged.setdefault(files[path].date, []).append(path)

    def is_in(path: str, other: str) -> bool:
        """Return whether ``path`` gives way to a merged file; of two merged ones that hold the same, one stays."""
        if other == path or not inside(held[path], held[other]):
            return False
        return other < path or path not in merged[files[path].date] or not inside(held[other], held[path])

    gone = {path for path in held if any(is_in(path, other) for other in merged.get(files[path].date, ()))}
    return {path: file for path, file in files.items() if path not in gone}


def held_by(files: Iterable[DataFile]) -> Lanes:
    """Return which sequences of which lanes these files hold, as far as their tags say."""
    return union(*filter(None, map(_lanes, files)))


def _lanes(file: DataFile) -> Lanes | None:
    try:
        return lanes_of(file.tags)
    except FormatError:
        return None
