"""Ledgers: one object a date, ``ledger/<date>.json``, that says which rows the archive had when the date was over.

A persistent format, JSON, put if absent and never changed::

    format      1
    store       id of the store (``store.json``)
    date        the date (UTC, of ``received``) that the ledger closes
    written     when, RFC 3339
    by          logsink/<version>
    chain       version of the table, and the SHA-256 of its commit: what the ledger says was so in that version
    rows        number of rows of the date
    hours       hour (``YYYY-MM-DDTHH``) -> number of rows, and their digest (``digest``)
    objects     path, size and SHA-256 of each data file of the date
    unproved    rows of files of older versions, which have no digest: they are in ``rows``, and not in ``hours``
    previous    date and SHA-256 of the ledger before this one, where there is one: ledgers are a chain too. No other names the
                ledger of a date whose first rows came when that of a later date was written already
    check       SHA-256 of everything but ``check`` and ``signature`` (``payload``)
    signature   key: Ed25519 public key, 64 hex digits; value: signature of the same, 128 hex digits

Whoever has a copy of a ledger can prove later that these rows are still there and no others: by the SHA-256 of files that were
not merged since, and by the digests of the rows, which add up through merging. Who has write access to the store can replace
its ledgers too, so keep copies elsewhere, under Object Lock, or signed by a key that the receivers do not have.

Everything here is pure. Write path: ``closing``. Read path: ``logsink verify``. Deletion: never.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from logsink.archive import chain, digest
from logsink.archive.digest import Digests
from logsink.archive.proof import SHA256_TAG
from logsink.archive.snapshot import DataFile, Snapshot
from logsink.errors import UPGRADE, FormatError

LEDGERS = "ledger/"
"""Prefix of ledgers in the store."""

FORMAT = 1


class Listed(NamedTuple):
    """A data file in a ledger; ``sha256`` is "" for a file of an older version."""

    path: str
    size: int
    sha256: str


class Signature(NamedTuple):
    """An Ed25519 signature (RFC 8032): the public key and the signature, in hexadecimal."""

    key: str
    value: str


class Ledger(NamedTuple):
    """What the archive had of one date; see the module's docstring."""

    store: str
    date: datetime.date
    written: str
    by: str
    version: int
    commit: str
    rows: int
    hours: Digests
    objects: tuple[Listed, ...]
    unproved: int = 0
    previous: tuple[str, str] | None = None
    signature: Signature | None = None


Sign = Callable[[bytes], Signature]


def key_of(date: datetime.date) -> str:
    """Return the key of the ledger of a date."""
    return f"{LEDGERS}{date.isoformat()}.json"


def ledger_date(key: str) -> datetime.date | None:
    """Return the date whose ledger has this key; None for other keys."""
    try:
        date = datetime.date.fromisoformat(key.removeprefix(LEDGERS).removesuffix(".json"))
    except ValueError:
        return None
    return date if key == key_of(date) else None


def make(
    snapshot: Snapshot, date: datetime.date, *, store: str, by: str, written: str, previous: tuple[str, str] | None
) -> Ledger:
    """Return the ledger of a date, as an intact snapshot shows it. ``previous``: date and SHA-256 of the ledger before."""
    files = sorted((file for file in snapshot.files.values() if file.date == date), key=lambda file: file.path)
    hours, unproved = sums(files)
    return Ledger(
        store,
        date,
        written,
        by,
        snapshot.version,
        snapshot.head,
        sum(file.rows for file in files),
        hours,
        tuple(Listed(file.path, file.size, dict(file.tags).get(SHA256_TAG, "")) for file in files),
        unproved,
        previous,
    )


def sums(files: Iterable[DataFile]) -> tuple[Digests, int]:
    """Return the digests of the rows of all files by hour, and the rows of those files that say none."""
    said, unproved = [], 0
    for file in files:
        digests = digest.digests_tag(file.tags)
        if digests is None:
            unproved += file.rows
        else:
            said.append(digests)
    return digest.total(said), unproved


def payload(ledger: Ledger) -> bytes:
    """Return what is checked and signed: all members but ``check`` and ``signature``, sorted by name, without spaces."""
    members = {
        "format": FORMAT,
        "store": ledger.store,
        "date": ledger.date.isoformat(),
        "written": ledger.written,
        "by": ledger.by,
        "chain": [ledger.version, ledger.commit],
        "rows": ledger.rows,
        "hours": {hour: [rows, f"{value:032x}"] for hour, (rows, value) in ledger.hours.items()},
        "objects": [list(one) for one in ledger.objects],
        "unproved": ledger.unproved,
        "previous": ledger.previous,
    }
    return orjson.dumps(members, option=orjson.OPT_SORT_KEYS)


def encode_ledger(ledger: Ledger, sign: Sign | None = None) -> bytes:
    """Return the ledger's object, signed by ``sign``."""
    said = payload(ledger)
    members = orjson.loads(said) | {"check": digest_of(said)}
    if sign is not None:
        members["signature"] = sign(said)._asdict()
    return orjson.dumps(members, option=orjson.OPT_SORT_KEYS) + b"\n"


def decode_ledger(body: bytes) -> Ledger:
    """Return the ledger in ``body``. Raises ``FormatError`` when it is none, or one of a later format."""
    try:
        said = orjson.loads(body)
        if said["format"] != FORMAT:
            why = f"it is of format {said['format']}, and this version reads {FORMAT}"
            raise FormatError("cannot read a ledger", why, hint=UPGRADE)
        version, commit = said["chain"]
        ledger = Ledger(
            str(said["store"]),
            datetime.date.fromisoformat(said["date"]),
            str(said["written"]),
            str(said["by"]),
            int(version),
            str(commit),
            int(said["rows"]),
            {str(hour): (int(rows), int(value, 16)) for hour, (rows, value) in said["hours"].items()},
            tuple(Listed(str(path), int(size), str(sha)) for path, size, sha in said["objects"]),
            int(said["unproved"]),
            _previous(said["previous"]),
            Signature(**said["signature"]) if said.get("signature") else None,
        )
        checked = {name: value for name, value in said.items() if name not in ("check", "signature")}
        proved = digest_of(orjson.dumps(checked, option=orjson.OPT_SORT_KEYS)) == said["check"]
    except orjson.JSONDecodeError as error:
        raise FormatError("cannot read a ledger", f"it is no JSON: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError("cannot read a ledger", repr(error)) from error
    if not proved:
        raise FormatError("cannot read a ledger", "it does not match its checksum")
    return ledger


def _previous(said: Any) -> tuple[str, str] | None:
    if said is None:
        return None
    date, sha = said
    return str(date), str(sha)


def digest_of(body: bytes) -> str:
    """Return what the next ledger says as ``previous``: the SHA-256 of the whole object."""
    return hashlib.sha256(body).hexdigest()


def hours_of(parts: Iterable[Digests]) -> Digests:
    """Return the digests by hour of all rows of which these are some."""
    return digest.total(parts)


def names_commit(ledger: Ledger, commit: bytes) -> bool:
    """Return whether the commit of the ledger's version that it names has this body; True where it names none."""
    return not ledger.commit or chain.digest(commit) == ledger.commit


class Difference(NamedTuple):
    """An hour that does not add up: rows that the ledger says, and rows that are there. ``hour`` is "" for the whole date."""

    hour: str
    said: int
    found: int

    def __str__(self) -> str:
        if self.said == self.found:
            return f"{self.hour}: {self.found:,} rows, as many as the ledger says, but not the same"
        return f"{self.hour}: {self.found:,} rows, where the ledger says {self.said:,}"


def differences(ledger: Ledger, hours: Mapping[str, tuple[int, int]]) -> Sequence[Difference]:
    """Return the hours whose rows are not those that the ledger says, the first one first; ``hours``: what was found."""
    names = sorted({*ledger.hours, *hours})
    nothing = (0, 0)
    return [
        Difference(hour, ledger.hours.get(hour, nothing)[0], hours.get(hour, nothing)[0])
        for hour in names
        if ledger.hours.get(hour, nothing) != hours.get(hour, nothing)
    ]
