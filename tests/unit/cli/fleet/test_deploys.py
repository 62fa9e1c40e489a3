"""``logsink deploys`` as its users meet it."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from logsink.cli.main import main


def deploys(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["deploys", "--utc", "--store", url, *arguments], prog_name="logsink")


def test_deploys_in_the_order_in_which_they_came(url: str) -> None:
    result = deploys(url)
    assert result.exit_code == 0
    head, first, second = result.stdout.splitlines()
    assert head.split() == [
        *("deploy", "environment", "role", "first", "last", "instances", "rows", "errors", "error_percent")
    ]
    assert first.split()[:4] == ["d1", "prod", "db,", "web"]
    assert first.split()[-5:-1] == ["3", "31", "3", "9.68"]
    assert second.split()[-5:-1] == ["1", "10", "1", "10.00"]
    bars = [line.partition(f" {share}  ")[2] for line, share in ((first, "9.68"), (second, "10.00"))]
    assert bars[0] == "█" * len(bars[0])
    assert 2 <= len(bars[0]) < len(bars[1]) == 50
    assert bars[1].lstrip(" ") == "█" * bars[1].count("█")
    assert 0 < 50 - bars[1].count("█") < len(bars[0])
    assert "logsink: 1 row without a deploy, left out" in result.stderr


def test_conditions_and_formats(url: str) -> None:
    (only,) = [json.loads(line) for line in deploys(url, "-q", "-j", "--role", "db").stdout.splitlines()]
    assert (only["deploy"], only["role"], only["instances"], only["rows"]) == ("d1", "db", 1, 10)
    assert only["error_percent"] == 10
    assert [json.loads(line)["deploy"] for line in deploys(url, "-j", "-n", "1").stdout.splitlines()] == ["d2"]
    assert deploys(url, "-q", "-o", "csv", "--deploy", "d2").stdout.startswith('"deploy","environment","role","first"')
    for condition in (("--deploy", "d9"), ("-H", "router")):
        result = deploys(url, "-q", *condition)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", "")
