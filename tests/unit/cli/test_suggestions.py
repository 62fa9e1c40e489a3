"""What the command says of misspelt verbs, options and columns, and of those of other programs."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from logsink.cli.main import VERBS, main
from logsink.cli.options.sections import SECTIONS
from logsink.cli.query.command import command
from logsink.cli.suggestions import COLUMNS, OPTIONS
from logsink.parse import FILE_SCHEMA


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("qeury x", "no such command 'qeury' (did you mean `logsink query`?; see "),
        ("sevre", "no such command 'sevre' (did you mean `logsink serve`?; see "),
        ("search x", "no such command 'search' (did you mean `logsink query`?; see "),
        ("tail", "no such command 'tail' (did you mean `logsink query -f`?; see "),
        ("help", "no such command 'help' (did you mean `logsink --help`?; see "),
        ("config chekc", "no such command 'chekc' (did you mean `logsink config check`?; see "),
        ("query --sinse 1h", "no such option '--sinse' (did you mean --since?; see "),
        ("query --prioriti err", "no such option '--prioriti' (did you mean --priority?; see "),
        ("sql --conect x y", "no such option '--conect' (did you mean --connect?; see "),
        ("serve --stor x", "no such option '--stor' (did you mean --store?; see "),
        ("query -20", "no such option '-2' (-n 2 shows the newest 2; see "),
        ("query -t sshd", "no such option '-t' (in logsink: -u NAME, or --app NAME; see "),
        ("query --severity err", "no such option '--severity' (in logsink: -p LEVEL; see "),
        ("query -c", "option '-c' requires an argument (-c names a settings file; --count counts; see "),
        (
            "query --tail=5",
            "option '--tail' does not take a value (-n N shows the newest N, -f -n N follows them; see ",
        ),
        ("diff --deploy a", "option '--deploy' requires 2 arguments (write --deploy A B; see `logsink diff --help`)"),
        ("query --host", "option '--host' requires an argument (write --host GLOB; see `logsink query --help`)"),
        ("config check --store", "option '--store' requires an argument (see `logsink config --help`)"),
        ("query --top hots", "cannot find field 'hots' (did you mean host? there are time, "),
        ("query --stats by=hostname", "cannot find field 'hostname' (did you mean host? there are time, "),
        ("query --fields time,msg", "cannot find field 'msg' (did you mean message? there are time, "),
        ("query --flag trunkated", "cannot find flag 'trunkated' (did you mean truncated? write one of "),
        ("query -p eror", "cannot read 'eror' as a priority (did you mean error? write one of "),
        ("query --facility lokal0", "cannot read 'lokal0' as a facility (did you mean local0? write one of "),
        ("frobnicate", "no such command 'frobnicate' (see "),
        ("query --frobnicate", "no such option '--frobnicate' (see "),
    ],
)
def test_what_was_probably_meant(arguments: str, said: str) -> None:
    result = CliRunner().invoke(main, arguments.split(), prog_name="logsink")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"logsink: {said}")
    assert len(result.stderr.splitlines()) == 1


def test_a_format_that_is_misspelt() -> None:
    assert "(did you mean json?; see " in CliRunner().invoke(main, ["query", "-o", "jsn"]).stderr


def test_what_is_suggested_exists() -> None:
    spellings = {spelling for param in command.params for spelling in param.opts}
    assert not spellings & OPTIONS.keys()
    assert not COLUMNS.keys() & set(FILE_SCHEMA.names)
    assert set(COLUMNS.values()) <= set(FILE_SCHEMA.names)
    for hint in OPTIONS.values():
        assert {word.strip(",;") for word in hint.split() if word.startswith("-")} <= spellings
    assert "query" in VERBS


def test_help_is_in_sections_and_shows_each_option_once() -> None:
    text = CliRunner().invoke(main, ["query", "--help"], terminal_width=100).stdout
    positions = [text.index(f"\n{title}:\n") for title in SECTIONS if f"\n{title}:\n" in text]
    assert positions == sorted(positions)
    assert len(positions) >= 8
    heads = [
        line.strip().partition("  ")[0].replace(",", " ").split()
        for line in text[positions[0] :].splitlines()  # what is above the sections is prose
        if line.startswith("  -")
    ]
    for option in command.params:
        if isinstance(option, click.Option):
            assert [sum(name in head for head in heads) for name in option.opts] == [1] * len(option.opts)
