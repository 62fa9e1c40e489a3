"""Five damages that once were not noticed, or were made worse: each by its name, on a store that real parts have made."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from logsink.archive.snapshot import LOG
from tests.damage import asks
from tests.damage.stores import Builder, Frames, Template, merged, receiving, running, send


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> list[Template]:
    """A store with segments that linger, and one with merged files and checkpoints."""

    async def make() -> list[Template]:
        directory = tmp_path_factory.mktemp("templates")
        return [await running(directory), await merged(directory)]

    return asyncio.run(make())


@pytest.fixture
def lingering(templates: list[Template], tmp_path: Path) -> Iterator[tuple[Template, Path]]:
    shutil.copytree(templates[0].directory, tmp_path / "store")
    return templates[0], tmp_path / "store"


@pytest.fixture
def archived(templates: list[Template], tmp_path: Path) -> Iterator[tuple[Template, Path]]:
    shutil.copytree(templates[1].directory, tmp_path / "store")
    return templates[1], tmp_path / "store"


def url_of(store: Path) -> str:
    return f"file://{store}"


def commits(store: Path) -> list[Path]:
    return sorted((store / LOG).glob("*.json"))


def objects(store: Path, prefix: str) -> set[str]:
    """Keys below a prefix."""
    return {str(path.relative_to(store)) for path in (store / prefix).rglob("*") if path.is_file()}


def complete_or_named(template: Template, store: Path, named: str) -> Counter[bytes]:
    """What a query shows: nothing twice or invented; unless all of it is there, exit code 2 with what is damaged."""
    said = asks.rows(url_of(store))
    assert not said.bug, said.bug
    assert not said.frames - template.sent
    if said.frames != template.sent:
        assert said.code == 2, said
    if said.code == 2:
        assert named in said.err, said.err
    return said.frames


def test_a_bit_in_a_txn_hides_nothing_and_no_segment_is_deleted_for_it(lingering: tuple[Template, Path]) -> None:
    """A ``txn`` of a larger number said of acknowledged segments that their rows are in the table."""
    template, store = lingering
    newest = commits(store)[-1]
    line = next(line for line in newest.read_bytes().splitlines() if line.startswith(b'{"txn"'))
    version = json.loads(line)["txn"]["version"]
    changed = line.replace(b'"version":%d' % version, b'"version":%d' % (version ^ 64))
    assert changed != line
    newest.write_bytes(newest.read_bytes().replace(line, changed))
    before = objects(store, "journal")
    complete_or_named(template, store, newest.name)
    assert asks.verify(url_of(store)).code == 2
    assert not asks.upkeep(url_of(store))
    assert objects(store, "journal") == before, "segments are deleted on the word of a damaged commit"
    complete_or_named(template, store, newest.name)


def test_a_lost_log_is_not_begun_anew_and_no_data_file_is_deleted(archived: tuple[Template, Path]) -> None:
    template, store = archived
    shutil.rmtree(store / LOG)
    before = objects(store, "logs/date=") | objects(store, "logs")
    complete_or_named(template, store, "logs/_delta_log/ is gone")
    assert not asks.upkeep(url_of(store))
    sent = Frames(10**6).take(30)
    received = asks.receive(url_of(store), sent)
    assert (received.acknowledged, received.bug) == (sent, ""), "a receiver takes messages whatever the log is in"
    assert not asks.upkeep(url_of(store))
    assert objects(store, "logs") == before, "the table was made anew, or its files were deleted"
    template_and_more = template.sent + Counter(sent)
    said = asks.rows(url_of(store))
    assert said.code == 2
    assert not said.frames - template_and_more
    assert not Counter(sent) - said.frames


@pytest.mark.parametrize("which", ["commit", "checkpoint"])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_the_newest_commit_or_checkpoint_truncated(archived: tuple[Template, Path], which: str, part: float) -> None:
    template, store = archived
    newest = commits(store)[-1] if which == "commit" else max((store / LOG).glob("*.checkpoint.parquet"))
    newest.write_bytes(newest.read_bytes()[: int(newest.stat().st_size * part)])
    files, journal = objects(store, "logs/"), objects(store, "journal")
    found = complete_or_named(template, store, newest.name)
    if which == "checkpoint":
        assert found == template.sent, "commits say what the checkpoint said"
    verified = asks.verify(url_of(store))
    assert verified.code == 2
    assert newest.name in verified.out.decode() + verified.err
    sent = Frames(10**6).take(30)
    received = asks.receive(url_of(store), sent)
    assert (received.acknowledged, received.bug) == (sent, "")
    if which == "commit":
        assert not asks.upkeep(url_of(store))
        assert objects(store, "logs/") >= files, "something was deleted on the word of a damaged log"
        assert objects(store, "journal") >= journal
    said = asks.rows(url_of(store))
    assert not Counter(sent) - said.frames, "what was acknowledged since is shown"


def test_one_data_file_gone_is_named_with_its_rows_and_the_rest_is_shown(archived: tuple[Template, Path]) -> None:
    template, store = archived
    key = next(key for key in sorted(template.counting) if "/compacted-" in key)
    (store / key).unlink()
    said = asks.rows(url_of(store))
    rows = sum(template.frames[key].values())
    assert said.code == 2
    assert said.frames == template.sent - template.frames[key]
    assert said.err.count(key) == 1, said.err
    assert f"{rows:,} rows" in said.err
    assert "removed while it ran" not in said.err
    count = asks.count(url_of(store))
    assert (count.code, asks.number(count)) == (0, sum(template.sent.values())), "counts say what was stored"
    shutil.rmtree(store / "index")
    count = asks.count(url_of(store))
    assert (count.code, asks.number(count)) == (0, sum(template.sent.values())), "so does the log"
    sums = asks.sums(url_of(store))
    assert (sums.code, asks.number(sums)) == (2, sum(template.sent.values()) - rows)
    sql = asks.sql(url_of(store))
    assert (sql.code, asks.number(sql)) == (2, sum(template.sent.values()) - rows)
    assert key in sums.err
    assert key in sql.err


async def test_a_store_moved_away_is_not_begun_anew(tmp_path: Path) -> None:
    """What comes meanwhile is not acknowledged into a new directory; when the store is back, all of it is stored there."""
    build = Builder("store", tmp_path)
    await build.day(0, 4)
    store, away = tmp_path / "store", tmp_path / "away"
    first, second = build.frames.take(24), build.frames.take(24)
    taken: list[bytes] = []
    async with receiving(build.url) as port:
        await send(port, first)
        store.rename(away)
        sending = asyncio.create_task(send(port, second, taken=taken))
        await asyncio.wait({sending}, timeout=2.0)
        assert not taken, "acknowledged while the store was not there"
        assert not store.exists(), "the store was made anew"
        away.rename(store)
        await asyncio.wait_for(sending, 30.0)
    assert taken == second
    said = await asyncio.to_thread(asks.rows, build.url)
    assert said.code == 0, said.err
    assert said.frames == build.sent + Counter(first) + Counter(second)
