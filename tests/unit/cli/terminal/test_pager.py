"""The pager in front of a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from logsink.cli.terminal.pager import Pager, pager_command
from logsink.errors import ReaderGone


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({"TERM": "dumb", "PAGER": "sh"}, None),
        ({"PAGER": "sh"}, None),
        ({"TERM": "xterm", "PAGER": "sh -c 'a b'"}, ["sh", "-c", "a b"]),
        ({"TERM": "xterm", "PAGER": ""}, None),
        ({"TERM": "xterm", "PAGER": "cat"}, None),
        ({"TERM": "xterm", "PAGER": "no-such-pager"}, None),
        ({"TERM": "xterm", "PAGER": "less '"}, None),
    ],
)
def test_the_environment_names_it(environ: dict[str, str], command: list[str] | None) -> None:
    assert pager_command(environ) == command


def test_it_gets_everything(tmp_path: Path) -> None:
    file = tmp_path / "shown"
    with Pager([sys.executable, "-c", f"import sys; open({str(file)!r}, 'w').write(sys.stdin.read())"]) as pager:
        pager.write(b"")
        pager.write(b"one\n")
        pager.write(memoryview(b"two\n"))
    assert file.read_text() == "one\ntwo\n"


def test_none_starts_without_output(tmp_path: Path) -> None:
    with Pager([str(tmp_path / "no-such-pager")]):
        pass


def test_one_that_was_closed() -> None:
    with Pager([sys.executable, "-c", ""]) as pager, pytest.raises(ReaderGone, match="it was closed"):
        pager.write(b"x" * (64 << 20))
