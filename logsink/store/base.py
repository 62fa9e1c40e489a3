"""The one interface to storage. Several implementations, one conformance suite (tests/conformance) for every contract here.

Keys are relative to the store's URL: names of ``[A-Za-z0-9._=-]``, none beginning with ``.``, joined by ``/``; ``check_key`` is
their law. No key is another's parent: where ``a/b`` is stored, ``a`` is not (a directory could not hold both).
An object appears whole or not at all, and its bytes never change unless somebody puts that key again.
"""

from __future__ import annotations

import abc
import re
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple, Self

from logsink.errors import ArgumentError

Bytes = bytes | bytearray | memoryview

LONGEST_KEY = 800
"""Characters: S3 ends at 1,024 bytes, and the store's own prefix needs some."""

LONGEST_NAME = 200
"""Characters between two ``/``: file systems end at 255 bytes, and leave room for the suffixes of others' temporaries."""

_NAME = rf"(?!\.)[A-Za-z0-9._=-]{{1,{LONGEST_NAME}}}"
_KEY = re.compile(rf"{_NAME}(?:/{_NAME})*")
_PREFIX = re.compile(rf"(?:{_NAME}/)*(?:{_NAME})?")


def is_key(text: str) -> bool:
    """Whether ``text`` can be a key."""
    return len(text) <= LONGEST_KEY and _KEY.fullmatch(text) is not None


def check_key(key: str) -> str:
    """``key`` itself; ``ArgumentError`` unless it can be one."""
    if not is_key(key):
        raise ArgumentError(
            f"cannot use {key!r} as a key: names of letters, digits and ._=- joined by /, none beginning with a dot, "
            f"{LONGEST_NAME} characters a name, {LONGEST_KEY} in all"
        )
    return key


def check_prefix(prefix: str) -> str:
    """``prefix`` itself; ``ArgumentError`` unless a key can begin so."""
    if _PREFIX.fullmatch(prefix) is None or len(prefix) > LONGEST_KEY:
        raise ArgumentError(f"cannot list {prefix!r}: no key begins so")
    return prefix


def check_range(start: int, end: int | None) -> None:
    """``ArgumentError`` unless ``Store.get`` defines the range."""
    if end is not None and (start < 0 or end < 0):
        raise ArgumentError(f"cannot get bytes {start} to {end}: a start that counts from the end goes without an end")


class Entry(NamedTuple):
    """One listed object: its key, size in bytes, and time of last modification in seconds since the epoch (store's clock)."""

    key: str
    size: int
    modified: float


class Store(abc.ABC):
    """Objects under keys. Every method raises ``Unavailable`` (may be tried again) or ``Refused`` (may not) for trouble.

    Opening a store touches nothing: the first write makes what is needed, and reading leaves no trace.
    Safe for concurrent use by tasks of one event loop. Cancelling a call leaves a write done or not done, never half done;
    it may still take place later. A ``body`` must not change before the call has returned.
    A key that cannot be one is an ``ArgumentError``.
    """

    url: str
    """What ``open_store`` opens again: ``file:///dir`` or ``s3://bucket/prefix``, absolute, without ``/`` at the end."""

    @abc.abstractmethod
    async def put(self, key: str, body: Bytes) -> None:
        """Write ``body`` under ``key``, replacing what is there. Idempotent. Durable when it returns."""

    @abc.abstractmethod
    async def put_absent(self, key: str, body: Bytes) -> bool:
        """Write ``body`` under ``key`` unless something is there. Of racing calls exactly one returns True.

        Durable when it returns True. False means that something is there, durably: it may be this very body, from an earlier
        try whose reply was lost. After ``Unavailable`` the outcome is unknown (``retry.put_once`` finds it out).
        """

    @abc.abstractmethod
    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes ``[start, end)`` of the object (to its end when ``end`` is None).

        A negative ``start`` counts from the end and goes without ``end``. A range beyond the object is cut to it, to nothing
        if need be. Raises ``NotFound``.
        """

    @abc.abstractmethod
    def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        """Entries whose key starts with ``prefix`` and is greater than ``after``, in order of their keys' bytes.

        Every object stored before the call began and not deleted since is listed. ``prefix`` need not end at a ``/``.
        Objects under names that cannot be keys are passed over.
        """

    @abc.abstractmethod
    async def delete(self, keys: Iterable[str]) -> None:
        """Remove these objects. A key with no object is no error. Idempotent; on an error some may be gone.

        A power cut may bring a deleted object of a ``file://`` store back, with the bytes that it had.
        """

    @abc.abstractmethod
    async def exists(self) -> bool:
        """Whether there is a store here: its directory (``file://``), an object under its prefix (``s3://``)."""

    @abc.abstractmethod
    async def now(self) -> float:
        """The store's own clock, seconds since the epoch (S3: the Date header of a reply, whole seconds)."""

    @abc.abstractmethod
    async def probe(self) -> None:
        """Prove that this store can be written and honours put-if-absent under a race; ``Refused`` says what is wrong."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Release connections. The store cannot be used afterwards. Idempotent."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
