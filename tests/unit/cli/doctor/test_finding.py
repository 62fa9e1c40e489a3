"""Findings as a table and as JSON."""

from __future__ import annotations

import click

from logsink.cli.doctor.finding import Finding, as_json, failed, healthy, lines, summary
from logsink.errors import ConfigError

GOOD = Finding("port", "relp://a:1", "ok", "open")
BAD = failed("tls", "tls://a:22", ConfigError("cannot\x1b[2J do it", hint="do this"))


def test_the_table_says_what_to_do_below_what_has_failed() -> None:
    shown = [click.unstyle(line) for line in lines([GOOD, BAD])]
    assert shown[0] == "ok      port  relp://a:1  open"
    assert shown[1].startswith("failed  tls   tls://a:22  cannot")
    assert shown[2] == "        what to do: do this"
    assert "\x1b" not in "".join(shown)


def test_what_failed_decides() -> None:
    assert healthy([GOOD, Finding("a", "b", "warning", ""), Finding("a", "b", "skipped", "")])
    assert not healthy([GOOD, BAD])
    assert summary([GOOD, BAD, GOOD]) == "2 ok, 1 failed"
    assert list(lines([])) == []


def test_json_has_stable_names() -> None:
    found = as_json([BAD])
    assert found["healthy"] is False
    assert found["findings"] == [
        {"check": "tls", "subject": "tls://a:22", "state": "failed", "detail": BAD.detail, "remedy": "do this"}
        | {"seconds": None}
    ]
