"""``logsink hosts`` as its users meet it."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from logsink.cli.doctor import delivery
from logsink.cli.main import main
from logsink.query.views import OWN_APPS
from logsink.receiver import life
from logsink.store import open_store
from tests.support.counted import put_counts
from tests.unit.cli.fleet.fleets import FLEET, GOODBYE, HOUR, MIDDAY, NOW, fill
from tests.unit.query.archives import START, archive, row


def hosts(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["hosts", "-q", "--utc", "--store", url, *arguments], prog_name="logsink")


def found(url: str, *arguments: str) -> list[dict[str, Any]]:
    result = hosts(url, "-o", "json", *arguments)
    assert not result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def instant(time: int) -> str:
    moment = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=time)
    return moment.isoformat().replace("+00:00", "Z")


def test_each_instance_has_a_line_and_the_newest_come_last(url: str) -> None:
    result = hosts(url)
    assert result.exit_code == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == [
        *("instance", "host", "environment", "role", "deploy", "first", "last", "rows", "bytes", "errors", "state")
    ]
    assert [line.split()[1] for line in lines] == ["web-2", "web-1", "router", "db-1", "web-3"]
    assert [line.split()[-1] for line in lines] == ["vanished", "goodbye", "vanished", "vanished", "here"]
    assert lines[1].split()[-2] == "1"


def test_json_has_numbers_and_instants(url: str) -> None:
    (web,) = found(url, "-H", "web-1")
    assert web == {
        "instance": "i-web-1",
        "host": "web-1",
        "environment": "prod",
        "role": "web",
        "deploy": "d1",
        "first": instant(MIDDAY - 9 * HOUR),
        "last": instant(MIDDAY),
        "rows": 11,
        "bytes": sum(len(str(one["message"])) for one in FLEET[0]),
        "errors": 1,
        "state": "goodbye",
        "goodbye": GOODBYE,
    }
    rows = list(csv.DictReader(io.StringIO(hosts(url, "-o", "csv", "-H", "web-1").stdout)))
    assert (rows[0]["host"], rows[0]["rows"], rows[0]["state"]) == ("web-1", "11", "goodbye")


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("host", ["web-2", "web-1", "router", "db-1", "web-3"]),
        ("sender", ["10.0.0.50", None, "10.0.0.49", "10.0.0.51"]),
        ("role", [None, "db", "web"]),
        ("deploy", [None, "d1", "d2"]),
    ],
)
def test_a_line_may_stand_for_other_things(url: str, by: str, names: list[str | None]) -> None:
    assert sorted(one[by] or "" for one in found(url, "--by", by)) == sorted(name or "" for name in names)
    (web,) = [one for one in found(url, "--by", by) if one[by] in ("web-3", "10.0.0.51", "web", "d2")]
    assert (web["state"], web["rows"]) == ("here", 31 if by == "role" else 10)
    assert web["instances"] == (3 if by == "role" else 1)


def test_alarms(url: str) -> None:
    for arguments, names in (
        (("--silent", "10m"), ["web-2", "web-1", "router", "db-1"]),
        (("--silent", "4h"), ["web-2", "web-1", "router"]),
        (("--silent", "10m", "--role", "db"), ["db-1"]),
        (("--vanished",), ["web-2", "router", "db-1"]),
        (("--vanished", "--silent", "4 hours"), ["web-2", "router"]),
        (("--silent", "1000d"), []),
        (("--vanished", "--deploy", "d2"), []),
    ):
        result = hosts(url, "-j", *arguments)
        assert [json.loads(line)["host"] for line in result.stdout.splitlines()] == names
        assert result.exit_code == int(bool(names))
    assert hosts(url, "--silent", "1000d").stdout == ""
    result = hosts(url, "-H", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert hosts(url, "-H", "nobody", "--silent", "10m").exit_code == 0


def test_the_end_of_a_range_is_the_time_of_the_question(url: str) -> None:
    until = ("-U", str((MIDDAY + 5 * 60_000_000) // 1_000_000))
    states = {one["host"]: one["state"] for one in found(url, *until, "-H", "web-*", "-H", "router")}  # none up to now
    assert states == {"web-2": "vanished", "router": "here", "web-1": "here", "web-3": "vanished"}


def test_of_some_rows_only_nobody_says_who_vanished(url: str) -> None:
    found_ = {one["host"]: one["state"] for one in found(url, "-p", "err")}
    assert found_ == {"web-1": None, "web-2": None, "db-1": None, "web-3": None}
    result = hosts(url, "--vanished", "-u", "app")
    assert result.exit_code == 2
    assert "cannot tell from some of their rows who vanished (leave out conditions on rows" in result.stderr
    assert hosts(url, "-u", "rsyslogd", "--silent", "1h").exit_code == 1


def test_last_words(url: str) -> None:
    shown = hosts(url, "--vanished", "--last-words", "2", "--role", "web").stdout
    table, _, words = shown.partition("\n\n")
    assert len(table.splitlines()) == 2
    assert [line.split(" ", 2)[2] if n else line for n, line in enumerate(words.splitlines())] == [
        "i-web-2 (web-2), vanished:",
        "web-2 app: web-2 8",
        "web-2 app: web-2 9",
    ]
    (router,) = found(url, "-H", "router", "--last-words", "3")
    assert router["last_words"] == [
        {"time": instant(MIDDAY), "host": "router", "app": None, "severity": 5, "message": "link up"}
    ]
    (web,) = found(url, "-H", "web-1", "--last-words", "2", "-p", "err")
    assert [word["message"] for word in web["last_words"]] == ["web-1 5"]


def test_a_mark_of_rsyslog_is_nobodys_last_word(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logsink.cli.hosts.run.MARK", "web-2 9")
    (web,) = found(url, "--vanished", "--last-words", "2", "--role", "web")
    assert [word["message"] for word in web["last_words"]] == ["web-2 7", "web-2 8"]


def test_the_newest_lines(url: str) -> None:
    assert [one["host"] for one in found(url, "-n", "2")] == ["db-1", "web-3"]
    assert len(found(url, "-n", "0")) == 5


def test_what_is_said_on_stderr(url: str) -> None:
    result = CliRunner().invoke(main, ["hosts", "--utc", "--store", url, "-S", "30d"], prog_name="logsink")
    assert "logsink: 42 found in " in result.stderr
    assert "; includes everything acknowledged by " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--silent", "soon"), "soon"),
        (("--silent", "0s"), "cannot look for a silence of '0s' (write 10m, 2h or '1 day')"),
        (
            ("--last-words", "3", "-o", "csv"),
            "cannot write last words as csv (--last-words goes with -o table and -o json)",
        ),
        (("--by", "app"), "app"),
        (("-S", "never"), "never"),
    ],
)
def test_mistakes(url: str, arguments: tuple[str, ...], message: str) -> None:
    result = hosts(url, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    result = hosts(f"file://{tmp_path}/none")
    assert result.exit_code == 2
    assert "cannot find a logsink store" in result.stderr


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    url = asyncio.run(fill(tmp_path, counted=False))
    (gone, *_) = sorted(Path(tmp_path, "store", "logs").glob("date=*/*.parquet"))
    gone.unlink()
    result = hosts(url)
    assert result.exit_code == 2
    assert f"{gone.name} is missing; 11 rows of it are not shown" in result.stderr
    assert len(result.stdout.splitlines()) == 5


def test_only_of_the_newest_it_is_said_how_they_ended(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logsink.cli.hosts.run.LOOKED_AT", 2)
    monkeypatch.setattr("logsink.cli.hosts.run.MOST_WORDS", 1)
    result = CliRunner().invoke(main, ["hosts", "--utc", "--store", url, "--last-words", "1"], prog_name="logsink")
    assert "how they ended is known only of the newest 2 of 4 that are silent" in result.stderr
    assert "last words are shown only of the newest 1 of 5" in result.stderr
    assert [line.split()[-1] for line in result.stdout.splitlines()[1:6]] == ["-", "-", "vanished", "vanished", "here"]


@pytest.mark.parametrize("counted", [True, False], ids=["counts", "rows"])
async def test_rows_of_logsink_itself_are_of_no_sender(tmp_path: Path, counted: bool) -> None:
    own = [
        [row(MIDDAY - START, host="vm", instance="vm", role="logsink", app="logsink", message="ready")],
        [row(NOW - HOUR - START, host="web-1", app="logsink-doctor", message="test-1 by tcp")],
    ]
    async with open_store(f"file://{tmp_path}/store") as store:
        await archive(store, [*FLEET[:1], *own])
        if counted:
            await put_counts(store)
    url = store.url
    ask = asyncio.to_thread
    (web,) = await ask(found, url)
    assert (web["instance"], web["rows"], web["state"], web["last"]) == ("i-web-1", 11, "goodbye", instant(MIDDAY))
    assert [one["role"] for one in await ask(found, url, "--by", "role")] == ["web"]
    (host,) = await ask(found, url, "--by", "host", "--last-words", "1")
    assert host["last_words"][0]["app"] == "app"
    assert (await ask(hosts, url, "--vanished")).exit_code == 0
    assert [one["host"] for one in await ask(found, url, "-u", "!cron")] == ["web-1"]
    assert [one["host"] for one in await ask(found, url, "-u", "logsink*")] == ["vm", "web-1"]


def test_the_apps_of_logsink_are_those_that_it_stores() -> None:
    assert set(OWN_APPS) == {life.APP, delivery.APP}


def test_who_is_silent_for_a_chosen_span_need_not_have_vanished(url: str) -> None:
    states = {one["host"]: one["state"] for one in found(url, "--silent", "1m")}
    assert states == {"web-2": "silent", "web-1": "goodbye", "router": "silent", "db-1": "silent"}
    assert {one["state"] for one in found(url, "--silent", "1m", "--vanished")} == {"vanished"}
    said = CliRunner().invoke(main, ["hosts", "--store", url, "--silent", "1m"], prog_name="logsink").stderr
    assert "logsink: silent: no row for 1m and no goodbye\n" in said
    said = CliRunner().invoke(main, ["hosts", "--store", url, "-H", "web-1", "--silent", "1m"]).stderr
    assert "no goodbye" not in said


@pytest.mark.parametrize(("by", "who"), [("role", "host"), ("host", "environment")])
async def test_only_rows_that_conditions_choose_say_how_somebody_ended(tmp_path: Path, by: str, who: str) -> None:
    """Another host of the role, or the host of the same name elsewhere, said goodbye: that says nothing of this one."""
    url = f"file://{tmp_path}/store"
    common = {"role": "web", "host": "web", "environment": "prod"}
    here = [row(MIDDAY - START + n, message=f"mine {n}", app="app", **common | {who: "mine"}) for n in (0, 2000)]
    other = {"severity": 6} | common | {who: "other"}
    there = [
        row(MIDDAY - START + 1000, message="theirs", app="app", **other),
        row(MIDDAY - START + 1001, message=GOODBYE, app="rsyslogd", **other),
    ]
    async with open_store(url) as store:
        await archive(store, [here, there])
    (mine,) = await asyncio.to_thread(found, url, "--by", by, f"--{who}", "mine", "--last-words", "5")
    assert (mine["rows"], mine["state"], mine["goodbye"]) == (2, "vanished", None)
    assert [said["message"] for said in mine["last_words"]] == ["mine 0", "mine 2000"]
    assert (await asyncio.to_thread(hosts, url, "--by", by, f"--{who}", "mine", "--vanished")).exit_code == 1
