"""The marker of a store: the object ``store.json``, which says which store this is. A persistent format.

Layout, version 1: one JSON object::

    format    1
    id        the store's id, a random UUID; segments and commits name it too
    created   when the marker was first written, RFC 3339 in UTC
    by        who wrote it: logsink/<version>
    check     xxh3_64 of all other members as canonical JSON (sorted, without spaces), 16 hexadecimal digits

Constraints: written by put-if-absent only, and never changed or deleted. Members that a later version adds are part of what
``check`` proves, and are ignored here.

Write path: ``archive.identity``, where a receiver settles which store it is on, and ``logsink repair``. Read path: the same,
and ``guarded``, which looks at the marker again and again.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any, NamedTuple

import orjson
import xxhash

from logsink.errors import UPGRADE, FormatError
from logsink.store.base import MARKER

VERSION = 1
"""Format version of markers."""


class Marker(NamedTuple):
    """What a marker says: the ``id`` of the store, when it was ``created`` (RFC 3339), and who wrote the marker (``by``)."""

    id: str
    created: str
    by: str


def new_id() -> str:
    """Return a random id for a new store."""
    return str(uuid.uuid4())


def new_marker(store_id: str, by: str, seconds: float) -> Marker:
    """Return a marker for the store with this id, created ``seconds`` after the epoch."""
    created = datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
    return Marker(store_id, created.replace("+00:00", "Z"), by)


def encode_marker(marker: Marker) -> bytes:
    """Return the bytes of the marker's object."""
    members: dict[str, Any] = {"format": VERSION} | marker._asdict()
    return orjson.dumps(members | {"check": _check(members)}) + b"\n"


def decode_marker(body: bytes) -> Marker:
    """Return the marker that ``body`` holds. Raises ``FormatError`` when it is damaged or of a newer version."""
    try:
        members = orjson.loads(body)
        stated, version = members.pop("check"), members["format"]
        marker = Marker(*(str(members[name]) for name in Marker._fields))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"cannot read {MARKER}", "it is no marker of a store") from error
    if stated != _check(members):
        raise FormatError(f"cannot read {MARKER}", "it does not match its checksum")
    if version != VERSION:
        raise FormatError(
            f"cannot read {MARKER}", f"its format is {version}, and this version reads {VERSION}", hint=UPGRADE
        )
    return marker


def _check(members: dict[str, Any]) -> str:
    return xxhash.xxh3_64_hexdigest(orjson.dumps(members, option=orjson.OPT_SORT_KEYS))
