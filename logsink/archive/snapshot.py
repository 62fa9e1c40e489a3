"""Snapshots: one version of the table: its live files, how far each lane of the journal is archived, and what is damaged.

``loading`` reads one from the table's log.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson
import pyarrow as pa

from logsink.archive.dormant import born, receiver_of
from logsink.archive.lanes import Lanes, covers
from logsink.damage import Damage
from logsink.errors import FormatError
from logsink.journal import SegmentName
from logsink.parse import TABLE_SCHEMA

ROOT = "logs/"
"""Prefix of the table in the store; paths in the log are relative to it."""

LOG = ROOT + "_delta_log/"
HINT = LOG + "_last_checkpoint"

LOST, ACCEPTED = "lost:", "accepted:"
"""An ``appId`` that begins so is no lane: it records that the object under the key behind it is lost (``version``: the number
of rows that it had, 0 where nobody knows), or that an operator has accepted that."""

DORMANT = "dormant:"
"""An ``appId`` that begins so is no lane either: it names an object with dormant lanes (``dormant``)."""

ASLEEP = -1
"""The version of a lane that a commit makes dormant: it is in an object of dormant lanes from then on."""

LAST_VERSION: Final = (1 << 63) - 1
"""The greatest version of a table. An object of the log with a greater one is somebody else's."""

_COMMIT = re.compile(r"([0-9]{20})\.json")
_CHECKPOINT = re.compile(r"([0-9]{20})\.checkpoint(?:\.[0-9]{10}\.([0-9]{10}))?\.parquet")

_EPOCH, _MICROSECOND = datetime.datetime(1970, 1, 1), datetime.timedelta(microseconds=1)  # noqa: DTZ001  UTC, as in the log
_INSTANTS = {column.name for column in TABLE_SCHEMA if pa.types.is_timestamp(column.type)}

Json = dict[str, Any]


def commit_key(version: int) -> str:
    """Return the key of the commit of ``version``."""
    return f"{LOG}{version:020d}.json"


def commit_version(key: str) -> int | None:
    """Return the version of the commit with this key; None for the key of something else."""
    match = _COMMIT.fullmatch(key.removeprefix(LOG))
    return int(match[1]) if match and int(match[1]) <= LAST_VERSION else None


def checkpoint_key(version: int) -> str:
    """Return the key of the checkpoint of ``version`` in one part."""
    return f"{LOG}{version:020d}.checkpoint.parquet"


def checkpoint_part(key: str) -> tuple[int, int] | None:
    """Return the version of the checkpoint whose part has this key, and the number of its parts; None for other keys."""
    match = _CHECKPOINT.fullmatch(key.removeprefix(LOG))
    return (int(match[1]), int(match[2] or 1)) if match and int(match[1]) <= LAST_VERSION else None


class Statistics(NamedTuple):
    """What the log says about one file's rows, by column: instants as microseconds since the epoch, other values as they are.

    ``minimum`` and ``maximum`` are bounds: long strings are cut, and rounded up for ``maximum``. A column that both lack is
    either unknown or null in all rows; ``nulls`` tells which.
    """

    rows: int
    minimum: Mapping[str, int | str]
    maximum: Mapping[str, int | str]
    nulls: Mapping[str, int]


Tags = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""


def join_tags(tags: Iterable[tuple[str, str]]) -> str:
    """Return tags as ``DataFile.packed`` has them. ``FormatError``: a text has a zero byte, which no tag of logsink has."""
    texts = [text for tag in sorted(tags) for text in tag]
    if any("\0" in text for text in texts):
        raise FormatError("cannot read the table", "a data file has a tag with a zero byte")
    return "\0".join(texts)


def split_tags(packed: str) -> Tags:
    """Return the tags that ``join_tags`` joined."""
    texts = packed.split("\0") if packed else []
    return tuple(zip(texts[::2], texts[1::2], strict=False))


class _Fields(NamedTuple):
    path: str
    date: datetime.date
    size: int
    statistics: str
    packed: str = ""


class DataFile(_Fields):
    """One live Parquet file. Immutable.

    path         relative to ``logs/``
    date         its partition
    size         in bytes
    statistics   the log's JSON, parsed by ``stats`` when somebody asks
    packed       ``tags`` as one text, split when somebody asks: a table may have a hundred thousand files
    """

    @property
    def tags(self) -> Tags:
        """What the file's ``add`` says to prove it (docs/storage.md); empty for files of older versions."""
        return split_tags(self.packed)

    def tagged(self, tags: Iterable[tuple[str, str]]) -> DataFile:
        """Return this file with these tags instead of its own."""
        return self._replace(packed=join_tags(tags))

    @property
    def key(self) -> str:
        """The file's key in the store."""
        return ROOT + self.path

    @property
    def rows(self) -> int:
        return self.stats.rows

    @property
    def known_rows(self) -> int | None:
        """How many rows the log says that the file has; None where it does not say, because it is damaged."""
        try:
            return self.rows
        except FormatError:
            return None

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
            raise FormatError(f"cannot read statistics of data file {self.path}", repr(error)) from error


class Snapshot(NamedTuple):
    """The table at ``version``; -1 when there is no table. Immutable.

    files        live data files by path
    txn          ``appId`` -> last sequence whose rows are in the table
    moved        ``appId`` -> milliseconds since the epoch when its txn was committed, by the committer's clock
    tombstones   path -> milliseconds since the epoch when it left the table
    checkpoint   version of the newest checkpoint that was seen and is not known to be damaged, -1: none
    loaded       monotonic seconds at which its listing began: everything committed before is in it
    damage       what is damaged or missing in the log: then the rest of the snapshot is what the rest of the log proves
    lost         keys of objects that are recorded as lost -> rows that they had, 0 where nobody knows
    accepted     keys of lost objects of which an operator has said that they need not be named any more
    store        id of the store that the newest commit says it was made for; "" where none does
    head         SHA-256 of the newest commit (``chain``); "" where that is not known
    sealed       whether any commit that was read is sealed
    state        digest of files and transactions, hexadecimal (``chain.State``); "" where no commit has said one yet
    removed      path -> tags of the files in ``tombstones``, as far as their ``remove`` says them
    schema       the table's columns, as ``metaData.schemaString`` has them; "" where the log does not say
    metadata     the table's ``metaData``, as the log has it; empty where the log does not say
    created      milliseconds since the epoch when the table was made or its log rebuilt, by the clock of who did it; 0: unknown
    held         while the log is damaged: which sequences of which lanes are in live files, as the tags of these say
    dormant      SHA-256 of each object of dormant lanes -> milliseconds since the epoch of the latest birth of a receiver in it
    awake        receiver -> ``appId`` of its dormant lanes -> their last sequence, of receivers that were looked up
    all_awake    whether all dormant lanes were looked up
    """

    version: int = -1
    files: Mapping[str, DataFile] = MappingProxyType({})
    txn: Mapping[str, int] = MappingProxyType({})
    moved: Mapping[str, int] = MappingProxyType({})
    tombstones: Mapping[str, int] = MappingProxyType({})
    checkpoint: int = -1
    loaded: float = 0.0
    damage: tuple[Damage, ...] = ()
    lost: Mapping[str, int] = MappingProxyType({})
    accepted: frozenset[str] = frozenset()
    store: str = ""
    head: str = ""
    sealed: bool = False
    state: str = ""
    removed: Mapping[str, Tags] = MappingProxyType({})
    created: int = 0
    schema: str = ""
    metadata: Mapping[str, Any] = MappingProxyType({})
    held: Lanes = MappingProxyType({})
    dormant: Mapping[str, int] = MappingProxyType({})
    awake: Mapping[str, Mapping[str, int]] = MappingProxyType({})
    all_awake: bool = False

    @property
    def intact(self) -> bool:
        """Whether everything in the log that this was read from proves itself."""
        return not self.damage

    def covers(self, name: SegmentName) -> bool:
        """Return whether the rows of this segment are in the table (invariant I3). Raises what ``last`` raises."""
        return name.sequence <= self.last(name.app_id)

    def last(self, app_id: str) -> int:
        """Return the last sequence of a lane whose rows are in the table, 0 when there is none.

        Raises ``FormatError`` when the lane may be dormant and was not looked up (``DeltaLog.wake``): then nobody knows.
        """
        reached = self.txn.get(app_id)
        if reached is not None or not self.dormant:
            return reached or 0
        receiver = receiver_of(app_id)
        if receiver not in self.awake and self.perhaps_dormant([receiver]) and receiver not in self.receivers:
            raise FormatError(f"cannot tell where lane {app_id} stands", "it was not looked up among dormant lanes")
        return self.awake.get(receiver, {}).get(app_id, 0)

    @property
    def reached(self) -> Mapping[str, int]:
        """``txn`` with the dormant lanes that were looked up."""
        if not self.awake:
            return self.txn
        return {app_id: last for lanes in self.awake.values() for app_id, last in lanes.items()} | dict(self.txn)

    @property
    def receivers(self) -> set[str]:
        """The receivers of which a lane is in ``txn``."""
        return {receiver_of(app_id) for app_id in self.txn}

    def perhaps_dormant(self, receivers: Iterable[str]) -> set[str]:
        """Return those that were not looked up, and born early enough to be dormant, as far as their ids say."""
        if not self.dormant or self.all_awake:
            return set()
        newest = max(self.dormant.values())
        return {one for one in receivers if one not in self.awake and 0 <= born(one) <= newest}

    def shows(self, name: SegmentName) -> bool:
        """Return whether live files have the rows of this segment: a query that read it too would show them twice.

        Where the commit that archived them is damaged, the file into which they were merged later says so.
        """
        return self.covers(name) or covers(self.held, name.app_id, name.sequence)


def _bounds(values: Mapping[str, Any], slack: int) -> dict[str, int | str]:
    """Return bounds with instants in microseconds. One written in milliseconds was cut, so it may be ``slack`` more."""
    bounds: dict[str, int | str] = {}
    for name, value in values.items():
        if name in _INSTANTS:
            try:
                instant = (datetime.datetime.fromisoformat(value.removesuffix("Z")) - _EPOCH) // _MICROSECOND
            except (ValueError, TypeError):
                continue
            bounds[name] = instant if len(value.rpartition(".")[2]) > 4 else instant + slack
        elif isinstance(value, int | str):
            bounds[name] = value
    return bounds
