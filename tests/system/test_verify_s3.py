"""``logsink verify`` and ``logsink repair`` on a real S3 server: what they say and mend, and how much they ask the server."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from subprocess import CompletedProcess
from typing import Any

import pytest

from logsink.archive.snapshot import commit_key
from logsink.store import open_store
from tests.support.proxy import Proxy, in_thread
from tests.support.receiver import run
from tests.support.s3 import Server, enter, versitygw_server
from tests.unit.archive.tables import table_of
from tests.unit.integrity.damages import cut, delete, flip

__all__ = ["versitygw_server"]

FILES = 12
ROWS = 5 * FILES
MOST = 3
"""Requests that a data file may cost."""


class Place:
    """A store in S3, and what the verbs ask of the server, which they reach through a proxy."""

    def __init__(self, server: Server, proxy: Proxy) -> None:
        self.url, self._proxy = server.fresh_url(), proxy
        self._environment = server.at(proxy.url).environment

    def run(self, verb: str, *arguments: str) -> CompletedProcess[bytes]:
        self._proxy.requests.clear()
        done = run(verb, "--store", self.url, *arguments, environ=self._environment)
        assert b"Traceback" not in done.stderr
        return done

    def verify(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        done = self.run("verify", "-o", "json", *arguments)
        return done.returncode, json.loads(done.stdout)

    def lines(self, *arguments: str) -> tuple[int, list[str]]:
        done = self.run("repair", "--quiet", *arguments)
        return done.returncode, done.stdout.decode().splitlines()

    def count(self) -> int:
        done = self.run("query", "--count")
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    @property
    def asked(self) -> Counter[str]:
        """How often the last verb asked for each data file."""
        paths = (
            re.search(r"/logs/(date=.*\.parquet)", request.target.replace("%3D", "=")) for request in self.requests
        )
        return Counter(path[1] for path in paths if path)

    @property
    def requests(self) -> Sequence[Any]:
        return self._proxy.requests

    def changes(self) -> list[str]:
        """What the last verb put or deleted."""
        return [request.target for request in self.requests if request.method not in ("GET", "HEAD")]


@pytest.fixture
def place(versitygw_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    enter(monkeypatch, versitygw_server)
    with in_thread(versitygw_server.endpoint) as proxy:
        yield Place(versitygw_server, proxy)


async def filled(place: Place) -> list[str]:
    """Fill the store; return the keys of its data files."""
    async with open_store(place.url) as store:
        return [file.key for file in await table_of(store, lanes=FILES)]


async def listing(place: Place) -> dict[str, int]:
    async with open_store(place.url) as store:
        return {entry.key: entry.size async for entry in store.list()}


@pytest.mark.parametrize("deep", [False, True])
async def test_an_intact_store_is_verified_with_few_requests(place: Place, deep: bool) -> None:
    await filled(place)
    code, found = await asyncio.to_thread(place.verify, *(["--deep"] if deep else []))
    assert (code, found["intact"], found["deep"], found["checked"]["rows"]) == (0, True, deep, ROWS)
    assert len(place.asked) == FILES
    assert max(place.asked.values()) <= MOST
    # Beside the files: each commit is read twice, by the table and by the audit, and there are listings.
    rest = len(place.requests) - place.asked.total()
    assert rest <= 2 * found["checked"]["commits"] + 20
    assert place.changes() == []


async def test_damage_is_named_mended_and_recorded(place: Place) -> None:
    keys = await filled(place)
    async with open_store(place.url) as store:
        await flip(store, keys[0], 100)
        await delete(store, keys[1])
        await cut(store, keys[2])
        await flip(store, commit_key(9))
    before = await listing(place)
    code, shallow = await asyncio.to_thread(place.verify)
    assert (code, shallow["intact"]) == (2, False)
    assert {one["key"] for one in shallow["damages"]} >= {keys[1], keys[2], commit_key(9)}
    assert max(place.asked.values()) <= MOST
    code, deep = await asyncio.to_thread(place.verify, "--deep")
    assert {one["key"] for one in deep["damages"]} >= {*keys[:3], commit_key(9)}
    assert max(place.asked.values()) <= MOST
    assert all(one["remedy"] for one in deep["damages"])

    code, planned = await asyncio.to_thread(place.lines)
    assert (code, planned[-1]) == (2, "run it with --apply to do this")
    assert all(line.startswith("would ") for line in planned[:-1])
    assert place.changes() == []
    assert await listing(place) == before

    code, done = await asyncio.to_thread(place.lines, "--apply")
    assert (code, done[-1]) == (0, "OK: everything is there, but for what is recorded as lost"), done
    assert any(re.match(r"wrote the log anew, as version \d+, with 9 files", line) for line in done), done
    assert await asyncio.to_thread(place.count) == ROWS - 15
    code, found = await asyncio.to_thread(place.verify, "--deep")
    assert (code, found["intact"]) == (0, True)
    lost = {one["key"]: one["rows"] for one in found["lost"]}
    assert {key: lost.get(key) for key in keys} == dict.fromkeys(keys[:3], 5) | dict.fromkeys(keys[3:])
    assert await asyncio.to_thread(place.lines, "--quick") == (0, ["nothing is damaged"])
    assert {key for key in before if key not in await listing(place)} <= {commit_key(9)}
