"""The user's cache of a query: which stores have one, what it saves, and that no answer depends on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.platform.caches import choose_user_cache
from logsink.store import MARKER, encode_marker, new_marker, open_store
from tests.support.proxy import Proxy, in_thread
from tests.support.s3 import Server, s3_server
from tests.unit.query.archives import archive, row

__all__ = ["s3_server"]


@pytest.fixture
def proxy(s3_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What an S3 server with an archive, which is the store, is asked; the user's cache is in ``tmp_path``."""
    monkeypatch.setenv("LOGSINK_STORE", url := s3_server.fresh_url())
    choose_user_cache({"XDG_CACHE_HOME": str(tmp_path)})
    with in_thread(s3_server.endpoint) as counting:
        for name, value in s3_server.at(counting.url).environment.items():
            monkeypatch.setenv(name, value)
        asyncio.run(_fill(url))
        yield counting
    choose_user_cache({})


async def _fill(url: str) -> None:
    async with open_store(url) as store:
        for number in range(3):
            await archive(store, [[row(number, host="h", message=f"message {number}")]])
        await store.put(MARKER, encode_marker(new_marker("one", "tests", 0)))


def asked(proxy: Proxy, *arguments: str, verb: str = "query") -> tuple[Result, int]:
    """Run a verb; return its result, and how often something of the table's log was read."""
    proxy.requests.clear()
    result = CliRunner().invoke(main, [verb, "-q", *arguments])
    targets = [request.target for request in proxy.requests]
    return result, sum("_delta_log/0" in target and "list-type" not in target for target in targets)


def test_the_log_is_read_once_and_answers_are_the_same(proxy: Proxy, tmp_path: Path) -> None:
    first, reads = asked(proxy)
    assert first.exit_code == 0
    assert first.stdout.count("message") == 3
    assert reads == 4
    again, reads = asked(proxy)
    assert (again.stdout, again.exit_code, reads) == (first.stdout, 0, 0)
    without, reads = asked(proxy, "--no-cache")
    assert (without.stdout, without.exit_code, reads) == (first.stdout, 0, 4)
    for path in (tmp_path / "logsink/objects").iterdir():
        path.write_bytes(b"")
    damaged, reads = asked(proxy)
    assert (damaged.stdout, damaged.exit_code, reads) == (first.stdout, 0, 4)


@pytest.mark.parametrize(("verb", "sides"), [("audit", 1), ("diff", 2)])
def test_other_verbs_use_the_cache(proxy: Proxy, verb: str, sides: int) -> None:
    arguments: tuple[str, ...] = ("-S", "2026-11-22", "-U", "2026-11-22 1:00", "--utc")
    if verb == "diff":
        arguments = (*arguments, "--before", "2026-11-22 00:00:00.000002")
    first, reads = asked(proxy, *arguments, verb=verb)
    assert (first.exit_code, reads) == (0, 4), first.stderr
    assert asked(proxy, *arguments, verb=verb)[1] == 0
    assert asked(proxy, *arguments, "--no-cache", verb=verb)[1] == 4 * sides


def test_a_commit_that_is_gone_is_damage_though_the_cache_has_it(proxy: Proxy) -> None:
    asked(proxy)
    asyncio.run(_delete("logs/_delta_log/00000000000000000002.json"))
    found, _ = asked(proxy)
    assert found.exit_code == 2
    assert "00000000000000000002.json is missing" in found.stderr


async def _delete(key: str) -> None:
    async with open_store(os.environ["LOGSINK_STORE"]) as store:
        await store.delete([key])


def test_no_size_is_no_cache(proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSINK_QUERY__CACHE_SIZE", "0B")
    assert [asked(proxy)[1] for _ in range(2)] == [4, 4]
    assert not (tmp_path / "logsink").exists()


def test_a_directory_has_no_cache(tmp_path: Path) -> None:
    choose_user_cache({"XDG_CACHE_HOME": str(tmp_path / "cache")})
    try:
        CliRunner().invoke(main, ["query", "--store", str(tmp_path / "store")])
    finally:
        choose_user_cache({})
    assert not (tmp_path / "cache").exists()
