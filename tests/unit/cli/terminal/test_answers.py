"""Short answers as text and as JSON."""

from __future__ import annotations

import datetime as dt

import pytest

from logsink.cli.terminal.answers import print_answer, terminal_width


def never() -> list[str]:
    raise AssertionError("what is not asked for is not made")


def test_lines_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer("text", never, lambda: ["one", "\x1b[31mtwo"])
    assert capsys.readouterr().out == "one\n\\x1b[31mtwo\n"


def test_json_is_harmless_and_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer("json", lambda: {"a": "\x9b1", "at": dt.datetime(2026, 11, 22, tzinfo=dt.UTC)}, never)
    assert capsys.readouterr().out == '{\n  "a": "\\u009b1",\n  "at": "2026-11-22T00:00:00Z"\n}\n'


def test_only_a_terminal_has_a_width() -> None:
    assert terminal_width() is None
