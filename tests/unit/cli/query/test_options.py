"""Every option of ``logsink query`` that chooses rows, shows them, or sums them up."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.cli.query.request import LIMITS
from logsink.query.output import DEFAULT_COLUMNS
from logsink.store import open_store
from tests.unit.query.archives import archive, row

_OTHERS = ["other 2", "other 3", "other 4"]
_TRACE = ["\tat a.B.c(B.java:7)", "Caused by: late", "\tat d.E.f(E.java:9)"]
SECOND = 1_000_000
ROWS = [
    row(
        0, host="web1", app="sshd", facility=4, severity=6, procid="7", message="session opened for root", raw=b"<38>a"
    ),
    row(
        SECOND, host="web2", app="nginx", facility=16, severity=3, message="upstream Timeout 17", raw=b"<131>b", flags=1
    ),
    row(
        2 * SECOND,
        host="db1",
        app="postgres",
        facility=16,
        severity=4,
        msgid="SLOW",
        message="slow\nquery 4711",
        structured_data='[meta user="root"][deploy@32473 environment="prod"]',
        environment="prod",
        deploy="d-7",
        sender="10.0.0.7",
        identity="CN=db1",
        transport="relp",
        raw=b"<132>c",
    ),
    row(3 * SECOND, host=None, app=None, message="", raw=b"d"),
    row(4 * SECOND, host="web1", app="nginx", facility=16, severity=3, message="upstream timeout 99", raw=b"<131>e"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = f"file://{tmp_path_factory.mktemp('archive')}/store"

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [ROWS[:2], ROWS[2:]])

    asyncio.run(build())
    return place


def query(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["query", "--store", url, *arguments])


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("-g", "timeout"), [1, 4]),
        (("-g", "Timeout"), [1]),
        (("-g", "time.ut [0-9]{2}$"), [1, 4]),
        (("-g", "root", "-g", "slow"), [0, 2]),
        (("-F", "slow"), [2]),
        (("-w", "time"), []),
        (("-w", "-i", "timeout"), [1, 4]),
        (("-v", "-i", "timeout"), [0, 2, 3]),
        (("-v", "-g", "o"), [3]),
        (("-H", "!web*"), [2, 3]),
        (("-H", "web*", "-H", "!web2"), [0, 4]),
        (("--unit", "nginx"), [1, 4]),
        (("--procid", "7"), [0]),
        (("--msgid", "SLOW"), [2]),
        (("--sender", "10.*"), [2]),
        (("--identity", "CN=db?"), [2]),
        (("--environment", "prod"), [2]),
        (("--deploy", "!d-7"), [0, 1, 3, 4]),
        (("--role", "x"), []),
        (("--instance", "x"), []),
        (("--transport", "relp"), [2]),
        (("--facility", "local0", "--facility", "auth"), [0, 1, 2, 4]),
        (("--facility", "!16"), [0, 3]),
        (("--sd", "user=root"), [2]),
        (("--sd", "meta.user=ro*", "--sd", "environment=prod"), [2]),
        (("--sd", "deploy.user=root"), []),
        (("--flag", "truncated"), [1]),
        (("--flag", "!truncated", "-H", "web*"), [0, 4]),
        (("--from", "2026-11-22T00:00:01Z", "--to", "2026-11-22T00:00:03Z"), [1, 2]),
        (("--min-time", "@1795305602", "--limit", "2"), [3, 4]),
        (("-z", "Europe/Berlin", "-S", "2026-11-22 01:00:03"), [3, 4]),
        (("-z", "UTC", "-S", "2026-11-22 00:00:04"), [4]),
    ],
)
def test_what_is_found(url: str, arguments: tuple[str, ...], wanted: list[int]) -> None:
    result = query(url, "-q", "-o", "json", *arguments)
    assert result.exit_code == (0 if wanted else 1), result.stderr
    assert [json.loads(line)["message"] for line in result.stdout.splitlines()] == [ROWS[n]["message"] for n in wanted]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-E", "-F", "x"), "cannot take patterns as text and as regular expressions at once (give -E or -F)"),
        (("-v",), "cannot find what does not match: there is no pattern (give one with -v)"),
        (("--facility", "nginx"), "cannot read 'nginx' as a facility"),
        (("--sd", "user"), "cannot read 'user' as a parameter of structured data (write [ID.]KEY=VALUE"),
        (("--flag", "late"), "cannot find flag 'late' (write one of truncated"),
        (("-z", "Mars/Base"), "cannot find time zone 'Mars/Base' (write local, UTC, or"),
        (("-S", "1h", "-U", "2h"), "cannot search from '1h' until '2h': the range is empty"),
        (("-o", "cat", "--fields", "host"), "cannot choose fields with -o cat (--fields goes with text, iso, verbose"),
        (("-o", "json", "--fields", "hosts"), "cannot find field 'hosts' (did you mean host? there are time, received"),
        (("-o", "json", "--fields", "host,host"), "cannot use fields 'host,host' (name each once"),
        (("--count", "--patterns"), "cannot use --count with --patterns"),
        (("--by", "host"), "cannot use --by without --hist"),
        (("--stats", "by=hosts"), "cannot find field 'hosts'"),
        (("--hist", "5"), "cannot read duration '5'"),
        (
            ("--hist", "9999999999 weeks"),
            "cannot count in steps of '9999999999 weeks': more than 3652500 days (write a shorter",
        ),
        (("-f", "-r"), "cannot use --reverse with --follow"),
        (("-f", "--explain"), "cannot use --explain with --follow"),
        (("--after-cursor", "x", "--count"), "cannot use --count with --after-cursor"),
        (("-f", "-o", "parquet"), "cannot use --follow with -o parquet"),
        (("--after-cursor", "x"), "cannot read 'x' as a cursor"),
        (("-A", "1", "-f"), "cannot use -A, -B, -C with --follow (leave one of them out)"),
        (("-M", "--cursor-file", "x"), "cannot use --multiline with --cursor-file"),
        (("-C", "1", "--dedupe"), "cannot use -A, -B, -C with --dedupe"),
        (("-M", "--count"), "cannot use --multiline with --count"),
        (("-M", "-B", "1"), "cannot use -A, -B, -C with --multiline"),
        (("--continues", "^x"), "cannot use --continues without --multiline"),
        (("-M", "--continues", "("), "cannot use regular expression '('"),
        (("-A", "-1"), "invalid value for '-A'"),
        (("--spreadsheet",), "cannot use --spreadsheet without -o csv (add -o csv)"),
        (("--count", "-o", "arrow"), "cannot use --count with -o arrow (write text, json or csv)"),
    ],
)
def test_what_cannot_be_understood(url: str, arguments: tuple[str, ...], said: str) -> None:
    result = query(url, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"logsink: {said}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("spellings", "value"),
    [
        (("-g", "--grep"), "timeout"),
        (("-S", "--since", "--from", "--min-time"), "2026-11-22T00:00:02Z"),
        (("-U", "--until", "--to", "--max-time"), "2026-11-22T00:00:02Z"),
        (("-H", "--host", "-s", "--system"), "web1"),
        (("-u", "--app", "--unit", "--identifier"), "nginx"),
        (("-p", "--priority"), "err"),
        (("-z", "--timezone"), "Asia/Kolkata"),
        (("-n", "--lines", "--limit"), "2"),
        (("-o", "--output"), "cat"),
        (("-o json", "-j", "--json", "-o jsonl"), ""),
        (("-o iso", "-o short-iso"), ""),
        (("-o text", "-o short", "-o default"), ""),
        (("--color always", "--force-color", "--colored-output"), ""),
        (("-E o.e", "--regex o.e"), ""),
        (("-w timeout", "--word timeout", "-w -F timeout", "-w --fixed timeout"), ""),
        (("-i TIMEOUT", "--ignore-case TIMEOUT"), ""),
        (("-v o", "--invert-match o"), ""),
        (("-r", "--reverse"), ""),
        (("-A 1 out", "--after-context 1 out"), ""),
        (("-B 1 out", "--before-context 1 out"), ""),
        (("-C 1 out", "--context 1 out"), ""),
        (("-M out", "--multiline out"), ""),
        (("--no-pager --color never", "--color auto"), ""),
    ],
)
def test_spellings_mean_the_same(url: str, spellings: tuple[str, ...], value: str) -> None:
    plain = query(url, "-q").stdout
    first, *others = [query(url, "--quiet", *option.split(), *([value] if value else [])) for option in spellings]
    assert first.exit_code == 0
    assert first.stdout != plain or spellings[0] in ("-o text", "--no-pager --color never")
    for other in others:
        assert (other.exit_code, other.stdout) == (0, first.stdout), other.stderr


def test_settings_and_cursors_by_their_long_names(url: str, tmp_path: Path) -> None:
    (tmp_path / "logsink.toml").write_text(f'store = "{url}"\n')
    for option in ("-c", "--config"):
        arguments = ["query", option, str(tmp_path / "logsink.toml"), "-o", "cat", "--show-cursor", "-n", "all"]
        result = CliRunner().invoke(main, arguments)
        assert len(result.stdout.splitlines()) == 6  # one message has two lines
        cursor = result.stderr.rpartition("cursor: ")[2].splitlines()[0]
    nothing = query(url, "--after-cursor", cursor)
    assert nothing.exit_code == 1
    assert re.fullmatch(r"logsink: 0 found in \S+ s; read \S+ \S+; includes everything .*\n", nothing.stderr)
    for option in ("-f", "--follow", "--tail"):
        assert "--follow" in query(url, option, "--explain").stderr


# --- output


def shown(**values: Any) -> dict[str, Any]:
    return {name: values.get(name) for name in DEFAULT_COLUMNS}


def rows_of(found: pa.Table) -> list[dict[str, Any]]:
    return [{name: row[name] for name in DEFAULT_COLUMNS} for row in found.to_pylist()]


def stored() -> list[dict[str, Any]]:
    """The rows as Arrow gives them back."""
    from logsink.query.columns import as_rows
    from tests.unit.query.archives import table

    return rows_of(as_rows(table(ROWS), DEFAULT_COLUMNS))


def test_arrow_and_parquet_give_the_same_rows(url: str) -> None:
    arrow = query(url, "-q", "-o", "arrow").stdout_bytes
    assert rows_of(pa.ipc.open_stream(arrow).read_all()) == stored()
    parquet = query(url, "-q", "-o", "parquet").stdout_bytes
    assert rows_of(pq.read_table(io.BytesIO(parquet))) == stored()
    empty = query(url, "-q", "-o", "parquet", "nowhere to be found").stdout_bytes
    assert pq.read_table(io.BytesIO(empty)).num_rows == 0
    some = pa.ipc.open_stream(query(url, "-q", "-o", "arrow", "--fields", "message,time").stdout_bytes).read_all()
    assert some.column_names == ["message", "time"]


def test_csv_gives_the_same_rows(url: str) -> None:
    text = query(url, "-q", "-o", "csv").stdout
    found = list(csv.DictReader(io.StringIO(text)))
    assert [row["message"] for row in found] == [row["message"] for row in ROWS]
    assert next(row["time"] for row in found) == "2026-11-22T00:00:00.000000Z"
    assert [row["severity"] for row in found] == ["6", "3", "4", "", "3"]
    assert text.splitlines()[0] == ",".join(DEFAULT_COLUMNS)
    nothing = query(url, "-o", "csv", "--fields", "host,message", "-H", "none")
    assert nothing.stdout == "host,message\n"
    nulls = query(url, "-q", "-o", "csv", "--fields", "host,message", "-n", "2").stdout
    assert nulls == 'host,message\n,""\n"web1","upstream timeout 99"\n'


def test_csv_for_spreadsheets_holds_no_formulas(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\uff1d1", "a=1", "'", ""]
    expected = ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx", "'\rx", "'\uff1d1", "a=1", "'", ""]

    async def build() -> None:
        async with open_store(f"file://{tmp_path}/store") as store:
            await archive(store, [[row(n, host=text, message=text, nth=n) for n, text in enumerate(texts)]])

    asyncio.run(build())
    fields = ("-q", "-o", "csv", "--fields", "host,message,nth")
    for arguments, shown in ((fields, texts), ((*fields, "--spreadsheet"), expected)):
        text = query(f"file://{tmp_path}/store", *arguments).stdout_bytes.decode()
        found = list(csv.reader(io.StringIO(text, newline="")))[1:]
        assert found == [[value, value, str(n)] for n, value in enumerate(shown)]
    top = query(f"file://{tmp_path}/store", "-q", "--top", "message", "-n", "all", "-o", "csv", "--spreadsheet").stdout
    assert '"\'=1+1",1' in top


def test_json_gives_the_same_rows(url: str) -> None:
    plain = [json.loads(line) for line in query(url, "-q", "-o", "json").stdout.splitlines()]
    decoder, pretty, at, text = json.JSONDecoder(), [], 0, query(url, "-q", "-o", "json-pretty").stdout
    while at < len(text):
        found, at = decoder.raw_decode(text, at)
        pretty.append(found)
        at += 1
    assert pretty == plain
    assert plain[2]["structured_data"] == ROWS[2]["structured_data"]
    assert "host" not in plain[3]
    some = query(url, "-q", "-o", "json", "--fields", "message,host", "-n", "1").stdout
    assert some == '{"message":"upstream timeout 99","host":"web1"}\n'


def test_verbose_and_iso(url: str) -> None:
    assert query(
        url, "-q", "--utc", "-o", "verbose", "--fields", "host,severity,facility,flags", "-H", "web2"
    ).stdout == (
        "2026-11-22T00:00:01.000000Z\n    host=web2\n    severity=err\n    facility=local0\n    flags=truncated\n"
    )
    assert query(url, "-q", "-z", "Asia/Kolkata", "-o", "iso", "-H", "web2").stdout == (
        "2026-11-22T05:30:01.000000+05:30 web2 nginx: upstream Timeout 17\n"
    )


def test_text_for_a_terminal_and_for_programs(url: str) -> None:
    plain = query(url, "-q", "--utc", "-H", "web2").stdout
    assert plain == "2026-11-22 00:00:01.000Z web2 nginx: upstream Timeout 17\n"
    marked = query(url, "-q", "--utc", "-H", "web2", "--marks", "always").stdout
    assert marked == "2026-11-22 00:00:01.000Z E web2 nginx: upstream Timeout 17\n"
    fields = query(url, "-q", "--utc", "-H", "web2", "--fields", "host,severity,message").stdout
    assert fields == "web2\terr\tupstream Timeout 17\n"
    for arguments, highlighted in (
        (("Timeout",), "\x1b[7mTimeout\x1b[27m 17"),
        (("-i", "TIMEOUT"), "\x1b[7mTimeout\x1b[27m 17"),
        (("-w", "Timeout"), "\x1b[7mTimeout\x1b[27m 17"),
        (("-E", "T.* [0-9]"), "\x1b[7mTimeout 1\x1b[27m7"),
        (("-g", "17", "Timeout"), "\x1b[7mTimeout\x1b[27m \x1b[7m17\x1b[27m"),
        (("-v", "x"), "Timeout 17"),
    ):
        assert highlighted in query(url, "-q", "-H", "web2", "--color", "always", *arguments).stdout


def test_syslog(url: str) -> None:
    lines = query(url, "-q", "-o", "syslog").stdout.splitlines()
    assert lines[0] == "<38>1 2026-11-22T00:00:00.000000Z web1 sshd 7 - - session opened for root"
    assert lines[2] == (
        '<132>1 2026-11-22T00:00:02.000000Z db1 postgres - SLOW [meta user="root"][deploy@32473 environment="prod"] '
        "slow#012query 4711"
    )
    assert lines[3] == "<13>1 2026-11-22T00:00:03.000000Z - - - - - "
    octet = query(url, "-q", "-o", "syslog", "--framing", "octet", "-H", "db1").stdout
    count, _, rest = octet.partition(" ")
    assert int(count) == len(rest)
    assert "slow\nquery" in rest


# --- what belongs to a match


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two hosts that log in turn, one of them a stack trace."""
    place = f"file://{tmp_path_factory.mktemp('traces')}/store"
    texts = ["start", "ERROR boom", "\tat a.B.c(B.java:7)", "Caused by: late", "\tat d.E.f(E.java:9)", "go on", "end"]
    java = [row(2 * n * 1000, host="web1", app="java", message=text) for n, text in enumerate(texts)]
    other = [row((2 * n + 1) * 1000, host="web2", app="java", message=f"other {n}") for n in range(7)]

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [java[:3] + other, java[3:]])

    asyncio.run(build())
    return place


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (("-A", "1", "ERROR", "end"), ["ERROR boom", "\tat a.B.c(B.java:7)", "--", "end"]),
        (("-B", "1", "ERROR", "go on"), ["start", "ERROR boom", "--", "\tat d.E.f(E.java:9)", "go on"]),
        (("--context", "1", "ERROR", "other 3"), ["start", *["ERROR boom", "\tat a.B.c(B.java:7)", "--"], *_OTHERS]),
        (("-r", "-A", "1", "-B", "0", "ERROR"), ["\tat a.B.c(B.java:7)", "ERROR boom"]),
        (("-C", "1", "-n", "1", "r"), ["other 5", "other 6"]),
        (
            ("--before-context", "2", "--after-context", "0", "-U", "2026-11-22T00:00:00.002Z"),
            ["start", "--", "other 0"],
        ),
        (("--multiline", "late"), ["ERROR boom", "\tat a.B.c(B.java:7)", "Caused by: late", "\tat d.E.f(E.java:9)"]),
        (("-M", "-r", "late"), ["\tat d.E.f(E.java:9)", "Caused by: late", "\tat a.B.c(B.java:7)", "ERROR boom"]),
        (("-M", "--continues", "^(go|end)", "go"), ["\tat d.E.f(E.java:9)", "go on", "end"]),
        (("-M", "-H", "web1"), ["start", "ERROR boom", *_TRACE, "go on", "end"]),
    ],
)
def test_what_belongs_to_a_match(traces: str, arguments: tuple[str, ...], lines: list[str]) -> None:
    result = query(traces, "-q", "--utc", "-o", "cat", *arguments)
    assert result.stdout.splitlines() == lines, result.stderr


def test_blocks_are_apart_in_formats_for_people_only(traces: str) -> None:
    for kind in ("text", "iso", "verbose", "cat"):
        assert query(traces, "-q", "-A", "1", "-o", kind, "ERROR", "end").stdout.count("--\n") == 1
    for kind in ("json", "csv"):
        plain = query(traces, "-q", "-A", "1", "-o", kind, "--fields", "message", "ERROR", "end").stdout
        assert "--" not in plain
        assert plain.count("\n") == 3 + (kind == "csv")
    found = pa.ipc.open_stream(query(traces, "-q", "-A", "1", "-o", "arrow", "ERROR", "end").stdout_bytes).read_all()
    assert found.column_names == list(DEFAULT_COLUMNS)
    assert found.num_rows == 3
    assert "2 found" in query(traces, "-A", "1", "ERROR", "end").stderr


# --- sums


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--count",), "5\n"),
        (("--count", "-p", "err"), "2\n"),
        (("--stats", "by=app,severity"), "count  app       severity\n    2  nginx     err\n    1  postgres  warning\n"),
        (("--top", "host", "-n", "1"), "count  host\n    2  web1\n"),
        (("--values", "host"), "db1\nweb1\nweb2\n"),
        (("--patterns", "-g", "upstream"), "count  pattern\n    1  upstream Timeout *\n    1  upstream timeout *\n"),
        (("--utc", "--hist", "2s"), "time                 count\n2026-11-22 00:00:00      2  ███"),
        (
            ("--utc", "--hist", "1m", "--by", "app"),
            "time                 app       count\n2026-11-22 00:00:00  nginx  ",
        ),
    ],
)
def test_sums(url: str, arguments: tuple[str, ...], text: str) -> None:
    result = query(url, "-q", *arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(text)


def test_a_sum_that_is_cut_says_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = "logsink: only the first 1 of 2 are shown; -n all shows all\n"
    assert query(url, "--patterns", "-g", "upstream", "-n", "1").stderr.startswith(cut)
    assert query(url, "--top", "host", "-n", "4").stderr.startswith("logsink: 5 found")
    monkeypatch.setitem(LIMITS, "patterns", "1")
    assert query(url, "--patterns", "-g", "upstream").stderr.startswith(cut)
    assert query(url, "--patterns", "-g", "upstream", "-n", "all").stdout.count("upstream") == 2


def test_sums_for_programs(url: str) -> None:
    assert query(url, "-q", "--top", "app", "-o", "csv", "-n", "1").stdout == '"app","count"\n"nginx",2\n'
    found = [json.loads(line) for line in query(url, "-q", "--hist", "1m", "-o", "json").stdout.splitlines()]
    assert found == [{"time": "2026-11-22T00:00:00Z", "count": 5}]
    nothing = query(url, "-q", "--count", "nowhere to be found")
    assert (nothing.exit_code, nothing.stdout) == (1, "0\n")
    assert query(url, "-q", "--top", "app", "nowhere to be found").stdout == ""


# --- what it says of itself


def test_explain(url: str) -> None:
    result = query(url, "--explain", "-H", "web*", "-n", "7")
    assert result.exit_code == 0
    assert "table    version 1: 2 files, " in result.stdout
    assert "where    host is web*\n" in result.stdout
    assert "the newest 7" in result.stdout
    assert "besides" not in result.stdout
    assert (
        "besides  of each match's host and app 2 lines before it and 0 after it\n"
        in query(url, "--explain", "-B", "2").stdout
    )
    assert (
        "besides  the other lines of each match's record, by ^x\n"
        in query(url, "--explain", "-M", "--continues", "^x").stdout
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-S", "2026-11-22T00:00:01Z"), "time from 2026-11-22T00:00:01.000000Z"),
        (("-U", "@0.5"), "time before 1970-01-01T00:00:00.500000Z"),
        (("-p", "err"), "severity from 0 and severity before 4"),
        (("-H", "!a", "-H", "!b*"), "not: host is a or b*"),
        (("--facility", "local0"), "facility is 16"),
        (("--flag", "truncated"), "flags hold truncated"),
        (("--sd", "id.key=x*"), "structured_data has id.key=x*"),
        (("a b", "c"), "message holds 'a b' or 'c'"),
        (("-g", "x", "-w"), "message holds 'x' (regular expression, whole words, in any case)"),
    ],
)
def test_conditions_are_explained(url: str, arguments: tuple[str, ...], said: str) -> None:
    assert f"where    {said}\n" in query(url, "--explain", *arguments).stdout


def test_what_was_searched(url: str) -> None:
    said = query(url, "-H", "db*", "--utc").stderr
    assert said.startswith("logsink: 1 found in ")
    assert "$" not in said
    assert " from " not in said
    limits = ("-S", "2026-11-22T00:00:01Z", "-U", "2026-11-22T00:00:03.5Z")
    for arguments, text in (
        (limits, "; from 2026-11-22 01:00:01 until 2026-11-22 01:00:03; "),
        (limits[:2], "; from 2026-11-22 01:00:01; "),
        (limits[2:], "; until 2026-11-22 01:00:03; "),
        (("-S", "@-99999999999"), "; from @-99999999999; "),
    ):
        assert text in query(url, "-z", "Europe/Berlin", *arguments).stderr


def test_a_file_that_cannot_be_read_is_said_and_the_rest_is_found(tmp_path: Path) -> None:
    place = tmp_path / "store"

    async def build() -> None:
        async with open_store(f"file://{place}") as store:
            await archive(store, [ROWS[:2], ROWS[2:]])

    asyncio.run(build())
    first, *_ = sorted(place.glob("logs/date=*/*.parquet"))
    size = first.stat().st_size
    first.write_bytes(bytes(size))
    for arguments in ((), ("-n", "all"), ("-r",), ("--count", "-S", "2026-01-01")):
        result = query(f"file://{place}", *arguments)
        assert result.exit_code == 2
        assert f"it does not end as a Parquet file of {size} bytes; 2 rows of it are not shown" in result.stderr
        assert len(result.stdout.splitlines()) in ((1,) if "--count" in arguments else (2, 3))


@pytest.mark.parametrize("grace", [30.0, 0.0])
@pytest.mark.parametrize(
    ("arguments", "shown"),
    [(["-o", "cat", "-n", "all"], rb"[\x00-\xff]*"), (["--count", "-S", "2026-01-01"], rb"\d+\n")],
)
def test_an_interrupt_ends_it_and_says_so(url: str, grace: float, arguments: list[str], shown: bytes) -> None:
    """When the first file was read it is told to stop; it may have the time to come to an end, or none. Sums are shown."""
    code = f"""
import asyncio, os, signal
from logsink.cli.query import interrupts
from logsink.cli.main import main
from logsink.cli.query.request import LIMITS
from logsink.query.read import reader
footer, seen = reader.Reader.footer, []
interrupts.GRACE = {grace}

async def interrupted(self, *arguments):
    opened = await footer(self, *arguments)
    seen.append(opened)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.2)
    return opened

reader.Reader.footer = interrupted
main()
"""
    program = [sys.executable, "-c", code, "query", "--store", url, *arguments]
    done = subprocess.run(program, capture_output=True, timeout=60, check=False)
    assert done.returncode == 130
    assert re.fullmatch(shown, done.stdout)
    assert b"interrupted: not everything was searched" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_pager_gets_what_a_terminal_would(url: str, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    seen = tmp_path / "seen"
    master, slave = pty.openpty()
    environ = os.environ | {"PAGER": f"tee {seen}", "TERM": "xterm"}
    program = [sys.executable, "-m", "logsink", "query", "--store", url, "-q", "-H", "web2"]
    with subprocess.Popen(program, stdout=slave, env=environ, stderr=subprocess.DEVNULL) as process:
        os.close(slave)
        out = b""
        while True:
            try:
                got = os.read(master, 4096)
            except OSError:
                break
            if not got:
                break
            out += got
        assert process.wait(60) == 0
    os.close(master)
    assert b"upstream Timeout 17" in out
    assert b"upstream Timeout 17" in seen.read_bytes()
