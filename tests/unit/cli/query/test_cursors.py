"""Where the cursor of a query comes from, and where it is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from logsink.cli.query.cursors import Cursors
from logsink.cli.query.request import FollowOptions
from logsink.query import Cursor

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


@pytest.mark.parametrize("last", [True, False])
def test_only_the_last_one_is_shown(capsys: pytest.CaptureFixture[str], last: bool) -> None:
    asyncio.run(Cursors(FollowOptions(show_cursor=True)).keep(CURSOR, last=last))
    assert capsys.readouterr().err == (f"logsink: cursor: {CURSOR.text}\n" if last else "")
