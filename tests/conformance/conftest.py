"""Every implementation of ``Store``, empty, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from logsink.place import Bucket, parse
from logsink.store.base import Store
from logsink.store.counting import CountingStore
from logsink.store.local import LocalStore
from logsink.store.memory import MemoryStore
from logsink.store.overlay import OverlayStore
from logsink.store.retry import Retrying
from logsink.store.s3 import S3Store
from tests.support.faulty import FaultyStore
from tests.support.s3 import enter
from tests.support.s3 import moto_server as moto_server
from tests.support.s3 import versitygw_server as versitygw_server


@dataclass
class Counts:
    requests: int = 0
    listings: int = 0
    bytes_read: int = 0


SMALL_PAGE = 7
"""Keys of a page of an S3 listing, so that few objects make several."""


@pytest.fixture(params=["memory", "local", "wrapped", "counting", "overlay", "moto", "versitygw"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    match request.param:
        case "memory":
            opened: Store = MemoryStore()
        case "local":
            opened = LocalStore(tmp_path / "not" / "yet there")
        case "wrapped":
            opened = Retrying(FaultyStore(MemoryStore()))
        case "counting":
            opened = CountingStore(MemoryStore(), Counts())
        case "overlay":
            base = MemoryStore()
            for key in ("a/b/c", "hidden"):
                await base.put(key, b"of the base")
            opened = OverlayStore(base, LocalStore(tmp_path / "over"))
            await opened.delete(["a/b/c", "hidden"])
        case name:
            server = request.getfixturevalue(f"{name}_server")
            enter(monkeypatch, server)
            place = parse(server.fresh_url())
            assert isinstance(place, Bucket)
            opened = S3Store(place, page=SMALL_PAGE)
    async with opened:
        yield opened
