"""A cursor: how far somebody has read a store, as a value and as text that another process goes on from."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import orjson

from logsink.archive import DORMANT, receiver_of
from logsink.errors import ArgumentError
from logsink.query.read import Plan, Reached, file_bounds

_VERSION = 1
"""Version of the text: base64 (RFC 4648, 5, without padding) of zlib of a JSON array of the version and the three fields."""


@dataclass
class Cursor:
    """How far somebody has read.

    lanes     appId of a lane (``receiver.lane``) -> the sequence of the last segment that was read. Besides, there is a key
              ``dormant:<SHA-256>`` for each object of dormant lanes whose lanes were read to their ends
    reads     receiver -> the time of its last rows that were read, in microseconds since the epoch (column ``received``).
              Under ``DORMANT``: a time that no row of a dormant lane is later than
    ordinals  receiver -> the ordinal of the last segment that was read, where that is known
    """

    lanes: dict[str, int] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    ordinals: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The cursor as text without spaces."""
        packed = zlib.compress(orjson.dumps([_VERSION, self.lanes, self.reads, self.ordinals]), 9)
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor that ``text`` was made of. ``ArgumentError`` for text that is no cursor."""
        try:
            padded = text.strip() + "=" * (-len(text.strip()) % 4)
            version, *parts = orjson.loads(zlib.decompress(base64.urlsafe_b64decode(padded)))
            numbers = all(isinstance(number, int) for part in parts for number in part.values())
            if version == _VERSION and len(parts) == 3 and numbers:
                return cls(*parts)
        except (ValueError, TypeError, AttributeError, zlib.error):
            pass
        raise ArgumentError(
            f"cannot read {text[:40]!r} as a cursor", hint="take one that --cursor-file or --show-cursor gave"
        )

    @classmethod
    def at_end_of(cls, plan: Plan, reached: Reached = MappingProxyType({})) -> Cursor:
        """Return the cursor of somebody who has read everything in a plan, and the journal as far as ``reached`` says.

        ``reads`` is what these segments and the files of the archive tell. Where no segment was read, ``Follower.settle``
        completes it from the journal.
        """
        cursor = cls(dict(plan.snapshot.txn))
        for app_id, intervals in plan.snapshot.held.items():
            cursor.advance_lane(app_id, intervals[-1][1])
        for segment in plan.segments:
            cursor.advance_lane(segment.name.app_id, segment.name.sequence)
        ends = {
            file.path.rpartition("/")[2]: int(file_bounds(file, "received").high or 0)
            for file in plan.snapshot.files.values()
        }
        latest = max(ends.values(), default=0)
        for receiver in {receiver_of(app_id) for app_id in cursor.lanes}:
            own = [end for name, end in ends.items() if name.startswith(f"{receiver}-")]
            if receiver in reached:
                cursor.ordinals[receiver], last = reached[receiver]
                own.append(last)
            cursor.reads[receiver] = max(own, default=latest)
        cursor.pass_dormant(plan.snapshot.dormant)
        if plan.snapshot.dormant:
            cursor.reads[DORMANT] = latest
        return cursor

    @property
    def dormant(self) -> dict[str, int]:
        """The objects of dormant lanes that were all read, as in ``Snapshot.dormant``. ``lanes`` does not name these lanes."""
        return {key.removeprefix(DORMANT): newest for key, newest in self.lanes.items() if key.startswith(DORMANT)}

    def pass_dormant(self, dormant: Mapping[str, int]) -> None:
        """Note that everything in the lanes of these objects was read; ``dormant``: as in ``Snapshot.dormant``."""
        self.lanes.update({DORMANT + name: newest for name, newest in dormant.items()})

    def advance_lane(self, app_id: str, sequence: int) -> None:
        """Note that a lane was read up to ``sequence``, if it was not read further."""
        self.lanes[app_id] = max(self.lanes.get(app_id, 0), sequence)

    def advance_read(self, receiver: str, received: int) -> None:
        """Note that a receiver's rows were read up to this time of receipt, if they were not read further."""
        self.reads[receiver] = max(self.reads.get(receiver, received), received)
