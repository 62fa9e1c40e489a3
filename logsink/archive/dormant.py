"""Dormant lanes: where the lanes of receivers stood that have archived nothing for long. A persistent format.

Each life of a receiver leaves a transaction for each of its lanes, and they say for ever up to which segment rows are in the
table. So that snapshots and checkpoints do not grow by every life, those of old receivers are made dormant (``dormancy``): one
commit takes them out of the log's state, and names an object that has them. Nothing is forgotten: whoever meets a segment of a
receiver that may be dormant looks there (``DeltaLog.wake``), and knows as much as before.

Layout, under the key ``dormant/<SHA-256 of the object, hexadecimal>.json``, JSON with sorted keys::

    {"format": 1, "store": "<id>", "lanes": {"<receiver>": {"<lane>": <last sequence in the table>, ...}, ...}}

The log has for each object a transaction ``dormant:<SHA-256>``, whose version is the latest birth of a receiver in it. A
receiver's id begins with the time of its birth (UUIDv7, RFC 9562), so nothing has to be read for receivers that were born
later. Only the ids count, as they are written; no clock is asked.

Constraints
  - A receiver is dormant with all of its lanes or with none. So one whose name is in the log's state needs no look.
  - A lane that moves on is in the log's state again, and so are the other lanes of its receiver, by the same commit.
  - What an object says was so when it was written, and a lane never goes back: of several numbers the highest is right.
  - An object is put before the commit that names it, and never changed or deleted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from logsink.errors import UPGRADE, FormatError

PREFIX: Final = "dormant/"

VERSION: Final = 1
"""Format version of the objects."""

_UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_KEY = re.compile(PREFIX + r"([0-9a-f]{64})\.json")

_LANES: Final = "cannot read an object with dormant lanes"

Positions = Mapping[str, Mapping[str, int]]
"""Receiver -> ``appId`` of each of its lanes -> last sequence whose rows are in the table."""


def born(receiver: str) -> int:
    """Return the milliseconds since the epoch at which a receiver's life began, as its id says; -1 where it does not."""
    match = _UUID7.fullmatch(receiver)
    return int(match[1] + match[2], 16) if match else -1


def receiver_of(app_id: str) -> str:
    """Return the receiver of a lane."""
    return app_id.rpartition(".")[0]


def dormant_key(name: str) -> str:
    """Return the key of the object with this SHA-256."""
    return f"{PREFIX}{name}.json"


def dormant_name(key: str) -> str:
    """Return the SHA-256 that a key says; '' where it is the key of something else."""
    match = _KEY.fullmatch(key)
    return match[1] if match else ""


def encode_dormant(store_id: str, positions: Positions) -> tuple[str, bytes]:
    """Return the name (SHA-256) and the bytes of an object."""
    lanes = {
        receiver: {app_id.rpartition(".")[2]: last for app_id, last in those.items()}
        for receiver, those in positions.items()
    }
    body = orjson.dumps({"format": VERSION, "store": store_id, "lanes": lanes}, option=orjson.OPT_SORT_KEYS) + b"\n"
    return hashlib.sha256(body).hexdigest(), body


def decode_dormant(name: str, body: bytes) -> Positions:
    """Return what an object says. ``FormatError`` when it is not what its name says, or of a newer version."""
    if hashlib.sha256(body).hexdigest() != name:
        raise FormatError(_LANES, "it does not match its checksum")
    try:
        said: dict[str, Any] = orjson.loads(body)
        if said["format"] != VERSION:
            why = f"it is of format {said['format']}, and this version reads {VERSION}"
            raise FormatError(_LANES, why, hint=UPGRADE)
        return {
            receiver: {f"{receiver}.{lane}": int(last) for lane, last in lanes.items()}
            for receiver, lanes in said["lanes"].items()
        }
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(_LANES, repr(error)) from error


def latest(*many: Positions) -> dict[str, dict[str, int]]:
    """Return all lanes of these, each with the highest number that one of them says."""
    found: dict[str, dict[str, int]] = {}
    for positions in many:
        for receiver, lanes in positions.items():
            known = found.setdefault(receiver, {})
            for app_id, last in lanes.items():
                known[app_id] = max(last, known.get(app_id, 0))
    return found
