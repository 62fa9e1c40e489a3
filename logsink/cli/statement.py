"""A run of ``logsink sql``: what the statement needs of the archive, who runs it, and how the result is shown."""

from __future__ import annotations

import datetime as dt
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from logsink.cli.conditions import wanted
from logsink.errors import ArgumentError, ConfigError, LogsinkError, Moved, Unavailable
from logsink.library import batches
from logsink.parse.schema import FILE
from logsink.query import Filter, Query
from logsink.query.formats import Onward
from logsink.query.scan import unordered

try:
    import duckdb
except ImportError:
    duckdb = None  # type: ignore[assignment]

ATTEMPTS = 5
"""How often a statement runs anew because objects were removed beneath it."""

MEMORY = "1GiB"
"""What DuckDB may hold in memory; more goes to files that vanish with the process."""

_CONFIG: dict[str, str | bool | int | float | list[str]] = {"python_enable_replacements": False, "memory_limit": MEMORY}
_CONSUMED = "already been consumed"
_TABLE = re.compile(r"\blogs\b", re.IGNORECASE)
_ALL = re.compile(  # every column, without its name: stars, and rows as values
    r"\*|\bcolumns\b|\bnatural\b|\bsummarize\b|\bdescribe\b|\bselect\s+logs\b|[(,]\s*logs\s*[,)]|,\s*logs\s+from\b",
    re.IGNORECASE,
)
_SELECT = re.compile(r"\bselect\b", re.IGNORECASE)
_COUNT_ALL = re.compile(r"count\s*\(\s*\*\s*\)", re.IGNORECASE)
_WIDTH = 1000
"""Rows by which the columns of a table are made wide enough."""


def by_duckdb(url: str, statement: str, given: Mapping[str, Any], zone: dt.tzinfo) -> int:
    """Run it on DuckDB over the rows that the conditions leave; the exit code."""
    if duckdb is None:
        raise ConfigError("cannot run SQL: DuckDB is not installed", hint="pip install 'logsink[sql]'")
    columns = needed(statement)
    query = Query(wanted(given, zone), columns)
    schema = pa.schema([FILE.field(name) for name in columns])
    kept = len(_TABLE.findall(statement)) > 1  # the rows are there to be read once, unless they are kept
    for _ in range(ATTEMPTS):
        trouble: list[BaseException] = []
        rows = pa.RecordBatchReader.from_batches(
            schema, _noted(batches(url, schema, lambda store: unordered(store, query)), trouble)
        )
        try:
            with (
                tempfile.TemporaryDirectory(prefix="logsink-sql-") as directory,
                duckdb.connect(":memory:", config=_CONFIG | {"temp_directory": directory}) as connection,
            ):
                return show(_started(connection, rows, statement, kept=kept), given["output"])
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if trouble and isinstance(trouble[0], Moved):
                continue
            if trouble:
                raise trouble[0] from error
            if isinstance(error, BrokenPipeError):
                raise
            if _CONSUMED in str(error) and not kept:
                kept = True
                continue
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise ArgumentError(f"cannot run this SQL: {lines[0] if lines else error}") from error
    raise Unavailable(f"cannot finish reading {url}: objects were removed {ATTEMPTS} times over")


def _started(
    connection: duckdb.DuckDBPyConnection, rows: pa.RecordBatchReader, statement: str, *, kept: bool
) -> pa.RecordBatchReader:
    """The result of a statement that sees ``rows`` as ``logs``, and nothing else. ``kept``: it may read them several times."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("rows", rows)
    connection.execute(f"CREATE TEMP {'TABLE' if kept else 'VIEW'} logs AS SELECT * FROM rows")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    result: Any = connection.sql(statement)
    if result is None:
        raise ArgumentError("cannot show what this SQL gives: no rows", hint="write SELECT ... FROM logs")
    reader = getattr(result, "to_arrow_reader", None) or result.fetch_arrow_reader  # the name before DuckDB 2
    found: pa.RecordBatchReader = reader()
    return found


def _noted(source: Iterator[pa.RecordBatch], trouble: list[BaseException]) -> Iterator[pa.RecordBatch]:
    """``source``; whoever consumes it hides what it raises."""
    try:
        yield from source
    except (LogsinkError, KeyboardInterrupt) as error:
        trouble.append(error)
        raise


def by_spark(url: str, statement: str, given: Mapping[str, Any], zone: dt.tzinfo) -> int:
    """Have a Spark Connect server run it; the exit code. It reads the table, so what is in the journal only is not there."""
    if wanted(given, zone) != Filter():
        raise ArgumentError("cannot use conditions with --connect", hint="write them as WHERE in the statement")
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ConfigError(
            "cannot reach Spark: its client is not installed", hint="pip install 'logsink[spark]'"
        ) from error
    try:
        session = SparkSession.builder.remote(given["connect"]).getOrCreate()
    except Exception as error:
        raise Unavailable(f"cannot reach {given['connect']}: {str(error).splitlines()[0]}") from error
    try:
        session.read.format("delta").load(f"{url}/logs").createOrReplaceTempView("logs")
        found = session.sql(statement).toArrow()
    except Exception as error:
        raise ArgumentError(f"cannot run this SQL: {str(error).splitlines()[0]}") from error
    finally:
        session.stop()
    return show(pa.RecordBatchReader.from_batches(found.schema, iter(found.to_batches())), given["output"])


def needed(statement: str) -> tuple[str, ...]:
    """The columns that a statement can look at: those whose names it holds, or all."""
    rest = _COUNT_ALL.sub(" ", statement)
    words = {word.lower() for word in re.findall(r"\w+", rest)}
    named = tuple(name for name in FILE.names if name in words)
    if _ALL.search(rest) or not _SELECT.search(rest):
        return tuple(FILE.names)
    return named or ("severity",)


def show(found: pa.RecordBatchReader, kind: str) -> int:
    """Write a result to stdout; the exit code."""
    out, rows = sys.stdout.buffer, 0
    if kind in ("parquet", "arrow") and sys.stdout.isatty():
        raise ArgumentError(f"cannot write {kind} to a terminal", hint=f"send it to a file: > found.{kind}")
    if kind == "parquet":
        with pq.ParquetWriter(pa.PythonFile(Onward(out), "w"), found.schema, compression="zstd") as writer:
            for batch in found:
                rows += batch.num_rows
                writer.write_batch(batch)
    elif kind == "arrow":
        with pa.ipc.new_stream(out, found.schema) as stream:
            for batch in found:
                rows += batch.num_rows
                stream.write_batch(batch)
    else:
        parts = {"csv": _csv, "json": _json, "table": _table}[kind](found)
        for count, part in parts:
            rows += count
            out.write(part)
    out.flush()
    return 0 if rows else 1


_Parts = Iterator[tuple[int, bytes]]


def _csv(found: pa.RecordBatchReader) -> _Parts:
    head = True
    for batch in found:
        sink = pa.BufferOutputStream()
        options = pyarrow.csv.WriteOptions(include_header=head, quoting_style="needed")
        pyarrow.csv.write_csv(pa.table(batch), sink, options)
        head = False
        yield batch.num_rows, sink.getvalue().to_pybytes()
    if head:
        yield 0, ",".join(f'"{name}"' for name in found.schema.names).encode() + b"\n"


def _json(found: pa.RecordBatchReader) -> _Parts:
    options = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    for batch in found:
        lines = (orjson.dumps(row, option=options, default=_plain) for row in batch.to_pylist())
        yield batch.num_rows, b"".join(lines)


def _table(found: pa.RecordBatchReader) -> _Parts:
    names, widths = found.schema.names, list[int]()
    numeric = [
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        for kind in found.schema.types
    ]

    def line(cells: Sequence[str]) -> str:
        shown = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(cells, widths, numeric, strict=True))
        return "  ".join(shown).rstrip() + "\n"

    for batch in found:
        rows = [[_shown(value) for value in row.values()] for row in batch.to_pylist()]
        head = ""
        if not widths:
            widths = [max(len(name), *(len(row[k]) for row in rows[:_WIDTH]), 0) for k, name in enumerate(names)]
            head = line(names)
        yield batch.num_rows, (head + "".join(map(line, rows))).encode()


def _shown(value: Any) -> str:
    """A value as text, harmless on a terminal."""
    if value is None:
        return "-"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ", timespec="microseconds" if value.microsecond else "seconds").replace(
            "+00:00", "Z"
        )
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _plain(value: Any) -> Any:
    """What orjson does not know."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
