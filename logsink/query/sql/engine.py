"""A SQL statement run by DuckDB over the rows that it needs; it sees nothing else."""

from __future__ import annotations

import datetime as dt
import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa

from logsink.errors import ArgumentError, ConfigError, LogsinkError, Moved, Unavailable, extra
from logsink.kinds import nearest
from logsink.parse import FILE_SCHEMA
from logsink.query.request import Filter, Query
from logsink.query.sql import where

if TYPE_CHECKING:
    import duckdb

ATTEMPTS = 5
"""Times that a statement is run while objects that it reads are removed by others."""

_LOOK: Final = 0.25
"""Seconds between two looks for an interrupt while DuckDB works."""

MEMORY = "1GiB"
"""Memory that DuckDB may use; what does not fit goes to files in a temporary directory of the statement."""

Result = TypeVar("Result")

Read = Callable[[Query, pa.Schema], Iterator[pa.RecordBatch]]
"""Yields the rows that a query finds, in any order, in batches of a schema."""

_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "python_enable_replacements": False,
    "memory_limit": MEMORY,
}
_CONSUMED = "already been consumed"
"""Part of DuckDB's error when a statement reads a stream of rows a second time."""

_TABLE = re.compile(r"\b(?:logs|rows)\b", re.IGNORECASE)
_ALL_COLUMNS = re.compile(  # needs every column, without naming it: stars, and rows as values
    r"\*|\bcolumns\b|\bnatural\b|\bsummarize\b|\bdescribe\b|\bselect\s+logs\b|[(,]\s*logs\s*[,)]|,\s*logs\s+from\b",
    re.IGNORECASE,
)
_RECURSIVE = re.compile(r"\brecursive\b", re.IGNORECASE)
_SELECT = re.compile(r"\bselect\b", re.IGNORECASE)
_COUNT_ALL = re.compile(r"count\s*\(\s*\*\s*\)", re.IGNORECASE)
_UNKNOWN_COLUMN = re.compile(r'^Binder Error: Referenced column "([^"]+)" not found')
_UNKNOWN_FUNCTION = re.compile(r"Function with name (\w+) does not exist")
_DID_YOU_MEAN = re.compile(r'Did you mean "?([^"?]+)"?')
_EXPLAIN = re.compile(r"\s*explain(?:\s+analyze)?(?:\s*\([^)]*\))?\s", re.IGNORECASE)
_READING = ("SELECT", "MULTI")
"""Types of statements that only read; MULTI is a PIVOT."""

_EVERY_COLUMN: Final = ("date", *FILE_SCHEMA.names)
_TIMES: Final = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
_TEXTS: Final = ("VARCHAR",)
_COMPARABLE: Final = {
    "time": _TIMES,
    "received": _TIMES,
    "date": ("DATE",),
    "host": _TEXTS,
    "app": _TEXTS,
    "severity": ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
}
"""Column -> DuckDB's types of the constants whose comparison with it is understood."""


def run(
    statement: str,
    filter: Filter,
    zone: dt.tzinfo,
    read: Read,
    consume: Callable[[pa.RecordBatchReader], Result],
    *,
    restartable: bool = False,
    stopped: threading.Event | None = None,
) -> Result:
    """Run a statement over the rows that meet ``filter``, and return what ``consume`` makes of its result.

    read          is called for the rows that meet ``filter`` and that the statement may need
    zone          time zone of the session
    consume       takes the result while the statement runs, since the rows of a large one exist one batch after the other. It
                  is called again, with a new result, when objects were removed while they were read
    restartable   it may be called again even when it has taken rows of the first result
    stopped       is set by an interrupt: then what ``read`` has returned must end

    ``ArgumentError`` for a statement that does more than read, or that DuckDB cannot run; ``ConfigError`` without DuckDB;
    ``Unavailable`` after ``ATTEMPTS``, or when objects were removed and it cannot start again; whatever ``read`` raises.
    """
    try:
        import duckdb
    except ImportError as error:
        raise ConfigError("cannot run SQL: DuckDB is not installed", hint=extra("sql")) from error
    # DuckDB can read a stream of rows once only. A statement that names the table again, or may do so in rounds, has them kept.
    keep = len(_TABLE.findall(statement)) > 1 or bool(_RECURSIVE.search(statement))
    for _ in range(ATTEMPTS):
        raised: list[BaseException] = []
        taken: list[int] = []
        try:
            with (
                tempfile.TemporaryDirectory(prefix="logsink-sql-") as directory,
                duckdb.connect(":memory:", config=_CONFIG | {"temp_directory": directory}) as connection,
            ):
                rows, dated = _rows_for(connection, statement, filter, zone, read, raised)
                with ThreadPoolExecutor(1, "sql") as thread:
                    aside = partial(_aside, thread, connection, stopped)
                    result = aside(partial(_result, connection, rows, statement, dated=dated, keep=keep))
                    return consume(pa.RecordBatchReader.from_batches(result.schema, _noting_rows(result, taken, aside)))
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if raised and isinstance(raised[0], Moved):
                if taken and not restartable:
                    cause = "objects were removed while it was read"
                    raise Unavailable(f"cannot finish this result: {cause}", hint="run the statement again") from error
                continue
            if raised:
                raise raised[0] from error
            if _CONSUMED in str(error) and not keep and (restartable or not taken):
                keep = True
                continue
            if isinstance(error, OSError) and _CONSUMED not in str(error):
                raise
            lines = [line for line in str(error).splitlines() if line.strip()]
            cause = lines[0] if lines else str(error)
            raise ArgumentError(f"cannot run this SQL: {cause}", hint=_remedy(statement, cause, lines[1:])) from error
    raise Unavailable(f"cannot finish reading the rows of logs: objects were removed {ATTEMPTS} times over")


def _remedy(statement: str, cause: str, more: Sequence[str]) -> str:
    """Return what to do about an error of DuckDB that says ``cause`` and then ``more``, or '' where nobody knows."""
    if unknown := _UNKNOWN_COLUMN.search(cause):
        name = unknown[1]
        if close := nearest(name.lower(), (*FILE_SCHEMA.names, "date")):
            return f"did you mean {close}?"
        if f'"{name}"' in statement:
            return f"a text is in single quotes: '{name}'"
        return f"columns are {', '.join(FILE_SCHEMA.names)}, date"
    if cause.startswith("Parser Error"):
        return "write SQL of DuckDB, such as SELECT host, count(*) FROM logs GROUP BY host"
    if cause.startswith(("Permission Error", "Catalog Error: Table")):
        return "write SELECT ... FROM logs: nothing else can be read"
    for line in more:
        if line.startswith("Either "):
            return f"{line[0].lower()}{line[1:]}".rstrip(".")
        function, meant = _UNKNOWN_FUNCTION.search(cause), _DID_YOU_MEAN.match(line)
        if function and meant and nearest(function[1].lower(), [meant[1]]):
            return f"did you mean {meant[1]}?"
    return ""


def _rows_for(
    connection: duckdb.DuckDBPyConnection,
    statement: str,
    filter: Filter,
    zone: dt.tzinfo,
    read: Read,
    raised: list[BaseException],
) -> tuple[pa.RecordBatchReader, bool]:
    """Return the rows that a statement needs, and whether it needs the column ``date``.

    What ``read`` raises is appended to ``raised``.
    """
    _check_only_reads(connection, statement)
    _set_zone(connection, zone)
    connection.begin()  # so that now() is the same here as in the statement
    tree = _tree(connection, statement)
    known = bool(tree) and not where.needs_all_columns(tree)
    needed = needed_columns(statement, where.columns(tree)) if known else _EVERY_COLUMN
    columns = tuple(name for name in needed if name != "date")
    implied = where.conditions(tree, partial(_value_of, connection)) if tree else ()
    if _aborted(connection):  # by a constant that has no value; the statement has to say so itself
        connection.rollback()
        connection.begin()
        implied = ()  # now() is a later one
    schema = pa.schema([FILE_SCHEMA.field(name) for name in columns])
    batches = read(Query(Filter((*filter.conditions, *implied)), columns), schema)
    return pa.RecordBatchReader.from_batches(schema, _noting_errors(batches, raised)), "date" in needed


def needed_columns(statement: str, references: set[str] | None = None) -> tuple[str, ...]:
    """Return the columns that a statement can refer to: those whose names it contains, or all; ``date`` needs ``received``.

    ``references``: the names of columns in its tree, where that is known, since ``date`` is also the name of a type.
    """
    rest = _COUNT_ALL.sub(" ", statement)
    words = {word.lower() for word in re.findall(r"\w+", rest)}
    named = tuple(name for name in FILE_SCHEMA.names if name in words)
    if _ALL_COLUMNS.search(rest) or not _SELECT.search(rest):
        return _EVERY_COLUMN
    if "date" in (words if references is None else references):
        named = ("date", *named) if "received" in named else ("date", "received", *named)
    return named or ("severity",)  # the smallest column, for the number of rows


def _check_only_reads(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Raise ``ArgumentError`` unless it is one statement that only reads."""
    explained = _EXPLAIN.match(statement)
    found = connection.extract_statements(statement[explained.end() :] if explained else statement)
    if len(found) != 1:
        hint = "write one SELECT ... FROM logs"
        raise ArgumentError(f"cannot run this SQL: {len(found)} statements instead of one", hint=hint)
    kind = found[0].type.name
    if kind not in _READING:
        word = (re.findall(r"\w+", statement) or [kind])[0].upper()
        raise ArgumentError(f"cannot run {word}: SQL here only reads, from logs", hint="write SELECT ... FROM logs")


def _set_zone(connection: duckdb.DuckDBPyConnection, zone: dt.tzinfo) -> None:
    """Set the session's time zone. DuckDB has the machine's own by itself; ``ArgumentError`` where it takes another for that.

    So it does where TZ is a rule of POSIX, such as ``UTC-5``, and no name.
    """
    name = "UTC" if zone == dt.UTC else getattr(zone, "key", None)
    if name is not None:
        connection.execute(f"SET TimeZone = '{name}'")
        return
    row = connection.execute("SELECT current_setting('TimeZone'), extract('timezone' FROM now())").fetchone()
    if row is not None and zone.utcoffset(dt.datetime.now()) != dt.timedelta(seconds=int(row[1])):  # noqa: DTZ005  local
        cause = f"DuckDB takes {row[0]} for the time zone of this machine, where it is another time"
        raise ArgumentError(f"cannot run SQL: {cause}", hint="name a zone, such as --timezone Europe/Berlin, or --utc")


def _aborted(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether an error has ended the transaction."""
    import duckdb

    try:
        connection.execute("SELECT 1").fetchall()
    except duckdb.Error:
        return True
    return False


def _tree(connection: duckdb.DuckDBPyConnection, statement: str) -> Any:
    """Return the tree of the statement from DuckDB's parser; None for a statement that DuckDB cannot serialise."""
    import duckdb

    explained = _EXPLAIN.match(statement)
    plain = statement[explained.end() :] if explained else statement
    try:
        rows = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [plain.strip().rstrip(";")]).fetchall()
    except duckdb.Error:
        return None
    tree = json.loads(rows[0][0])
    return tree["statements"] if not tree.get("error", True) and len(tree.get("statements", ())) == 1 else None


def _value_of(connection: duckdb.DuckDBPyConnection, expression: Any, column: str) -> int | str | None:
    """Return the value of an expression, as a ``where.Constant`` does: DuckDB calculates it."""
    import duckdb

    def one(statement: str, *values: str) -> Any:
        return connection.execute(statement, list(values)).fetchall()[0][0]

    literal = expression.get("class") == "CONSTANT"
    try:
        # The expression becomes SQL again, as the only one of a SELECT.
        select = json.loads(one("SELECT json_serialize_sql('SELECT 1')"))
        select["statements"][0]["node"]["select_list"] = [{**expression, "alias": ""}]
        sql = one("SELECT json_deserialize_sql($1::JSON)", json.dumps(select))
        # Its type must be one whose comparison with the column means what Range and Values mean.
        kind = one(f"SELECT typeof(v) FROM ({sql}) t(v)")
        text_of_time = literal and kind == "VARCHAR" and column in ("time", "received", "date")
        if kind not in _COMPARABLE[column] and not text_of_time:
            return None
        if column in ("host", "app"):
            text = one(f"SELECT v FROM ({sql}) t(v)") if literal else None
            return text if isinstance(text, str) else None
        if column == "severity":
            value = one(f"SELECT v::BIGINT FROM ({sql}) t(v)")
        else:
            value = one(f"SELECT epoch_us(v::{'DATE' if column == 'date' else 'TIMESTAMPTZ'}) FROM ({sql}) t(v)")
    except (duckdb.Error, ValueError, TypeError):
        return None
    return None if value is None or abs(value) > where.FARTHEST else int(value)


def _result(
    connection: duckdb.DuckDBPyConnection, rows: pa.RecordBatchReader, statement: str, *, dated: bool, keep: bool
) -> pa.RecordBatchReader:
    """Return the result of a statement that sees ``rows`` as the table ``logs``, and nothing else.

    dated   the table has a column ``date``
    keep    the statement may read the rows several times
    """
    connection.register("rows", rows)
    date = "CAST(timezone('UTC', received) AS DATE) AS date, " if dated else ""
    connection.execute(f"CREATE TEMP {'TABLE' if keep else 'VIEW'} logs AS SELECT {date}* FROM rows")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    result: Any = connection.sql(statement)
    if result is None:
        raise ArgumentError("cannot show the result of this SQL: it has no rows", hint="write SELECT ... FROM logs")
    reader = getattr(result, "to_arrow_reader", None) or result.fetch_arrow_reader  # the name before DuckDB 2
    found: pa.RecordBatchReader = reader()
    return found


def _noting_errors(source: Iterator[pa.RecordBatch], raised: list[BaseException]) -> Iterator[pa.RecordBatch]:
    """Yield from ``source`` and append what it raises to ``raised``: DuckDB turns it into an error of its own."""
    try:
        yield from source
    except (LogsinkError, KeyboardInterrupt) as error:
        raised.append(error)
        raise


def _noting_rows(
    result: pa.RecordBatchReader, taken: list[int], aside: Callable[[Callable[[], Any]], Any]
) -> Iterator[pa.RecordBatch]:
    """Yield from ``result`` and append the number of rows of each batch to ``taken``."""
    while (batch := aside(partial(next, result, None))) is not None:
        taken.append(batch.num_rows)
        yield batch


def _aside(
    thread: ThreadPoolExecutor,
    connection: duckdb.DuckDBPyConnection,
    stopped: threading.Event | None,
    work: Callable[[], Result],
) -> Result:
    """Have a thread do some work of DuckDB and return its result. DuckDB looks for no interrupt: here it comes, and ends it."""
    doing = thread.submit(work)
    try:
        while not wait([doing], _LOOK).done:  # a signal just before it waits would not wake it
            pass
        return doing.result()
    except KeyboardInterrupt:
        if stopped is not None:
            stopped.set()
        connection.interrupt()
        raise
