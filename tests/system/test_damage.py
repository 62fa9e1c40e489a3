"""A store whose table's log is damaged or gone, as a user meets it: the installed command on a directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from logsink.archive.checkpointing import checkpoint
from logsink.archive.log import DeltaLog, Txn
from logsink.archive.snapshot import LOG, checkpoint_key, commit_key
from logsink.store.local import LocalStore
from tests.support.receiver import Receiver, found_once, run
from tests.support.relp_client import RelpClient

FRAMES = [b"<13>1 2026-11-24T03:12:05Z web app - - - message %d" % n for n in range(20)]


async def filled(directory: Path) -> None:
    """A store with archived rows, 14 commits, and checkpoints at 4 and 9."""
    async with LocalStore(directory) as store:
        log = DeltaLog(store)
        await log.create()
        for version in range(1, 14):
            if version == 3:
                with Receiver(f"file://{directory}", directory.parent / "first") as receiver:
                    client = RelpClient(receiver.port("relp"), window=100)
                    await client.send(*FRAMES)
                    await client.settle()
                    await client.close()
                assert receiver.exit_code == 0, receiver.log  # drained, which archives
            else:
                await log.commit(await log.load(), [Txn("filler.0", version)])
            if version in (4, 9):
                assert await checkpoint(log, 1) == version
        assert (await log.load()).version == 13


@pytest.mark.parametrize("damage", ["half", "empty"])
async def test_a_damaged_checkpoint_changes_no_answer(damage: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    await filled(store)
    newest = store / checkpoint_key(9)
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2] if damage == "half" else b"")
    done = run("query", "--store", str(store), "--count")
    assert (done.returncode, done.stdout.split()) == (0, [b"20"]), done.stderr
    assert b"checkpoint of version 9 is damaged" in done.stderr
    with Receiver(
        f"file://{store}", tmp_path / "second", maintain__every="1s", maintain__checkpoint_every="1"
    ) as again:
        again.wait_for("logsink_checkpoints_total", 1)
    assert again.exit_code == 0, again.log
    assert not newest.exists()
    found_once(f"file://{store}", FRAMES)
    assert run("query", "--store", str(store), "--count").stderr.count(b"damaged") == 0


async def test_a_log_that_is_gone_is_no_new_store(tmp_path: Path) -> None:
    """As a lifecycle rule leaves it. Nothing is begun anew; a receiver takes messages all the same, into the journal."""
    store = tmp_path / "store"
    await filled(store)
    shutil.rmtree(store / LOG)
    shutil.rmtree(store / "journal", ignore_errors=True)
    done = run("maintain", "--once", "--store", str(store))
    assert done.returncode == 2, done.stdout
    assert b"logs/_delta_log/ is gone, and data files are there" in done.stderr
    assert b"back from a backup" in done.stderr
    with Receiver(f"file://{store}", tmp_path / "again", receive__drain_timeout="2s") as receiver:
        client = RelpClient(receiver.port("relp"), window=100)
        await client.send(b"<13>1 - h a - - - still here")
        await client.settle()
        await client.close()
    assert b"stored in the journal, but not archived" in receiver.log.encode()
    assert list((store / "journal").rglob("*.arrow"))
    assert not (store / LOG).exists()


@pytest.mark.parametrize("damage", ["gone", "newest commit empty", "commit flipped"])
async def test_a_receiver_goes_on_while_the_log_is_damaged_and_archives_once_it_is_mended(
    damage: str, tmp_path: Path
) -> None:
    store, url = tmp_path / "store", f"file://{tmp_path}/store"
    await filled(store)
    shutil.copytree(store / LOG, tmp_path / "kept")
    if damage == "gone":
        shutil.rmtree(store / LOG)
    elif damage == "newest commit empty":
        (store / commit_key(13)).write_bytes(b"")
    else:
        body = (store / commit_key(12)).read_bytes()
        (store / commit_key(12)).write_bytes(body.replace(b'"version":12', b'"version":13', 1))
    before = sorted(path for path in store.rglob("*") if path.is_file())
    said = [b"<13>1 2026-11-24T03:12:05Z web app - - - later %d" % n for n in range(20)]
    with Receiver(url, tmp_path / "again", archive__max_age="1s", maintain__every="1s") as receiver:
        client = RelpClient(receiver.port("relp"), window=100)
        await client.send(*said)
        await client.settle()
        status, detail = receiver.readiness()
        assert status == 200
        assert "_delta_log" in str(detail["archive_error"])
        assert detail["archive_backlog_segments"]
        receiver.wait_for("logsink_archive_failures_total", 2)
        assert set(before) <= {path for path in store.rglob("*") if path.is_file()}
        shutil.copytree(tmp_path / "kept", store / LOG, dirs_exist_ok=True)
        receiver.wait_for("logsink_archive_rows_total", len(said))
        receiver._wait(lambda: receiver.readiness()[1]["archive_error"] is None)
        await client.close()
    assert receiver.exit_code == 0, receiver.log
    found_once(url, [*FRAMES, *said])
