"""Snapshots: one version of the table, read from its log without a Delta library.

Layout below ``logs/_delta_log/``, a persistent format (Delta transaction log protocol, reader version 1, writer version 2,
https://github.com/delta-io/delta/blob/master/PROTOCOL.md)::

    <version, 20 digits>.json                              one commit: one JSON action a line (``log``)
    <version>.checkpoint.parquet                           the table at that version: its files, txns, recent tombstones
    <version>.checkpoint.<part>.<parts>.parquet            the same in parts, complete only when all are there
    _last_checkpoint                                       a hint where to begin listing, nothing more

Constraint: a commit never changes once written. The caching in ``log.DeltaLog`` relies on that and on nothing else.

Write path: ``log`` for commits, ``maintenance`` for checkpoints. Deletion: the clean-up of ``maintenance``.

Read path: list, decode the newest checkpoint, then apply the commits after it in order. A listing is not one instant: a
checkpoint may appear, and commits before it may vanish, while it goes on. So when something does not fit together (a commit
missing in between, an object gone before it was read), the log is listed again; what does not fit after a few listings is
refused. A checkpoint that cannot be decoded is passed over: an older one, or none, and the commits after it say the same. Where
those commits are gone, the log is refused.

A table that logsink did not make, or that needs more than this reader knows, is refused with ``FormatError`` rather than
misread. Nullable columns that a newer logsink has added are accepted: receivers of two versions share a table during an
upgrade, and old files simply lack the column.
"""

from __future__ import annotations

import asyncio
import datetime
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logsink.archive.concurrency import run_concurrently
from logsink.damage import Damage
from logsink.errors import FormatError, NotFound
from logsink.journal import SegmentName
from logsink.parse import TABLE_SCHEMA
from logsink.store import Store

ROOT = "logs/"
"""Prefix of the table in the store; paths in the log are relative to it."""

LOG = ROOT + "_delta_log/"
HINT = LOG + "_last_checkpoint"

_LISTINGS = 5
"""Listings that a load makes before it gives up; one fails only when the log changes while it goes on."""

_READS = 16
"""Most commits and checkpoint parts fetched at the same time."""

_COMMIT = re.compile(r"([0-9]{20})\.json")
_CHECKPOINT = re.compile(r"([0-9]{20})\.checkpoint(?:\.([0-9]{10})\.([0-9]{10}))?\.parquet")
_CHECKPOINT_V2 = re.compile(r"[0-9]{20}\.checkpoint\.[0-9a-f-]{36}\.(?:json|parquet)")
_TYPES = {
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp",
    pa.int8(): "byte",
    pa.int32(): "integer",
    pa.string(): "string",
    pa.binary(): "binary",
}
_INSTANTS = {column.name for column in TABLE_SCHEMA if pa.types.is_timestamp(column.type)}

LOST, ACCEPTED = "lost:", "accepted:"
"""Prefixes of an ``appId`` that names no lane, but a lost object: its ``txn`` records the loss, or that it was accepted."""

Json = dict[str, Any]


def commit_key(version: int) -> str:
    """Return the key of the commit of ``version``."""
    return f"{LOG}{version:020d}.json"


def checkpoint_key(version: int) -> str:
    """Return the key of the checkpoint of ``version`` in one part."""
    return f"{LOG}{version:020d}.checkpoint.parquet"


class Statistics(NamedTuple):
    """What the log says about one file's rows, by column: instants as microseconds since the epoch, other values as they are.

    ``minimum`` and ``maximum`` are bounds: long strings are cut, and rounded up for ``maximum``. A column that both lack is
    either unknown or null in all rows; ``nulls`` tells which.
    """

    rows: int
    minimum: Mapping[str, int | str]
    maximum: Mapping[str, int | str]
    nulls: Mapping[str, int]


@dataclass(frozen=True)
class DataFile:
    """One live Parquet file: ``path`` relative to ``logs/``, ``date`` its partition, ``size`` in bytes."""

    path: str
    date: datetime.date
    size: int
    statistics: str
    """The log's JSON, parsed by ``stats`` when somebody asks."""
    tags: tuple[tuple[str, str], ...] = ()
    """What the file's ``add`` says to prove it, sorted by name (docs/storage.md); empty for files of older versions."""

    @property
    def key(self) -> str:
        """The file's key in the store."""
        return ROOT + self.path

    @property
    def rows(self) -> int:
        return self.stats.rows

    @cached_property
    def stats(self) -> Statistics:
        """The parsed statistics. ``FormatError`` when they have no row count, which no version of logsink leaves out."""
        try:
            parsed = orjson.loads(self.statistics)
            return Statistics(
                int(parsed["numRecords"]),
                _bounds(parsed.get("minValues", {}), 0),
                _bounds(parsed.get("maxValues", {}), 999),
                parsed.get("nullCount", {}),
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"cannot read statistics of data file {self.path}: {error!r}") from error


class Snapshot(NamedTuple):
    """The table at ``version``; -1 when there is no table. Immutable.

    files        live data files by path
    txn          ``appId`` -> last sequence whose rows are in the table
    moved        ``appId`` -> milliseconds since the epoch when its txn was committed, by the committer's clock
    tombstones   path -> milliseconds since the epoch when it left the table
    checkpoint   version of the checkpoint it was read from, -1 when it was read from commits alone
    loaded       monotonic seconds at which its listing began: everything committed before is in it
    head         hash of its last commit, hexadecimal; '' when that commit has none, as those of older versions have not
    state        digest of its live files and txns, hexadecimal; '' while nobody has computed it
    store        id of the store, as the newest commit that names one says; '' when none does
    removed      path -> tags of the files in ``tombstones``, as far as their ``remove`` says them
    lost         key of a lost object -> its rows, 0 when unknown; for missing segments also
                 ``journal/<receiver>/<lane>/<first>-<last>``
    accepted     those keys of ``lost`` that ``logsink repair`` has accepted: nobody is told of them any more
    damage       what of the log is damaged or missing: the snapshot holds what the rest of the log proves
    """

    version: int = -1
    files: Mapping[str, DataFile] = MappingProxyType({})
    txn: Mapping[str, int] = MappingProxyType({})
    moved: Mapping[str, int] = MappingProxyType({})
    tombstones: Mapping[str, int] = MappingProxyType({})
    checkpoint: int = -1
    loaded: float = 0.0
    head: str = ""
    state: str = ""
    store: str = ""
    removed: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType({})
    lost: Mapping[str, int] = MappingProxyType({})
    accepted: frozenset[str] = frozenset()
    damage: tuple[Damage, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether the log proves all of this: only then may anything be committed on it, or deleted because of it."""
        return not self.damage

    def covers(self, name: SegmentName) -> bool:
        """Return whether the rows of this segment are in the table (invariant I3)."""
        return name.sequence <= self.txn.get(name.app_id, 0)


async def load(
    store: Store, loaded: float, known: Snapshot | None = None, damaged: dict[int, FormatError] | None = None
) -> Snapshot:
    """Return the newest version of the table, from a listing made now. ``loaded`` is the monotonic time before the call.

    ``known`` is an earlier snapshot of the same store: its commits are not read again if they are still listed and no newer
    checkpoint is. ``damaged`` is the caller's record of damaged checkpoints, by version: they are passed over, and those that
    this call finds are logged and added. Raises ``FormatError`` for a table that this version cannot read, for a log with
    commits missing, and for data files without a log.
    """
    damaged = {} if damaged is None else damaged
    attempt = 0
    while attempt < _LISTINGS:
        after = await _hint(store) if known is None else known.checkpoint
        listing = await _list(store, -1 if attempt else after, damaged)
        first, attempt = not attempt, attempt + 1
        if known is not None and known.checkpoint >= listing.checkpoint and known.version in listing.commits:
            base = known._replace(loaded=loaded)
        elif after > listing.checkpoint and first:
            continue  # the hint is wrong, or the checkpoint that it named is gone
        else:
            base, known = Snapshot(loaded=loaded), None
        try:
            snapshot = await _read(store, listing, base)
        except NotFound:
            continue
        except _Damaged as error:
            from logsink import telemetry  # costs time, and a query needs it for nothing else

            telemetry.CHECKPOINT_DAMAGED.log(version=listing.checkpoint, error=error)
            damaged[listing.checkpoint] = error
            attempt = 1  # list all of the log; this ends, because each turn passes over one more checkpoint
            continue
        if snapshot.version < 0:
            await _refuse_files_without_a_log(store)
        return snapshot
    lost = f", and its checkpoint of version {max(damaged)} is damaged" if damaged else ""
    raise FormatError(
        f"cannot read the table's log: a commit is missing between version {listing.checkpoint} and {listing.last}{lost}",
        hint=f"look at the objects under {store.url}/{LOG}; restore what was deleted or damaged from a backup",
    )


async def _refuse_files_without_a_log(store: Store) -> None:
    """Raise ``FormatError`` when there are data files, but no log that says which of them count."""
    async for entry in store.list(f"{ROOT}date="):
        if (await _list(store, -1, ())).last >= 0:
            return  # another process has made the table meanwhile
        raise FormatError(
            f"cannot use the table in {store.url}: its log, {LOG}, is gone, and data files are there ({entry.key})",
            hint=(
                f"put the objects under {LOG} back from a backup or from their earlier versions, and exempt them from whatever "
                f"deleted them (a lifecycle rule?); to begin anew, move {ROOT} away or choose another store"
            ),
        )


def read_checkpoint(body: bytes, version: int) -> Snapshot:
    """Return the table at ``version`` from ``body``, its checkpoint in one part."""
    fold = _Fold(Snapshot())
    fold.checkpoint(body)
    return fold.snapshot(version, version, 0.0)


def parse_commit(body: bytes) -> list[Json]:
    """Return the actions of one commit. Raises ``FormatError`` unless each line is a JSON object."""
    try:
        actions = [orjson.loads(line) for line in body.splitlines() if line.strip()]
    except orjson.JSONDecodeError as error:
        raise FormatError(f"cannot read a commit of the table's log: {error}") from error
    if not all(isinstance(action, dict) for action in actions):
        raise FormatError("cannot read a commit of the table's log: a line is no JSON object")
    return actions


class _Damaged(FormatError):
    """A checkpoint that cannot be decoded."""


class _Listing(NamedTuple):
    """A listing of the log: versions of commits, the newest complete checkpoint that is not passed over (-1: none) with its
    keys in order (``parts``), and the last version, which may be that of a checkpoint that is passed over.
    """

    commits: frozenset[int]
    checkpoint: int
    parts: Sequence[str]
    last: int


async def _hint(store: Store) -> int:
    """The version of a checkpoint that probably is the newest, or -1."""
    try:
        return int(orjson.loads(await store.get(HINT))["version"])
    except (NotFound, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return -1


async def _list(store: Store, start: int, without: Collection[int]) -> _Listing:
    """The log from version ``start`` on (-1: all of it), ``without`` the checkpoints of these versions."""
    commits: set[int] = set()
    parts: dict[tuple[int, int], list[str]] = {}
    async for entry in store.list(LOG, f"{LOG}{max(start, 0):020d}"):
        name = entry.key[len(LOG) :]
        if match := _COMMIT.fullmatch(name):
            commits.add(int(match[1]))
        elif match := _CHECKPOINT.fullmatch(name):
            parts.setdefault((int(match[1]), int(match[3] or 1)), []).append(entry.key)
        elif _CHECKPOINT_V2.fullmatch(name):
            raise FormatError(
                f"cannot read the table: its log has a checkpoint of the second kind, {name}",
                hint="another program upgraded the table; logsink needs one of Delta protocol (1, 2)",
            )
    complete = [key for key, keys in parts.items() if len(keys) == key[1]]
    newest = max((key for key in complete if key[0] not in without), default=(-1, 1))
    last = max(max(commits, default=-1), max(complete, default=(-1, 1))[0])
    return _Listing(frozenset(commits), newest[0], parts.get(newest, []), last)


async def _read(store: Store, listing: _Listing, base: Snapshot) -> Snapshot:
    """Return ``base`` (empty, or a known version) brought to the listing's last version. Raises ``NotFound``: list again."""
    start = base.version if base.version >= 0 else listing.checkpoint
    tail = range(start + 1, listing.last + 1)
    if not all(version in listing.commits for version in tail):
        raise NotFound("cannot read the table's log: its listing has a gap")
    if base.version >= 0 and not tail:
        return base
    parts = [] if base.version >= 0 else list(listing.parts)
    keys = parts + [commit_key(version) for version in tail]
    bodies = await run_concurrently([partial(store.get, key) for key in keys], _READS)
    fold = _Fold(base)
    for body in bodies[: len(parts)]:
        await asyncio.to_thread(fold.checkpoint, body)
    for body in bodies[len(parts) :]:
        fold.commit(parse_commit(body))
    return fold.snapshot(listing.last, listing.checkpoint, base.loaded)


class _Fold:
    """Applies actions one after the other: the last one counts for each path and ``appId``, for metadata and protocol."""

    def __init__(self, base: Snapshot) -> None:
        self._files = dict(base.files)
        self._txn = dict(base.txn)
        self._moved = dict(base.moved)
        self._tombstones = dict(base.tombstones)
        self._removed = dict(base.removed)
        self._lost = dict(base.lost)
        self._accepted = set(base.accepted)
        self._known = base.version >= 0
        self._protocol: Json | None = None
        self._metadata: Json | None = None

    def snapshot(self, version: int, checkpoint: int, loaded: float) -> Snapshot:
        """Return the result. Raises ``FormatError`` when protocol or metadata are not those of a table of logsink."""
        if version >= 0 and not self._known and (self._protocol is None or self._metadata is None):
            raise FormatError("cannot read the table: its log holds no protocol or no metadata")
        if self._protocol is not None:
            refuse_protocol(self._protocol)
        if self._metadata is not None:
            refuse_metadata(self._metadata)
        return Snapshot(
            version,
            self._files,
            self._txn,
            self._moved,
            self._tombstones,
            checkpoint,
            loaded,
            removed=self._removed,
            lost=self._lost,
            accepted=frozenset(self._accepted),
        )

    def commit(self, actions: Iterable[Json]) -> None:
        """Apply one commit's actions."""
        try:
            for action in actions:
                if (add := action.get("add")) is not None:
                    path, day = add["path"], add["partitionValues"].get("date")
                    self._add(path, add["size"], day, add.get("stats") or "{}", add.get("tags") or {})
                elif (remove := action.get("remove")) is not None:
                    self._remove(remove["path"], remove.get("deletionTimestamp") or 0, remove.get("tags") or {})
                elif (txn := action.get("txn")) is not None:
                    self._move(txn)
                self._protocol = action.get("protocol") or self._protocol
                self._metadata = action.get("metaData") or self._metadata
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"cannot read a commit of the table's log: {error!r}") from error

    def checkpoint(self, body: bytes) -> None:
        """Apply one part of a checkpoint; it has at most one action for each path and ``appId``."""
        try:
            table = pq.ParquetFile(pa.BufferReader(body)).read(columns=_CHECKPOINT_COLUMNS).combine_chunks()
            add, remove, txn = (_struct(table, name) for name in ("add", "remove", "txn"))
            for path, size, day, statistics, tags in _adds(add):
                self._add(path, size, day, statistics or "{}", dict(tags or ()))
            for row in remove.to_pylist():
                self._remove(row["path"], row.get("deletionTimestamp") or 0, dict(row.get("tags") or ()))
            for row in txn.to_pylist():
                self._move(row)
            for row in _struct(table, "protocol").to_pylist():
                self._protocol = row
            for row in _struct(table, "metaData").to_pylist():
                row["configuration"] = dict(row.get("configuration") or ())
                self._metadata = row
        except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
            raise _Damaged(f"cannot read a checkpoint of the table's log: {error}") from error

    def _add(self, path: str, size: int, day: str | None, statistics: str, tags: Mapping[str, str]) -> None:
        decoded = unquote(path)
        if "://" in decoded or decoded.startswith("/"):
            raise FormatError(f"cannot read the table: data file {decoded} is outside of it")
        try:
            date = datetime.date.fromisoformat(day or "")
        except ValueError:
            raise FormatError(f"cannot read the table: data file {decoded} has no date, but {day!r}") from None
        self._files[decoded] = DataFile(decoded, date, size, statistics, tuple(sorted(tags.items())))
        self._tombstones.pop(decoded, None)
        self._removed.pop(decoded, None)

    def _move(self, txn: Json) -> None:
        app_id, version = txn["appId"], txn["version"]
        if app_id.startswith(LOST):
            self._lost[app_id.removeprefix(LOST)] = version
        elif app_id.startswith(ACCEPTED):
            self._accepted.add(app_id.removeprefix(ACCEPTED))
        else:
            self._txn[app_id] = version
            self._moved[app_id] = txn.get("lastUpdated") or 0

    def _remove(self, path: str, deleted: int, tags: Mapping[str, str]) -> None:
        decoded = unquote(path)
        self._files.pop(decoded, None)
        self._tombstones[decoded] = deleted
        if tags:
            self._removed[decoded] = tuple(sorted(tags.items()))


_CHECKPOINT_COLUMNS = [
    "add.path",
    "add.partitionValues",
    "add.size",
    "add.stats",
    "add.tags",
    "remove.path",
    "remove.deletionTimestamp",
    "remove.tags",
    "txn.appId",
    "txn.version",
    "txn.lastUpdated",
    "protocol",
    "metaData",
]


def _adds(add: pa.StructArray) -> Iterator[tuple[str, int, str | None, str | None, Sequence[tuple[str, str]] | None]]:
    """Yield path, size, date, statistics and tags of each file in a checkpoint."""
    if not len(add):
        return
    stats, tags = (
        add.field(name) if add.type.get_field_index(name) >= 0 else pa.nulls(len(add)) for name in ("stats", "tags")
    )
    days = pc.map_lookup(add.field("partitionValues"), pa.scalar("date"), "first")
    columns = (add.field("path"), add.field("size"), days, stats, tags)
    yield from zip(*(column.to_pylist() for column in columns), strict=True)


def _struct(table: pa.Table, name: str) -> pa.StructArray:
    """Return the rows of a checkpoint that hold the action ``name``."""
    if name not in table.column_names:
        return pa.array([], pa.struct([]))
    column = table.column(name)
    return pa.concat_arrays(column.drop_null().chunks) if column.num_chunks else pa.array([], column.type)


def refuse_protocol(protocol: Mapping[str, Any]) -> None:
    """Raise ``FormatError`` unless the table needs at most reader version 1 and writer version 2, and no features."""
    reader, writer = protocol.get("minReaderVersion"), protocol.get("minWriterVersion")
    features = [*(protocol.get("readerFeatures") or ()), *(protocol.get("writerFeatures") or ())]
    if features or not (isinstance(reader, int) and reader <= 1 and isinstance(writer, int) and writer <= 2):
        raise FormatError(
            f"cannot use the table: it needs Delta protocol ({reader}, {writer}) {' '.join(features)}".rstrip(),
            hint="another program upgraded the table; logsink reads and writes protocol (1, 2) without features",
        )


def refuse_metadata(metadata: Mapping[str, Any]) -> None:
    """Raise ``FormatError`` unless partitioning, format and settings are logsink's, and columns its own or a superset."""
    configuration = metadata.get("configuration") or {}
    if "delta.setTransactionRetentionDuration" in configuration:
        raise FormatError(
            "cannot use the table: it has delta.setTransactionRetentionDuration, which would forget what is archived",
            hint="remove that property; without it every journal segment's rows are in the table exactly once",
        )
    if metadata.get("partitionColumns") != ["date"] or (metadata.get("format") or {}).get("provider") != "parquet":
        raise FormatError("cannot use the table: it is not Parquet partitioned by date; logsink did not make it")
    try:
        columns = {column["name"]: column for column in orjson.loads(metadata["schemaString"])["fields"]}
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise FormatError(f"cannot read the table's schema: {error!r}") from error
    for column in schema_fields():
        found = columns.pop(column["name"], None)
        stricter = found is not None and column["nullable"] and not found.get("nullable", True)
        if found is None or found.get("type") != column["type"] or stricter:
            raise FormatError(f"cannot use the table: column {column['name']} is {found}, not {column}")
    for name, column in columns.items():
        if not column.get("nullable", True):
            raise FormatError(f"cannot use the table: column {name} must have a value, and logsink knows of none")


def schema_fields() -> list[Json]:
    """Return the table's columns as the log spells them."""
    return [
        {"name": column.name, "type": _TYPES[column.type], "nullable": column.nullable, "metadata": {}}
        for column in TABLE_SCHEMA
    ]


def _bounds(values: Mapping[str, Any], slack: int) -> dict[str, int | str]:
    """Return bounds with instants in microseconds. One written in milliseconds was cut, so it may be ``slack`` more."""
    bounds: dict[str, int | str] = {}
    for name, value in values.items():
        if name in _INSTANTS:
            try:
                instant = int(np.datetime64(value.removesuffix("Z"), "us").astype(np.int64))
            except ValueError:
                continue
            bounds[name] = instant if len(value.rpartition(".")[2]) > 4 else instant + slack
        elif isinstance(value, int | str):
            bounds[name] = value
    return bounds
