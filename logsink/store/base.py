"""The one interface to storage. Two implementations, one conformance suite (tests/conformance) for every contract here.

Keys are relative to the store's URL: ``/``-separated, of ``[A-Za-z0-9._=-]``, never empty, never beginning with ``/`` or ``.``.
An object appears whole or not at all, and its bytes never change unless somebody puts that key again.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

Bytes = bytes | bytearray | memoryview


class Entry(NamedTuple):
    """One listed object: its key, size in bytes, and time of last modification in seconds since the epoch (store's clock)."""

    key: str
    size: int
    modified: float


class Store(abc.ABC):
    """Objects under keys. Every method raises ``Unavailable`` (may be tried again) or ``Refused`` (may not) for trouble.

    Safe for concurrent use by tasks of one event loop. Cancelling a call leaves a write done or not done, never half done.
    """

    url: str
    """As the user wrote it, without credentials."""

    @abc.abstractmethod
    async def put(self, key: str, body: Bytes) -> None:
        """Write ``body`` under ``key``, replacing what is there. Idempotent. Durable when it returns."""

    @abc.abstractmethod
    async def put_absent(self, key: str, body: Bytes) -> bool:
        """Write ``body`` under ``key`` unless something is there. Of racing calls exactly one returns True.

        False means that something is there: it may be this very body, from an earlier try whose reply was lost.
        After ``Unavailable`` the outcome is unknown.
        """

    @abc.abstractmethod
    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes ``[start, end)`` of the object (to its end when ``end`` is None). A negative ``start`` counts from the end.

        A range beyond the object's end is cut to it. Raises ``NotFound``.
        """

    @abc.abstractmethod
    def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        """Entries whose key starts with ``prefix`` and is greater than ``after``, in order of their keys' bytes.

        Every object stored before the call began and not deleted since is listed. ``prefix`` need not end at a ``/``.
        """

    @abc.abstractmethod
    async def delete(self, keys: Iterable[str]) -> None:
        """Remove these objects. A key with no object is no error. Idempotent; on an error some may be gone."""

    @abc.abstractmethod
    async def now(self) -> float:
        """The store's own clock, seconds since the epoch (S3: the Date header of a reply)."""

    @abc.abstractmethod
    async def probe(self) -> None:
        """Prove that this store can be written and honours put-if-absent under a race; ``Refused`` says what is wrong."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Release connections. The store cannot be used afterwards. Idempotent."""

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
