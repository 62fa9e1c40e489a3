"""``logsink diff`` as its users meet it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.audit import command as audit_command
from logsink.cli.diff import command as diff_command
from logsink.cli.diff.sides import DiffRequest
from logsink.cli.main import main
from logsink.store import open_store
from tests.unit.query.archives import Row, archive, row


def rows(deploy: str, counts: dict[str, int], *, instances: int = 6, **values: object) -> list[Row]:
    return [
        row(n * 1_000_000, message=f"{message} {n}", deploy=deploy, instance=f"{deploy}-{n % instances}", app="shop")
        | {"severity": 6, "role": "web"}
        | values
        for message, count in counts.items()
        for n in range(count)
    ]


@pytest.fixture
async def shop(tmp_path: Path) -> Path:
    """A store of two deploys, of which the second has a new error, and one on one instance alone."""
    same = {"request took": 200, "order placed": 100}
    files = [
        rows("a", same | {"cache is warm": 40, "mail was sent": 40}),
        rows("b", same | {"mail was sent": 130, "cache is warm": 4}),
        rows("b", {"cannot connect\nto": 30}, severity=3),
        rows("b", {"disk is broken": 30}, severity=3, instances=1),
    ]
    async with open_store(f"{tmp_path}/store") as store:
        await archive(store, files)
    return tmp_path / "store"


def run(place: Path, verb: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [verb, "--store", str(place), *arguments])


def diff(place: Path, *arguments: str) -> Result:
    return run(place, "diff", "--deploy", "a", "b", "--utc", *arguments)


def test_text(shop: Path) -> None:
    result = diff(shop, "--role", "web")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "A: deploy a: 380 rows of 6 instances",
        "B: deploy b: 494 rows of 6 instances",
        "",
        "NEW   err      shop: 0 -> 30 rows, on 6 of 6 instances, since 2026-11-22 00:00:00",
        r"      cannot connect\nto *",
        r"      such as: cannot connect\nto 0",
        f"      logsink query --store {shop} --role web --deploy b --app shop -E '(?s)^cannot connect.to .*$'",
        "",
        "MORE  info     shop: 40 -> 130 rows (3.2 times the expected), on 6 of 6 instances, since 2026-11-22 00:00:00",
        "      mail was sent *",
        "      such as: mail was sent 0",
        f"      logsink query --store {shop} --role web --deploy b --app shop -E '(?s)^mail was sent .*$'",
        "",
        "LESS  info     shop: 40 -> 4 rows (10 % of the expected), on 6 of 6 instances, last 2026-11-22 00:00:39",
        "      cache is warm *",
        "      such as: cache is warm 0",
        f"      logsink query --store {shop} --role web --deploy a --app shop -E '(?s)^cache is warm .*$'",
        "",
        "6 kinds of messages: 1 new, 1 more, 0 gone, 1 less",
        "not shown: 1 change on one instance alone (new kinds of errors: 1); --all shows all",
    ]
    assert result.stderr.startswith("logsink: 874 rows compared in ")


def test_the_query_of_a_change_finds_its_rows(shop: Path) -> None:
    for change in json.loads(diff(shop, "-o", "json").stdout)["changes"]:
        words = shlex.split(change["query"])
        assert words[:2] == ["logsink", "query"]
        found = CliRunner().invoke(main, [*words[1:], "--count"])
        assert int(found.stdout) == change["rows"][change["side"]]


async def test_the_query_of_a_kind_without_an_app_leaves_out_those_that_have_one(tmp_path: Path) -> None:
    files = [rows("a", {"request took": 50}), rows("b", {"request took": 50, "disk is slow": 20})]
    files.append(rows("b", {"disk is slow": 40, "disk is broken": 30}, app=None))
    async with open_store(f"{tmp_path}/store") as store:
        await archive(store, files)
    found = json.loads((await asyncio.to_thread(diff, tmp_path / "store", "-o", "json")).stdout)["changes"]
    assert {(each["app"], each["rows"]["b"]) for each in found} == {("shop", 20), ("shop", 50), (None, 40), (None, 30)}
    for change in found:
        counted = await asyncio.to_thread(
            CliRunner().invoke, main, [*shlex.split(change["query"])[1:], "--count", "--no-cache"]
        )
        assert int(counted.stdout) == change["rows"][change["side"]]


def test_json(shop: Path) -> None:
    result = diff(shop, "-j", "-q", "--all", "-n", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found["a"] == {"name": "deploy a", "rows": 380, "instances": 6, "uncounted": 0}
    assert (found["kinds"], found["more"], found["on_one_instance"]) == (6, 2, 1)
    assert len(found["changes"]) == 2
    assert found["changes"][0] | {"query": ""} == {
        "change": "NEW",
        "error": True,
        "severity": "err",
        "app": "shop",
        "pattern": "cannot connect\nto *",
        "rows": {"a": 0, "b": 30},
        "instances": {"a": 0, "b": 6},
        "ratio": None,
        "score": found["changes"][0]["score"],
        "alone": False,
        "first_seen": "2026-11-22T00:00:00.000000Z",
        "last_seen": "2026-11-22T00:00:29.000000Z",
        "side": "b",
        "example": "cannot connect\nto 0",
        "query": "",
    }


def test_all_and_a_limit(shop: Path) -> None:
    result = diff(shop, "--all", "-n", "1")
    assert "only the first 1 of 4 are shown; -n all shows all" in result.stdout
    assert "disk is broken" in diff(shop, "--all").stdout
    assert "alone" not in diff(shop, "--all").stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("a", "b"), 1), (("b", "a"), 0), (("a", "b", "-p", "info..info"), 0), (("b", "b"), 0)],
)
def test_new_errors_fail_a_pipeline(shop: Path, arguments: tuple[str, ...], code: int) -> None:
    result = run(shop, "diff", "--deploy", *arguments, "--fail-on", "new-errors", "-q")
    assert result.exit_code == code


def test_times(shop: Path) -> None:
    result = run(
        shop,
        "diff",
        "-S",
        "2026-11-22",
        "-U",
        "2026-11-22 00:01",
        "--before",
        "2026-11-22 00:00:30",
        "--utc",
        "-u",
        "shop",
    )
    assert result.exit_code == 0
    assert result.stdout.startswith("A: 2026-11-22 00:00:00 until 2026-11-22 00:00:30: ")


@pytest.mark.parametrize("page", ["README.md", "docs/fleet.md", "docs/tasks.md", "docs/commands.md"])
@pytest.mark.parametrize("verb", ["diff", "audit"])
def test_the_commands_of_the_documentation_are_understood(page: str, verb: str) -> None:
    text = (Path(__file__).parents[4] / page).read_text()
    lines = re.findall(rf"^\s*(?:\$ )?logsink {verb} (.*?)(?:\s{{2,}}.*|\s*\|.*|\s*#.*)?$", text, re.MULTILINE)
    lines += re.findall(rf"`logsink {verb} (-[^`]*)`", text)
    assert lines or page == "docs/tasks.md"
    command = {"diff": diff_command, "audit": audit_command}[verb]
    for line in lines:
        with command.make_context(verb, shlex.split(line), help_option_names=["-h", "--help"]) as context:
            given = context.params
        if verb == "diff":
            assert DiffRequest.of(given).sides


def test_a_side_without_rows(shop: Path) -> None:
    result = run(shop, "diff", "--deploy", "a", "c")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "logsink: cannot compare: there are no rows of deploy c (choose other times or conditions; logsink deploys "
    )


def test_damage(shop: Path) -> None:
    next(shop.glob("logs/date=*/0-3.parquet")).unlink()
    result = diff(shop, "--fail-on", "new-errors")
    assert result.exit_code == 2
    assert "is missing" in result.stderr
    assert "NEW   err" in result.stdout


def test_queries_to_be_pasted_have_the_settings_that_were_given(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "my settings.toml"
    file.write_text(f'store = "{shop}"\n', encoding="utf-8")
    result = CliRunner().invoke(main, ["diff", "-c", str(file), "--deploy", "a", "b", "--utc"])
    pasted = [line.strip() for line in result.stdout.splitlines() if "logsink query" in line]
    assert pasted
    for line in pasted:
        assert line.startswith(f"logsink query -c '{file}' --deploy ")
        assert CliRunner().invoke(main, [*shlex.split(line)[1:], "-n", "1"]).exit_code == 0
