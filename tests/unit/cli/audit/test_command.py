"""``logsink audit`` as its users meet it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from logsink.cli.audit.text import text
from logsink.cli.main import main
from logsink.flags import Flag
from logsink.query.audit import Findings, Hole
from logsink.store import open_store
from tests.unit.query.archives import Row, archive, row

SECOND = 1_000_000


def numbered(number: int, boot: str = "b1", **values: Any) -> Row:
    text = f'[deploy@32473 role="web" boot="{boot}" seq="{number}"]'
    return row(number * SECOND, structured_data=text, instance=f"i-{boot}", role="web", flags=0) | values


ROWS = [
    *(numbered(n) for n in range(1, 100) if n not in (20, 21, 22, 60)),
    *(numbered(n, flags=int(Flag.MAYBE_RESENT)) for n in range(30, 35)),
    numbered(40, received=row(99 * SECOND)["received"]),
    *(numbered(n, "b2", role="db") for n in range(5, 50)),
    *(row(n * 60 * SECOND, host="old", app="x") for n in (*range(200), *range(300, 500))),
    row(0, host="fast", received=row(-90 * SECOND)["received"], flags=0),
    row(0, host="cut", flags=int(Flag.TRUNCATED)),
]


async def store(place: Path, rows: list[Row]) -> Path:
    async with open_store(str(place)) as store:
        await archive(store, [rows])
    return place


@pytest.fixture
async def fleet(tmp_path: Path) -> Path:
    return await store(tmp_path / "store", ROWS)


def audit(place: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["audit", "--store", str(place), "--utc", *arguments])


def test_text(fleet: Path) -> None:
    result = audit(fleet)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "holes:",
        "instance  missing  between              and                  first  last  boot",
        "i-b1            3  2026-11-22 00:00:19  2026-11-22 00:00:23     20    22  b1",
        "i-b1            1  2026-11-22 00:00:59  2026-11-22 00:01:01     60    60  b1",
        "",
        "doubles that nothing explains, and another order:",
        "instance  doubles  reordered  numbers  boot",
        "i-b1            1          1       95  b1",
        "",
        "quiet for unusually long:",
        "sender  for    since                until                usually_at_most",
        "old     1h41m  2026-11-22 03:19:00  2026-11-22 05:00:00  1m",
        "",
        "clocks that seem to be wrong:",
        "sender  clock                 rows",
        "fast    ahead by up to 1m30s     1",
        "",
        "messages that arrived cut:",
        "sender  truncated  incomplete  rows",
        "cut             1           0     1",
        "",
        "140 numbers of 2 boots: 2 holes, 4 missing; 6 doubles, 5 of them sent again after a broken connection",
        "what this cannot know:",
        "- whether anything is missing among 402 rows without numbers, of 3 senders: old (400), cut (1), fast (1)",
        "- what became of the numbers before the first one of 1 boot: expired or lost",
        "- what a sender had not sent when it went away: nothing follows its last number (logsink hosts --vanished)",
        "- what a sender discarded before numbering it, and datagrams that were lost (see /metrics of the receivers)",
    ]
    assert result.stderr.startswith(f"logsink: {len(ROWS)} rows looked at in ")


def test_a_narrow_terminal_has_no_room_for_boots() -> None:
    found = Findings([], [Hole("b" * 45, "i-0123456789abcdef0", 1, 2, None, None)], [], [], [])
    narrow, wide = (list(text(found, dt.UTC, 40, width)) for width in (80, 200))
    assert narrow[1] == "instance             missing  between  and  first  last"
    assert wide[1].endswith("boot")


def test_json(fleet: Path) -> None:
    result = audit(fleet, "-j", "-q")
    assert (result.exit_code, result.stderr) == (1, "")
    found = json.loads(result.stdout)
    assert found["holes"][0] == {
        "boot": "b1",
        "instance": "i-b1",
        "first": 20,
        "last": 22,
        "missing": 3,
        "before": "2026-11-22T00:00:19.000000Z",
        "after": "2026-11-22T00:00:23.000000Z",
    }
    assert (found["missing"], found["not_looked_at"]) == (4, [])
    assert found["boots"][0] | {"first": 0, "last": 0} == {
        "boot": "b1",
        "instance": "i-b1",
        "least": 1,
        "most": 99,
        "rows": 101,
        "numbers": 95,
        "doubles": 6,
        "unexplained": 1,
        "reordered": 1,
        "first": 0,
        "last": 0,
    }
    assert found["quiet"][0]["usual"] == 60
    assert {each["sender"]: each["clock"] for each in found["senders"]}["fast"] == 90


def test_conditions_choose_senders(fleet: Path) -> None:
    result = audit(fleet, "--role", "db")
    assert result.exit_code == 0
    assert result.stdout.startswith("45 numbers of 1 boot: no holes; 0 doubles\nwhat this cannot know:\n")
    assert audit(fleet, "--instance", "i-b1").exit_code == 1


def test_a_range(fleet: Path) -> None:
    result = audit(fleet, "-S", "2026-11-22 00:00:30", "-U", "2026-11-22 00:00:50")
    assert result.exit_code == 0
    assert "earlier than the range, expired or lost" in result.stdout
    assert audit(fleet, "-S", "2026-11-22 00:00:50").exit_code == 1


@pytest.mark.parametrize("option", [("-S", "2026-11-22"), ("-U", "2026-11-23")])
def test_a_number_that_came_at_another_time_seems_to_be_missing_in_a_range_which_says_so(
    fleet: Path, option: tuple[str, ...]
) -> None:
    said = (
        "- whether missing numbers came at other times than those beside them (without -S and -U, everything is read)"
    )
    assert said in audit(fleet, *option).stdout
    assert said not in audit(fleet).stdout
    assert said not in audit(fleet, *option, "--role", "db").stdout


def test_lines(fleet: Path) -> None:
    assert "only the first 1 of 2 are shown; -n all shows all" in audit(fleet, "-n", "1").stdout
    assert "only the first" not in audit(fleet, "-n", "all").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-n", "x"), "cannot read 'x' as a number of lines"),
        (("-S", "1h", "-U", "2h"), "cannot search from '1h' until '2h': the range is empty"),
    ],
)
def test_mistakes(fleet: Path, arguments: tuple[str, ...], message: str) -> None:
    result = audit(fleet, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_damage(fleet: Path) -> None:
    next(fleet.glob("logs/date=*/*.parquet")).unlink()
    result = audit(fleet)
    assert result.exit_code == 2
    assert "is missing" in result.stderr


@pytest.fixture
async def many(tmp_path: Path) -> Path:
    return await store(tmp_path / "many", [row(n, host=f"h{n}\x1b[0m") for n in range(9)])


def test_names_of_senders_are_bounded_and_harmless(many: Path) -> None:
    line = next(line for line in audit(many).stdout.splitlines() if "without numbers" in line)
    assert line.endswith(", ...")
    assert "\x1b" not in line
