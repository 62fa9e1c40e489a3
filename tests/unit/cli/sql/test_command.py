"""``logsink sql`` as its users meet it."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
import json
import re
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

import logsink
from logsink.archive import Snapshot
from logsink.cli.main import main
from logsink.cli.sql.run import show
from logsink.errors import ArgumentError, NotFound
from logsink.parse import FILE_SCHEMA
from logsink.query.read import losses, reader
from logsink.query.sql import engine
from logsink.query.sql.engine import needed_columns
from logsink.store import open_store
from tests.support.spark import require_client
from tests.unit.archive.tables import table_of
from tests.unit.query.archives import archive, row

pytest.importorskip("duckdb")

SECOND = 1_000_000
ROWS = [
    row(n * SECOND, host=f"web{n % 3}", app="a" if n % 2 else None, severity=n % 8, message=f"l {n}") for n in range(50)
]


WRITING = (
    "DELETE FROM logs",
    "INSERT INTO logs SELECT * FROM logs",
    "UPDATE logs SET host = 'x'",
    "CREATE TABLE x AS SELECT 1",
    "CREATE MACRO f() AS 1",
    "DROP VIEW logs",
    "TRUNCATE logs",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "USE memory",
    "LOAD json",
    "WITH a AS (SELECT 1 AS i) INSERT INTO logs SELECT * FROM a",
    "EXPLAIN ANALYZE DELETE FROM logs",
    "EXPLAIN (ANALYZE) INSERT INTO logs SELECT * FROM logs",
    "IMPORT DATABASE '/tmp/logs'",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "BEGIN",
    "VACUUM",
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = f"file://{tmp_path_factory.mktemp('archive')}/store"

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [ROWS[:20], ROWS[20:]])

    asyncio.run(build())
    return place


def sql(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["sql", "-q", "--store", url, *arguments])


def test_a_table(url: str) -> None:
    result = sql(url, "SELECT host, count(*) AS n FROM logs GROUP BY host ORDER BY n DESC, host")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "host   n\nweb0  17\nweb1  17\nweb2  16\n"
    assert sql(url, "SELECT time, app FROM logs ORDER BY time LIMIT 1").stdout == (
        "time                  app\n2026-11-22 00:00:00Z  -\n"
    )


def test_conditions_choose_what_is_read(url: str) -> None:
    result = sql(url, "-H", "web1", "-S", "2026-11-22T00:00:40Z", "SELECT message FROM logs ORDER BY time")
    assert result.stdout.split("\n") == ["message", "l 40", "l 43", "l 46", "l 49", ""]
    nothing = sql(url, "-H", "db*", "-o", "csv", "SELECT message FROM logs")
    assert (nothing.exit_code, nothing.stdout) == (1, '"message"\n')


def test_spellings_mean_the_same(url: str, tmp_path: Path) -> None:
    (tmp_path / "logsink.toml").write_text(f'store = "{url}"\n')
    count = "SELECT count(*) AS n FROM logs"
    for one, other in (
        ("-S 2026-11-22T00:00:40Z", "--since 2026-11-22T00:00:40Z"),
        ("-U 2026-11-22T00:00:40Z", "--max-time 2026-11-22T00:00:40Z"),
        ("-z Asia/Tokyo -S 2026-11-22T09:00:40", "--timezone Asia/Tokyo --since 2026-11-22T09:00:40"),
        ("-H web1", "--host web1"),
        ("-u a", "--app a"),
        ("-p err", "--priority 3"),
        ("--utc -o csv", "--output csv"),
        ("-j", "--json"),
        (f"-c {tmp_path}/logsink.toml -p 0", f"--config {tmp_path}/logsink.toml -p 0"),
    ):
        found = [sql(url, *options.split(), count).stdout for options in (one, other)]
        assert found[0] == found[1] != sql(url, count).stdout


def test_formats(url: str) -> None:
    query = "SELECT app, severity FROM logs ORDER BY time LIMIT 2"
    assert sql(url, "-o", "csv", query).stdout == '"app","severity"\n,0\n"a",1\n'
    assert [json.loads(line) for line in sql(url, "-o", "json", query).stdout.splitlines()] == [
        {"app": None, "severity": 0},
        {"app": "a", "severity": 1},
    ]
    assert pq.read_table(io.BytesIO(sql(url, "-o", "parquet", query).stdout_bytes))["severity"].to_pylist() == [0, 1]
    assert pa.ipc.open_stream(sql(url, "-o", "arrow", query).stdout_bytes).read_all().num_rows == 2


def test_the_table_named_twice(url: str) -> None:
    result = sql(url, "SELECT count(*) FROM logs JOIN (SELECT max(time) AS time FROM logs) USING (time)")
    assert result.stdout.split() == ["count_star()", "1"]


@pytest.mark.parametrize(
    "query",
    [
        "PIVOT logs ON host USING count(*)",
        "WITH l AS (SELECT host FROM logs) SELECT * FROM l JOIN l m USING (host)",
        "SELECT count(*) FROM logs WHERE time = (SELECT max(time) FROM logs)",
    ],
)
def test_rows_may_be_read_several_times(url: str, query: str) -> None:
    result = sql(url, query)
    assert (result.exit_code, result.stderr) == (0, "")


def test_memory_is_bounded_and_what_does_not_fit_leaves_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = sql(
        url, "-o", "csv", "SELECT current_setting('memory_limit') AS m, current_setting('temp_directory') AS t"
    )
    limit, directory = next(csv.reader(result.stdout.splitlines()[1:]))
    assert limit == "1.0 GiB"
    assert Path(directory).parent == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELEC 1", "cannot run this SQL: Parser Error"),
        ("SELECT hosts FROM logs", "cannot run this SQL: Binder Error"),
        ("SELECT * FROM read_csv('/etc/passwd')", "cannot run this SQL: Permission Error"),
        ("SELECT * FROM '/etc/passwd'", "cannot run this SQL: "),
        ("COPY logs TO '/tmp/logs.csv'", "cannot run COPY: SQL here only reads"),
        ("INSTALL httpfs", "cannot run INSTALL: SQL here only reads"),
        ("SET enable_external_access = true", "cannot run SET: "),
        ("ATTACH '/tmp/other.db'", "cannot run ATTACH: "),
        ("SELECT * FROM read_text('/etc/passwd')", "cannot run this SQL: Permission Error"),
        ("SELECT * FROM query('FROM read_text(''/etc/passwd'')')", "cannot run this SQL: Permission Error"),
        ("SELECT * FROM glob('/etc/*')", "cannot run this SQL: Permission Error"),
        ("SELECT * FROM 's3://bucket/x.parquet'", "cannot run this SQL: Permission Error"),
        ("SELECT * FROM duckdb_secrets()", "cannot run this SQL: Permission Error"),
        ("SET memory_limit = '1TB'", "cannot run SET: "),
        ("EXPORT DATABASE '/tmp/logs'", "cannot run EXPORT: "),
        *((text, f"cannot run {text.split()[0]}: ") for text in WRITING),
        ("SELECT 1; SELECT 2", "cannot run this SQL: 2 statements instead of one"),
        ("", "cannot run this SQL: 0 statements instead of one"),
        ("SELECT getenv('HOME')", "cannot run this SQL: Catalog Error"),
        ("SELECT * FROM result", "cannot run this SQL: Catalog Error"),
    ],
)
def test_it_can_do_nothing_but_read_the_archive(url: str, query: str, said: str) -> None:
    result = sql(url, query)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"logsink: {said}")
    assert len(result.stderr.splitlines()) == 1


def test_no_store(tmp_path: Path) -> None:
    result = sql(f"file://{tmp_path}/nowhere", "SELECT host FROM logs")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot find a logsink store" in result.stderr


def test_an_interrupt_ends_it_quietly(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB makes an error of its own of an interrupt that comes while rows are read."""

    def interrupted(*_: object, **__: object) -> Iterator[pa.RecordBatch]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("logsink.cli.sql.run.batches", interrupted)
    result = sql(url, "SELECT count(*) FROM logs")
    assert (result.exit_code, result.stdout, result.stderr.strip()) == (130, "", "")


def test_it_runs_anew_when_objects_were_removed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    group, failed = reader.Reader.row_group, []

    async def once(self, *given):  # type: ignore[no-untyped-def]
        if not failed:
            failed.append(given)
            raise NotFound("gone")
        return await group(self, *given)

    async def none(*_: object) -> Snapshot:
        return Snapshot()

    monkeypatch.setattr(reader.Reader, "row_group", once)
    monkeypatch.setattr(losses.Losses, "snapshot", none)
    assert sql(url, "SELECT count(*) AS n FROM logs").stdout.split() == ["n", "50"]
    assert failed
    monkeypatch.setattr(engine, "ATTEMPTS", 1)
    failed.clear()
    result = sql(url, "SELECT count(*) AS n FROM logs")
    assert result.exit_code == 2
    assert re.search("cannot finish reading .*: objects were removed 1 times over", result.stderr)


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("SELECT app, count(*) FROM logs GROUP BY app", ("app",)),
        ("SELECT count(*) FROM logs", ("severity",)),
        ("SELECT Host FROM logs WHERE MESSAGE LIKE 'x'", ("host", "message")),
        ("SELECT * FROM logs", ("date", *FILE_SCHEMA.names)),
        ("SELECT logs.* EXCLUDE (raw) FROM logs", ("date", *FILE_SCHEMA.names)),
        ("FROM logs", ("date", *FILE_SCHEMA.names)),
        ("SELECT COLUMNS('h.*') FROM logs", ("date", *FILE_SCHEMA.names)),
        ("SUMMARIZE logs", ("date", *FILE_SCHEMA.names)),
        ("SELECT to_json(logs) FROM logs", ("date", *FILE_SCHEMA.names)),
        ("SELECT logs FROM logs", ("date", *FILE_SCHEMA.names)),
        ("SELECT l.app FROM logs l JOIN (SELECT app FROM logs) m ON l.app = m.app", ("app",)),
    ],
)
def test_only_what_a_statement_names_is_read(query: str, columns: tuple[str, ...]) -> None:
    assert needed_columns(query) == columns


def test_a_summary_line_and_a_header_also_without_rows(url: str) -> None:
    loud = CliRunner().invoke(main, ["sql", "--utc", "--store", url, "SELECT host, app FROM logs WHERE host = 'none'"])
    assert (loud.exit_code, loud.stdout) == (1, "host  app\n")
    assert re.fullmatch(r"logsink: 0 found in .* s; read .*; includes everything acknowledged by .* UTC\n", loud.stderr)


def test_times_are_in_the_zone_that_is_asked_for(url: str) -> None:
    first = "SELECT time, time::VARCHAR AS text FROM logs WHERE time < '2026-11-22 09:00:01' ORDER BY time"
    assert sql(url, "-z", "Asia/Tokyo", "-o", "json", first).stdout == (
        '{"time":"2026-11-22T09:00:00+09:00","text":"2026-11-22 09:00:00+09"}\n'
    )


def test_the_date_is_there(url: str) -> None:
    assert sql(url, "SELECT date, count(*) AS n FROM logs WHERE date = '2026-11-22' GROUP BY date").stdout == (
        "date         n\n2026-11-22  50\n"
    )
    assert sql(url, "-o", "csv", "SELECT * FROM logs LIMIT 1").stdout.startswith('"date","time",')


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_wide_results_fit_a_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.table({"n": [1, 2], "text": ["x" * 300, "日本" * 50], "other": ["short", "y" * 30]})
    lines = _on_terminal(rows, width, monkeypatch)
    assert max(map(cell_len, lines)) <= width
    assert any("…" in line for line in lines)
    if width >= 40:
        assert lines[0].split() == ["n", "text", "other"]


def test_a_table_of_too_many_columns_becomes_a_line_for_each_value(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.table({f"column{n}": ["a value", "z" * 200] for n in range(20)})
    lines = _on_terminal(rows, 80, monkeypatch)
    assert lines[:2] == ["-- row 1", "column0   a value"]
    assert lines[21] == "-- row 2"
    assert max(map(len, lines)) <= 80


def _on_terminal(rows: pa.Table, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    out = Terminal(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("COLUMNS", str(width))
    assert show(rows.to_reader(), "table") == rows.num_rows
    monkeypatch.undo()
    return out.buffer.getvalue().decode().splitlines()  # type: ignore[attr-defined]


def test_a_spark_server_that_does_not_answer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require_client()
    monkeypatch.setattr("logsink.query.spark.session.ANSWER", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = sql(url, "--connect", f"sc://127.0.0.1:{silent.getsockname()[1]}", "SELECT 1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"logsink: cannot reach sc://127.*: no answer within 0.2 s .*\n", result.stderr)


def test_a_server_that_is_no_spark_server(url: str) -> None:
    require_client()
    grpc = pytest.importorskip("grpc")
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        result = sql(url, "--connect", f"sc://127.0.0.1:{port}", "SELECT 1")
    finally:
        server.stop(None).wait()
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"logsink: cannot (use|reach) sc://127.*: .*not found.*\n", result.stderr, re.IGNORECASE)


async def test_damage_is_named_although_spark_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from logsink.cli.sql.spark import _name_damage

    async with open_store(str(tmp_path / "store")) as store:
        gone, cut, _ = await table_of(store)
        assert not await asyncio.to_thread(_name_damage, store.url)
        await store.delete([gone.key])
        await store.put(cut.key, (await store.get(cut.key))[:-1])
        assert await asyncio.to_thread(_name_damage, store.url)
        assert not await asyncio.to_thread(_name_damage, f"{store.url}/none")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"logsink: {gone.key} is missing; 5 rows of it are not shown"
    assert lines[1].startswith(f"logsink: {cut.key} has {cut.size - 1:,} bytes where the log says {cut.size:,}")
    assert lines[2].startswith("logsink: the store was not checked for damage: cannot find a logsink store at")


def test_the_library_runs_sql_too(url: str) -> None:
    logs = logsink.open(url)
    count = "SELECT count(*) AS n FROM logs WHERE severity <= 1"
    assert logs.sql(count, host="web1").to_pylist() == [{"n": 5}]
    assert logs.sql(count, since=dt.timedelta(days=36500)).to_pylist() == [{"n": 14}]
    assert logs.sql(count, until=dt.timedelta(days=36500)).to_pylist() == [{"n": 0}]
    with pytest.raises(ArgumentError, match="cannot run INSERT"):
        logs.sql("INSERT INTO logs SELECT * FROM logs")
    with pytest.raises(ArgumentError, match="cannot use 'hosts' as a condition"):
        logs.sql(count, hosts="web1")
