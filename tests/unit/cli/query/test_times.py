"""Times on the command line of ``logsink query``, with clocks that change among the rows."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.store import open_store
from tests.unit.query.archives import archive, row

MINUTE = 60_000_000
BERLIN = ("-z", "Europe/Berlin")


def store_of(place: Path, begin: str, count: int) -> str:
    """A store with a row every ten minutes."""
    first = int(dt.datetime.fromisoformat(begin).timestamp()) * 1_000_000
    rows = [
        row(message=f"row {n}", host="web1") | dict.fromkeys(("time", "received"), first + 10 * n * MINUTE)
        for n in range(count)
    ]

    async def build() -> None:
        async with open_store(f"file://{place}") as store:
            await archive(store, [rows])

    asyncio.run(build())
    return f"file://{place}"


@pytest.fixture
def autumn(tmp_path: Path) -> str:
    """Rows from 02:00 summer time to 03:00 winter time of the night in which Berlin's clocks are put back."""
    return store_of(tmp_path, "2026-10-25T00:00:00Z", 13)


@pytest.fixture
def spring(tmp_path: Path) -> str:
    """Rows from 01:00 winter time to 04:50 summer time of the night in which Berlin's clocks are put forward."""
    return store_of(tmp_path, "2026-03-29T00:00:00Z", 18)


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["query", "--store", url, "-q", *arguments])


@pytest.mark.parametrize(
    "since",
    [
        *("1 hour ago", "-1h", "10min", "2026-11-28 03:10:00 UTC", "1hour", "3:10", "10 min ago", "Nov 28 03:10"),
        *("2026-11-28 03:10 CET", "2 days ago", "Nov 28 14:58", "Sat 2026-11-28 03:10:00 UTC"),
        *("28/Nov/2026:14:58:37 +0100", "1795874317123", "2026-11-28 03:10:00,123"),
    ],
)
def test_times_as_people_type_and_paste_them(autumn: str, since: str) -> None:
    for arguments in (("--since=" + since,), ("-S", since), ("--since", since)):
        result = run(autumn, *arguments, "--count")
        assert (result.exit_code, result.stderr) in ((0, ""), (1, "")), result.stderr


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("-S", "2026-10-25", "-U", "2026-10-25 02:30"), 9),
        (("-S", "2026-10-25 02:30", "-U", "2026-10-25 03:00"), 9),
        (("-S", "2026-10-25 02:30", "-U", "2026-10-25 02:30"), 6),
        (("-S", "2026-10-25 02:30", "-U", "02:30"), 6),
        (("-S", "2026-10-25 02:30+01:00", "-U", "2026-10-25 03:00"), 3),
        (("-S", "2026-10-25 02:00 CEST", "-U", "2026-10-25 02:30 CEST"), 3),
        (("-S", "2026-10-25", "-U", "2026-10-26"), 13),
    ],
)
def test_the_hour_that_comes_twice_is_searched_from_its_first_to_its_second(
    autumn: str, arguments: tuple[str, ...], count: int
) -> None:
    assert run(autumn, *BERLIN, *arguments, "--count").stdout == f"{count}\n"


def test_the_hour_that_is_skipped_is_the_moment_of_the_change(spring: str) -> None:
    assert run(spring, *BERLIN, "-S", "2026-03-29 02:30", "-U", "2026-03-30", "--count").stdout == "12\n"
    assert run(spring, *BERLIN, "-S", "2026-03-29", "-U", "2026-03-29 02:30", "--count").stdout == "6\n"
    first = run(spring, *BERLIN, "-S", "2026-03-29 02:00", "-U", "03:30", "-o", "text").stdout.splitlines()
    assert [line[:19] for line in first] == [f"2026-03-29 03:{m}0:00" for m in "012"]


def test_text_tells_the_two_hours_apart_and_can_be_pasted(autumn: str) -> None:
    lines = run(autumn, *BERLIN).stdout.splitlines()
    shown = [line.partition(" web1 ")[0] for line in lines]
    assert shown[3] == "2026-10-25 02:30:00.000+02:00"
    assert shown[9] == "2026-10-25 02:30:00.000+01:00"
    assert shown[12] == "2026-10-25 03:00:00.000"
    assert len(set(shown)) == 13
    for n, text in enumerate(shown):
        assert run(autumn, *BERLIN, "-S", text, "--count").stdout == f"{13 - n}\n"


def test_steps_of_a_histogram_in_that_hour_are_told_apart(autumn: str) -> None:
    _, *lines = run(autumn, *BERLIN, "--hist", "1 hour").stdout.splitlines()
    assert [" ".join(line.split()[:2]) for line in lines] == [
        "2026-10-25 02:00:00+02:00",
        "2026-10-25 02:00:00+01:00",
        "2026-10-25 03:00:00",
    ]


def test_a_histogram_shows_silence(tmp_path: Path) -> None:
    url = store_of(tmp_path, "2020-10-25T00:00:00Z", 13)
    arguments = ("--utc", "-S", "2020-10-25 00:10", "--hist", "10 min", "-H", "web1")
    found = run(url, *arguments, "-U", "2020-10-25 02:20").stdout
    assert [line.split()[2] for line in found.splitlines()[1:]] == ["1"] * 12 + ["0"] * 1
    found = run(url, "--utc", "-U", "2020-10-25 00:20", "--hist", "5 min").stdout
    assert [line.split()[2] for line in found.splitlines()[1:]] == ["1", "0", "1", "0"]


def test_a_histogram_of_many_empty_steps_says_that_it_is_shortened(autumn: str) -> None:
    found = CliRunner().invoke(main, ["query", "--store", autumn, "--hist", "100ms", "-o", "csv"])
    assert len(found.stdout.splitlines()) == 1 + 13 + 12 * 2
    assert ": of empty steps in a row only the first and last are shown; longer" in found.stderr
