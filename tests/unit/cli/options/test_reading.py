"""Options of the same name have the same other names, and the same meaning, with every verb that reads."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from logsink.cli.audit import command as audit
from logsink.cli.diff import command as diff
from logsink.cli.hosts import command as hosts
from logsink.cli.main import main
from logsink.cli.query import command as query

SHARED = ("since", "until", "host", "environment", "role", "instance", "timezone", "utc", "lines", "no_cache")


def options(verb: click.Command) -> dict[str | None, click.Option]:
    return {option.name: option for option in verb.params if isinstance(option, click.Option)}


@pytest.mark.parametrize("verb", [hosts, audit, diff])
def test_shared_options_have_the_same_names(verb: click.Command) -> None:
    theirs, these = options(query), options(verb)
    for name in SHARED:
        assert these[name].opts == theirs[name].opts
        assert name == "lines" or these[name].help == theirs[name].help


@pytest.mark.parametrize("verb", [("audit",), ("diff", "--before", "30m")])
def test_other_names_are_understood(verb: tuple[str, ...], tmp_path: Path) -> None:
    arguments = ("--store", f"{tmp_path}/none", "--min-time", "1h", "--max-time", "now", "-s", "a", "--limit", "no")
    result = CliRunner().invoke(main, [*verb, *arguments, "--no-cache"])
    assert result.exit_code == 2
    assert "cannot read 'no' as a number of lines" in result.stderr
