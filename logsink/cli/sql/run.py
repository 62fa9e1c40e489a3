"""A run of ``logsink sql`` with DuckDB, in this process; and how any result is written."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice

import pyarrow as pa

from logsink.cli import report as reporting
from logsink.cli.options.output import refuse_binary
from logsink.cli.options.terms import filter_of
from logsink.cli.sql.request import SqlRequest
from logsink.library import batches
from logsink.query import Query, Report
from logsink.query.output import Style, table_writer
from logsink.query.read import Answer, unordered
from logsink.query.sql import run
from logsink.store import Store


def by_duckdb(url: str, request: SqlRequest) -> int:
    """Run the statement over the rows that meet the conditions; return the exit code."""
    answers, queries, began = list[Answer](), list[Query](), time.monotonic()
    stopped = threading.Event()

    def found(store: Store, query: Query) -> Answer:
        answers.append(unordered(store, query))
        return answers[-1]

    def read(query: Query, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        queries.append(query)
        return batches(url, schema, lambda store: found(store, query), stopped=stopped)

    filter = filter_of(request.terms, request.zone)
    rows: int = run(
        request.statement, filter, request.zone, read, lambda result: show(result, request.output), stopped=stopped
    )
    report = replace(answers[-1].report, rows=rows) if answers else Report()
    reporting.damage(report.damage)
    if not request.quiet:
        reporting.summary(report, queries[-1], time.monotonic() - began, url=url, zone=request.zone)
    return 2 if report.damaged else 0 if rows else 1


def show(result: pa.RecordBatchReader, name: str) -> int:
    """Write a result to standard output in the format ``name`` of ``query.output``; return how many rows it has."""
    out, terminal = sys.stdout.buffer, sys.stdout.isatty()
    refuse_binary(name, terminal=terminal)
    writer = table_writer(
        name, Style(terminal=terminal, width=shutil.get_terminal_size().columns if terminal else None)
    )
    found = iter(result)
    first = list(islice(found, 1))
    out.write(
        writer.begin(result.schema)
    )  # a statement that fails does so before its first rows: then nothing is written
    rows = 0
    for batch in chain(first, found):
        rows += batch.num_rows
        for part in writer.rows(pa.Table.from_batches([batch])):
            out.write(part)
    out.write(writer.finish())
    out.flush()
    return rows
