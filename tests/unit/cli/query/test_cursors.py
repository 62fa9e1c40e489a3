"""Where the cursor of a query comes from, and where it is kept."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from logsink.archive.log import Txn
from logsink.cli.main import main
from logsink.cli.query.cursors import Cursors
from logsink.cli.query.request import FollowOptions
from logsink.errors import LogsinkError
from logsink.journal.segment import Segment, SegmentName, decode_segment, encode_segment
from logsink.parse import FILE_SCHEMA, Settings, parse
from logsink.query import Cursor
from logsink.query.read import Plan
from logsink.query.read.answer import Run
from logsink.store import open_store
from tests.unit.query.archives import START, archive, frames, rows_of

CURSOR = Cursor({"r1.0": 3}, {"r1": 1_000_000}, {})


def test_the_option_comes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cursor"
    file.write_text("of-the-file\n")
    assert Cursors(FollowOptions(cursor_file=file)).first == "of-the-file"
    assert Cursors(FollowOptions(cursor_file=file, after_cursor="of-the-option")).first == "of-the-option"
    assert Cursors(FollowOptions(cursor_file=tmp_path / "none")).first is None
    assert Cursors(FollowOptions()).first is None


def test_a_cursor_is_kept_once_and_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "cursor"
    cursors = Cursors(FollowOptions(cursor_file=file))
    asyncio.run(cursors.keep(CURSOR, last=False))
    assert Cursor.parse(file.read_text()) == CURSOR
    file.unlink()
    asyncio.run(cursors.keep(CURSOR, last=True))
    assert [*tmp_path.iterdir()] == []


def test_a_cursor_that_cannot_be_written_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(LogsinkError, match=f"cannot write the cursor to {tmp_path}/cursor: no space left on device"):
        asyncio.run(Cursors(FollowOptions(cursor_file=tmp_path / "cursor")).keep(CURSOR, last=True))
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("last", [True, False])
def test_only_the_last_one_is_shown(capsys: pytest.CaptureFixture[str], last: bool) -> None:
    asyncio.run(Cursors(FollowOptions(show_cursor=True)).keep(CURSOR, last=last))
    assert capsys.readouterr().err == (f"logsink: cursor: {CURSOR.text}\n" if last else "")


async def _receive(url: str, number: int, *messages: str) -> SegmentName:
    """Store a segment of a receiver; the rows of each were received a second after those of the one before."""
    lines = [f"<13>1 2026-11-22T00:00:00Z web1 app - - - {message}".encode() for message in messages]
    received = [START + number * 1_000_000] * len(lines)
    name = SegmentName("r1", 0, number)
    async with open_store(url) as store:
        await store.put(name.key, encode_segment(Segment(name, Settings(), frames(lines, received), number)))
    return name


async def _archive(url: str, *segments: SegmentName) -> None:
    """Move segments of one receiver from the journal to the table."""
    async with open_store(url) as store:
        read = [decode_segment(await store.get(name.key)) for name in segments]
        tables = [parse(segment.frames, segment.settings, "r1").table() for segment in read]
        rows = rows_of([part.select(FILE_SCHEMA.names).cast(FILE_SCHEMA) for part in tables])
        await archive(store, [rows], txn=[Txn("r1.0", segments[-1].sequence)])
        await store.delete([name.key for name in segments])


def _shown(url: str, *arguments: str) -> list[str]:
    return CliRunner().invoke(main, ["query", "--store", url, "-o", "cat", *arguments]).stdout.split()


@pytest.mark.parametrize(("lines", "shown"), [("all", ["one", "two"]), ("1", ["two"])])
def test_rows_that_were_shown_from_the_journal_are_not_shown_again_from_the_table(
    lines: str, shown: list[str], tmp_path: Path
) -> None:
    url, cursor = f"file://{tmp_path}/store", ("--cursor-file", str(tmp_path / "cursor"))
    first = asyncio.run(_receive(url, 1, "one", "two"))
    assert _shown(url, *cursor, "-n", lines) == shown
    asyncio.run(_archive(url, first, asyncio.run(_receive(url, 2, "three"))))
    assert _shown(url, *cursor) == ["three"]
    assert _shown(url, *cursor) == []


def test_an_interrupted_query_leaves_no_cursor_behind_rows_that_it_has_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, cursor = f"file://{tmp_path}/store", ("--cursor-file", str(tmp_path / "cursor"))
    asyncio.run(_archive(url, asyncio.run(_receive(url, 1, "one", "two"))))
    planned = Run.planned

    async def interrupted(self: Run, *arguments: Any) -> Plan:
        plan = await planned(self, *arguments)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.01)
        return plan

    with monkeypatch.context() as patched:
        patched.setattr(Run, "planned", interrupted)
        assert _shown(url, *cursor) == []
    assert _shown(url, *cursor) == ["one", "two"]


def test_a_cursor_finds_no_store_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place in ("nowhere", "empty"):  # such as a disk that is not mounted
        found = CliRunner().invoke(
            main, ["query", "--store", f"file://{tmp_path}/{place}", "--after-cursor", CURSOR.text]
        )
        assert (found.exit_code, found.stdout) == (2, "")
        assert "cannot find a logsink store" in found.stderr
