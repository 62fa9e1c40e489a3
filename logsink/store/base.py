"""``Store``, the interface to object storage. tests/conformance holds every implementation to the contracts stated here.

Keys are relative to the store's URL: names of ``[A-Za-z0-9._=-]``, none beginning with ``.``, joined by ``/``
(``check_key``). No key may be another's parent: where ``a/b`` is stored, ``a`` is not, because a directory could not hold
both. An object appears whole or not at all, and its bytes never change unless somebody puts that key again.
"""

from __future__ import annotations

import abc
import re
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple, Self

from logsink.errors import ArgumentError, Refused

Bytes = bytes | bytearray | memoryview

MARKER = "store.json"
"""Key of the object that says which store this is (``marker``)."""

LONGEST_KEY = 800
"""Most characters of a key: S3 allows 1,024 bytes, of which the store's own prefix takes some."""

LONGEST_NAME = 200
"""Most characters between two ``/``: file systems allow 255 bytes, and other programs add suffixes for temporary files."""

_NAME = rf"(?!\.)[A-Za-z0-9._=-]{{1,{LONGEST_NAME}}}"
_KEY = re.compile(rf"{_NAME}(?:/{_NAME})*")
_PREFIX = re.compile(rf"(?:{_NAME}/)*(?:{_NAME})?")


def is_key(text: str) -> bool:
    """Return whether ``text`` can be a key."""
    return len(text) <= LONGEST_KEY and _KEY.fullmatch(text) is not None


def check_key(key: str) -> str:
    """Return ``key``. Raises ``ArgumentError`` unless it can be a key."""
    if not is_key(key):
        raise ArgumentError(
            f"cannot use {key!r} as a key: names of letters, digits and ._=- joined by /, none beginning with a dot, "
            f"{LONGEST_NAME} characters a name, {LONGEST_KEY} in all"
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return ``prefix``. Raises ``ArgumentError`` unless a key can begin with it."""
    if _PREFIX.fullmatch(prefix) is None or len(prefix) > LONGEST_KEY:
        raise ArgumentError(f"cannot list {prefix!r}: no key begins so")
    return prefix


def check_range(start: int, end: int | None) -> None:
    """Raise ``ArgumentError`` unless ``Store.get`` takes the range."""
    if end is not None and (start < 0 or end < 0):
        raise ArgumentError(f"cannot get bytes {start} to {end}: a start that counts from the end goes without an end")


class Entry(NamedTuple):
    """A listed object: its key, bytes, and time of last modification by the store's clock in seconds since the epoch.

    ``etag`` is another whenever other bytes are put under the key; "" where the store does not say one.
    """

    key: str
    size: int
    modified: float
    etag: str = ""


class Store(abc.ABC):
    """Objects under keys. In trouble every method raises ``Unavailable`` (may be tried again) or ``Refused`` (may not).

    Opening a store touches nothing: the first write makes what is needed, and reading leaves no trace. Tasks of one event loop
    may use a store at the same time. Cancelling a call leaves a write done or not done, never half done; it may still take
    place later. A ``body`` must not change before the call has returned. Text that cannot be a key raises ``ArgumentError``.
    """

    url: str
    """The URL that opens this store again: ``file:///dir`` or ``s3://bucket/prefix``, absolute, without ``/`` at the end."""

    @abc.abstractmethod
    async def put(self, key: str, body: Bytes) -> None:
        """Write ``body`` under ``key``, replacing an object that is there. Idempotent. Durable when it returns."""

    @abc.abstractmethod
    async def put_absent(self, key: str, body: Bytes) -> bool:
        """Write ``body`` under ``key`` unless an object is there. Of racing calls exactly one returns True.

        Durable when it returns True. False means that an object is there, durably: it may be this very body, from an earlier
        try whose reply was lost. After ``Unavailable`` the outcome is unknown (``put_once`` finds it out).
        """

    async def put_locked(self, key: str, body: Bytes, *, until: float) -> bool:
        """Do as ``put_absent``, and have the store refuse to delete or replace the object ``until`` then (seconds since 1970).

        Raises ``Refused`` where the store cannot do that: only S3 can, and only in buckets that were made with Object Lock.
        """
        raise Refused(
            f"cannot lock {key} in {self.url}: only buckets with S3 Object Lock can", hint="unset ledger.object_lock"
        )

    @abc.abstractmethod
    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes ``[start, end)`` of the object (to its end when ``end`` is None).

        A negative ``start`` counts from the object's end, and excludes an ``end``. A range that reaches beyond the object is
        cut to it, possibly to nothing. Raises ``NotFound``, and ``MediumError`` where a disk cannot read it.
        """

    @abc.abstractmethod
    def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        """Yield the entries whose key starts with ``prefix`` and is greater than ``after``, in order of their keys' bytes.

        Every object stored before the call began and not deleted since is listed. ``prefix`` need not end with ``/``. Objects
        whose names cannot be keys are passed over.
        """

    @abc.abstractmethod
    async def delete(self, keys: Iterable[str]) -> None:
        """Delete these objects. A key without an object is no error. Idempotent; after an error some may be deleted.

        A power cut may bring a deleted object of a ``file://`` store back, with the bytes that it had.
        """

    @abc.abstractmethod
    async def exists(self) -> bool:
        """Return whether a store is here: its directory (``file://``), or an object under its prefix (``s3://``)."""

    @abc.abstractmethod
    async def now(self) -> float:
        """Return the time of the store's own clock, seconds since the epoch (S3: the Date header of a reply, in seconds)."""

    async def hold(self) -> None:  # noqa: B027  most stores have no directory to hold
        """Keep to the store that is here now: from now on, calls raise ``Withheld`` while its URL leads to another directory.

        Idempotent; a write does the same. Raises ``NotFound`` when there is no directory. Stores without directories do
        nothing: what is in their marker decides.
        """

    @abc.abstractmethod
    async def probe(self) -> None:
        """Prove that this store can be written and honours put-if-absent in a race. Raises ``Refused`` when it does not."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Release connections. Idempotent. No other method may be called afterwards."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
