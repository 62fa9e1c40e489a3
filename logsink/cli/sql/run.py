"""A run of ``logsink sql``: what the statement needs of the archive, who runs it, and how the result is shown."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from rich.cells import cell_len, set_cell_size

from logsink.characters import harmless, harmless_json
from logsink.cli import report as reporting
from logsink.cli.options.terms import filter_of
from logsink.errors import ArgumentError, ConfigError, Unavailable
from logsink.library import batches
from logsink.query import Filter, Query, Report
from logsink.query.output.files import Onward, dressed
from logsink.query.read.search import Answer, unordered
from logsink.query.sql.run import run
from logsink.store import Store

ANSWER = 5.0
"""Seconds within which a Spark Connect server must answer."""

_WIDTH = 1000
"""Rows by which the columns of a table are made wide enough."""

_LEAST = 8
"""Characters to which a column of a table is cut at most; a terminal that is narrower is shown a line for each value."""


_GRPC = re.compile(r'^<.*\n(?:.*\n)*?\s*details = "(.*)"')
"""What gRPC says of a call that failed, as Spark's client shows it: of a statement that failed it shows what Spark said."""


def by_duckdb(url: str, statement: str, given: Mapping[str, Any], zone: dt.tzinfo) -> int:
    """Run it on DuckDB over the rows that the conditions leave; the exit code."""
    answers, asked, began = list[Answer](), list[Query](), time.monotonic()

    def found(store: Store, query: Query) -> Answer:
        answers.append(unordered(store, query))
        return answers[-1]

    def read(query: Query, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        asked.append(query)
        return batches(url, schema, lambda store: found(store, query))

    rows: int = run(statement, filter_of(given, zone), zone, read, lambda result: show(result, given["output"]))
    report = replace(answers[-1].report, rows=rows) if answers else Report()
    reporting.unreadable(report)
    if not given["quiet"]:
        reporting.summary(report, asked[-1], time.monotonic() - began, url=url, zone=zone)
    return 2 if report.unreadable else 0 if rows else 1


def by_spark(url: str, statement: str, given: Mapping[str, Any], zone: dt.tzinfo) -> int:
    """Have a Spark Connect server run it; the exit code. It reads the table, so what is in the journal only is not there."""
    if filter_of(given, zone) != Filter():
        raise ArgumentError("cannot use conditions with --connect", hint="write them as WHERE in the statement")
    with warnings.catch_warnings():  # the client's, about versions of pandas, are nothing to whoever asks
        warnings.simplefilter("ignore")
        return _on_spark(url, statement, given)


def _on_spark(url: str, statement: str, given: Mapping[str, Any]) -> int:
    try:
        from grpc import FutureTimeoutError, channel_ready_future  # type: ignore[import-untyped]
        from pyspark.sql import SparkSession
        from pyspark.sql.connect.client import DefaultChannelBuilder
    except ImportError as error:
        raise ConfigError(
            "cannot reach Spark: its client is not installed", hint="pip install 'logsink[spark]'"
        ) from error
    try:
        with closing(DefaultChannelBuilder(given["connect"]).toChannel()) as channel:
            channel_ready_future(channel).result(timeout=ANSWER)
        session = SparkSession.builder.remote(given["connect"]).getOrCreate()
    except FutureTimeoutError as error:
        hint = "is a Spark Connect server there, and does the port let you in?"
        raise Unavailable(f"cannot reach {given['connect']}: no answer within {ANSWER:g} s", hint=hint) from error
    except Exception as error:
        raise Unavailable(f"cannot reach {given['connect']}: {str(error).splitlines()[0]}") from error
    try:
        session.read.format("delta").load(f"{url}/logs").createOrReplaceTempView("logs")
        found = session.sql(statement).toArrow()
    except Exception as error:
        transport = _GRPC.search(str(error))
        if transport:
            raise Unavailable(f"cannot use {given['connect']} as a Spark Connect server: {transport[1]}") from error
        raise ArgumentError(f"cannot run this SQL: {str(error).splitlines()[0]}") from error
    finally:
        session.stop()
    rows = show(pa.RecordBatchReader.from_batches(found.schema, iter(found.to_batches())), given["output"])
    return 0 if rows else 1


def show(found: pa.RecordBatchReader, kind: str) -> int:
    """Write a result to stdout; how many rows it has."""
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
    return rows


_Parts = Iterator[tuple[int, bytes]]


def _csv(found: pa.RecordBatchReader) -> _Parts:
    head = True
    for batch in found:
        sink = pa.BufferOutputStream()
        options = pyarrow.csv.WriteOptions(include_header=head, quoting_style="needed")
        rows = dressed(pa.Table.from_batches([batch]), terminal=sys.stdout.isatty(), spreadsheet=False)
        pyarrow.csv.write_csv(rows, sink, options)
        head = False
        yield batch.num_rows, sink.getvalue().to_pybytes()
    if head:
        yield 0, ",".join(f'"{name}"' for name in found.schema.names).encode() + b"\n"


def _json(found: pa.RecordBatchReader) -> _Parts:
    options = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    for batch in found:
        lines = (orjson.dumps(row, option=options, default=_plain) for row in batch.to_pylist())
        yield batch.num_rows, harmless_json(b"".join(lines))


def _table(found: pa.RecordBatchReader) -> _Parts:
    names, widths = found.schema.names, list[int]()
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    numeric = [
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        for kind in found.schema.types
    ]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(map(_cell, cells, widths, numeric)).rstrip() + "\n"

    count = 0
    for batch in found:
        rows = [[_shown(value) for value in row.values()] for row in batch.to_pylist()]
        head = ""
        if not widths:
            sample = rows[:_WIDTH]
            widths = _fitting(
                [max(map(cell_len, (name, *(row[k] for row in sample)))) for k, name in enumerate(names)], room
            )
            head = line(names)
        if room is not None and sum(widths) + 2 * len(widths) - 2 > room:
            yield len(rows), _records(names, rows, count, room).encode()
        else:
            yield batch.num_rows, (head + "".join(map(line, rows))).encode()
        count += len(rows)
    if not widths:
        yield 0, ("  ".join(names) + "\n").encode()


def _fitting(widths: list[int], room: int | None) -> list[int]:
    """The widths of columns, the widest cut until all fit into ``room``, or none can be cut further."""
    while room is not None and sum(widths) + 2 * len(widths) - 2 > room and max(widths) > _LEAST:
        widest, over = max(widths), sum(widths) + 2 * len(widths) - 2 - room
        following = max((width for width in widths if width < widest), default=_LEAST)
        step = max(1, min(widest - max(following, _LEAST), over // widths.count(widest)))
        place = widths.index(widest)
        widths = [w - step if w == widest and (step > 1 or k == place) else w for k, w in enumerate(widths)]
    return widths


def _cell(text: str, width: int, numeric: bool) -> str:
    """The text as wide as that on a terminal, cut on the right with a mark; numbers stand on the right."""
    wide = cell_len(text)
    if wide <= width:
        return " " * (width - wide) + text if numeric else text + " " * (width - wide)
    return text if not sys.stdout.isatty() else set_cell_size(text, width - 1) + "…"


def _records(names: Sequence[str], rows: Sequence[Sequence[str]], before: int, room: int) -> str:
    """A line for each value, for tables that no terminal holds."""
    most = max(map(cell_len, names))
    lines = []
    for number, row in enumerate(rows, before + 1):
        lines.append(f"-- row {number}\n")
        lines += [
            f"{_cell(name, most, False)}  {_cell(text, max(_LEAST, room - most - 2), False).rstrip()}\n"
            for name, text in zip(names, row, strict=True)
        ]
    return "".join(lines)


def _shown(value: Any) -> str:
    """A value as text, harmless on a terminal."""
    if value is None:
        return "-"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ", timespec="microseconds" if value.microsecond else "seconds").replace(
            "+00:00", "Z"
        )
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return harmless(text)


def _plain(value: Any) -> Any:
    """What orjson does not know."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
