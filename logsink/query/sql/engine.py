"""SQL over the archive, on DuckDB: what a statement needs is read, and it sees nothing else."""

from __future__ import annotations

import datetime as dt
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from logsink.errors import ArgumentError, ConfigError, LogsinkError, Moved, Unavailable
from logsink.parse import FILE_SCHEMA
from logsink.query.request.filters import Filter
from logsink.query.request.query import Query
from logsink.query.sql import where

if TYPE_CHECKING:
    import duckdb

ATTEMPTS = 5
"""How often a statement runs anew because objects were removed beneath it."""

MEMORY = "1GiB"
"""What DuckDB may hold in memory; more goes to files that vanish with the process."""

Read = Callable[[Query, pa.Schema], Iterator[pa.RecordBatch]]
"""The rows that a query finds, in no order, in batches of a schema."""

_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "python_enable_replacements": False,
    "memory_limit": MEMORY,
}
_CONSUMED = "already been consumed"
_TABLE = re.compile(r"\b(?:logs|rows)\b", re.IGNORECASE)
_ALL = re.compile(  # every column, without its name: stars, and rows as values
    r"\*|\bcolumns\b|\bnatural\b|\bsummarize\b|\bdescribe\b|\bselect\s+logs\b|[(,]\s*logs\s*[,)]|,\s*logs\s+from\b",
    re.IGNORECASE,
)
_SELECT = re.compile(r"\bselect\b", re.IGNORECASE)
_COUNT_ALL = re.compile(r"count\s*\(\s*\*\s*\)", re.IGNORECASE)
_EXPLAIN = re.compile(r"\s*explain(?:\s+analyze)?(?:\s*\([^)]*\))?\s", re.IGNORECASE)
_READING = ("SELECT", "MULTI")
_STRINGS = ("VARCHAR",)
_TYPES: Final = {
    "time": ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
    "date": ("DATE",),
    "severity": ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
}


def run(
    statement: str, filter: Filter, zone: dt.tzinfo, read: Read, taken: Callable[[pa.RecordBatchReader], Any]
) -> Any:
    """What ``taken`` makes of the statement's result; its rows are there while it runs.

    ``read`` is called for the rows that meet ``filter`` and that the statement's WHERE can want. ``ArgumentError`` for a
    statement that cannot be run, and whatever ``read`` raises.
    """
    try:
        import duckdb
    except ImportError as error:
        raise ConfigError("cannot run SQL: DuckDB is not installed", hint="pip install 'logsink[sql]'") from error
    kept = len(_TABLE.findall(statement)) > 1  # the rows are there to be read once, unless they are kept
    for _ in range(ATTEMPTS):
        trouble: list[BaseException] = []
        try:
            with (
                tempfile.TemporaryDirectory(prefix="logsink-sql-") as directory,
                duckdb.connect(":memory:", config=_CONFIG | {"temp_directory": directory}) as connection,
            ):
                _only_reads(connection, statement)
                _set_zone(connection, zone)
                connection.begin()  # in which now() stands still
                tree = _tree(connection, statement)
                named = needed(statement, where.columns(tree) if tree else None)
                columns = tuple(name for name in named if name != "date")
                limits = where.conditions(tree, _constants(connection)) if tree else ()
                schema = pa.schema([FILE_SCHEMA.field(name) for name in columns])
                query = Query(Filter((*filter.conditions, *limits)), columns)
                rows = pa.RecordBatchReader.from_batches(schema, _noted(read(query, schema), trouble))
                return taken(_started(connection, rows, statement, dated="date" in named, kept=kept))
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if trouble and isinstance(trouble[0], Moved):
                continue
            if trouble:
                raise trouble[0] from error
            if isinstance(error, OSError):
                raise
            if _CONSUMED in str(error) and not kept:
                kept = True
                continue
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise ArgumentError(f"cannot run this SQL: {lines[0] if lines else error}") from error
    raise Unavailable(f"cannot finish reading the rows of logs: objects were removed {ATTEMPTS} times over")


def needed(statement: str, words: set[str] | None = None) -> tuple[str, ...]:
    """The columns that a statement can look at: those whose names it holds, or all; ``date`` is made of ``received``.

    ``words``: the names of columns in it, where they are known; ``date`` is a type as well.
    """
    rest = _COUNT_ALL.sub(" ", statement)
    held = {word.lower() for word in re.findall(r"\w+", rest)}
    named = tuple(name for name in FILE_SCHEMA.names if name in held)
    if _ALL.search(rest) or not _SELECT.search(rest):
        return ("date", *FILE_SCHEMA.names)
    if "date" in (held if words is None else words):
        named = ("date", *named) if "received" in named else ("date", "received", *named)
    return named or ("severity",)


def _only_reads(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """``ArgumentError`` unless it is one statement that only reads."""
    explained = _EXPLAIN.match(statement)
    found = connection.extract_statements(statement[explained.end() :] if explained else statement)
    if len(found) != 1:
        hint = "write one SELECT ... FROM logs"
        raise ArgumentError(f"cannot run this SQL: {len(found)} statements, and one is wanted", hint=hint)
    kind = found[0].type.name
    if kind not in _READING:
        word = (re.findall(r"\w+", statement) or [kind])[0].upper()
        raise ArgumentError(f"cannot run {word}: SQL here only reads, from logs", hint="write SELECT ... FROM logs")


def _set_zone(connection: duckdb.DuckDBPyConnection, zone: dt.tzinfo) -> None:
    """Have the session's zone be this; DuckDB knows the machine's own by itself."""
    name = "UTC" if zone is dt.UTC else getattr(zone, "key", None)
    if name is not None:
        connection.execute(f"SET TimeZone = '{name}'")


def _tree(connection: duckdb.DuckDBPyConnection, statement: str) -> Any:
    """The statement as DuckDB's parser has it; None for those that it does not give."""
    import duckdb

    explained = _EXPLAIN.match(statement)
    plain = statement[explained.end() :] if explained else statement
    try:
        rows = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [plain.strip().rstrip(";")]).fetchall()
    except duckdb.Error:
        return None
    tree = json.loads(rows[0][0])
    return tree["statements"] if not tree.get("error", True) and len(tree.get("statements", ())) == 1 else None


def _constants(connection: duckdb.DuckDBPyConnection) -> where.Constant:
    """Give constants their values as DuckDB compares them with a column, in microseconds where they are times."""
    import duckdb

    def one(statement: str, *values: str) -> Any:
        return connection.execute(statement, list(values)).fetchall()[0][0]

    def constant(expression: Any, column: str) -> int | str | None:
        literal = expression.get("class") == "CONSTANT"
        kinds = _STRINGS if column in ("host", "app") else _TYPES["time" if column == "received" else column]
        shell = json.loads(one("SELECT json_serialize_sql('SELECT 1')"))
        shell["statements"][0]["node"]["select_list"] = [{**expression, "alias": ""}]
        try:
            written = one("SELECT json_deserialize_sql($1::JSON)", json.dumps(shell))
            kind = one(f"SELECT typeof(v) FROM ({written}) t(v)")
            if kind not in kinds and not (literal and kind == "VARCHAR" and column in ("time", "received", "date")):
                return None
            if kinds is _STRINGS:
                value = one(f"SELECT v FROM ({written}) t(v)") if literal else None
            elif column == "severity":
                value = one(f"SELECT v::BIGINT FROM ({written}) t(v)")
            else:
                of = "DATE" if column == "date" else "TIMESTAMPTZ"
                value = one(f"SELECT epoch_us(v::{of}) FROM ({written}) t(v)")
        except (duckdb.Error, ValueError, TypeError):
            return None
        return None if isinstance(value, int) and abs(value) > where.MOST else value

    return constant


def _started(
    connection: duckdb.DuckDBPyConnection, rows: pa.RecordBatchReader, statement: str, *, dated: bool, kept: bool
) -> pa.RecordBatchReader:
    """The result of a statement that sees ``rows`` as ``logs``, and nothing else. ``kept``: it may read them several times."""
    connection.register("rows", rows)
    date = "CAST(timezone('UTC', received) AS DATE) AS date, " if dated else ""
    connection.execute(f"CREATE TEMP {'TABLE' if kept else 'VIEW'} logs AS SELECT {date}* FROM rows")
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
