"""What other layouts of data files would cost: bytes and CPU time by order of rows, zstd level, encoding, pages, row groups.

    python -m benchmarks.layouts [--messages 524288] [--corpus FILE] [--levels 1,3,6,9,12,15] [--rounds 3] [--json FILE]

Rows as the parser makes them, written by pyarrow's writer alone: no sorting, proof, digests or index is in the time. Each
layout differs from today's in what its name says. CPU seconds are the thread's, the least of all rounds; bytes have no footer.
``one app``: the share of all rows that stand in row groups which have rows of an app, on average over apps.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.compact import HOUR, frames_of
from benchmarks.corpus import corpus
from benchmarks.report import report
from logsink.archive.file import GROUP, RUN
from logsink.parse import CODED_COLUMNS, ROWS_SCHEMA, STATISTICS_COLUMNS, Rows, Settings, parse

TITLES = {
    "layout": "",
    "mb_per_million": "MB/M",
    "ratio": "of today's",
    "message": "message MB/M",
    "times": "time, received MB/M",
    "hosts": "host, procid MB/M",
    "cpu_s_per_million": "CPU s/M",
    "mb_per_s": "MB per CPU s",
    "one_app": "one app %",
}

TODAY = ("app", "bytes", "host", "time")
"""The order of rows within a run."""

ORDERS = (
    ("time",),
    ("app", "time"),
    ("host", "app", "time"),
    ("app", "bytes", "time"),
    ("app", "template", "time"),
    ("app", "bytes", "template", "time"),
    ("app", "bytes", "template", "host", "time"),
    ("app", "message", "time"),
)
"""Other orders. The template of a message is its text with each run of digits as one 0."""

_NUMBERS = ["nth", "facility", "severity", "flags", "received"]

Keys = dict[str, npt.NDArray[Any]]


class Layout(NamedTuple):
    """How rows are written; the defaults are today's."""

    name: str
    order: tuple[str, ...] = TODAY
    level: int = 1
    page: int = 1 << 20
    group: int = GROUP
    run: int = RUN
    encoding: str = ""
    """Of messages: a Parquet encoding, or ``dictionary``; empty: PLAIN."""

    def options(self) -> dict[str, Any]:
        """Return the options of pyarrow's writer."""
        coded, different = [*CODED_COLUMNS, *_NUMBERS], {"time": "DELTA_BINARY_PACKED"}
        if self.encoding == "dictionary":
            coded.append("message")
        elif self.encoding:
            different["message"] = self.encoding
        return {
            "compression": "zstd",
            "compression_level": self.level,
            "data_page_size": self.page,
            "dictionary_pagesize_limit": 16 << 20,
            "max_rows_per_page": self.group,
            "write_page_checksum": True,
            "write_statistics": list(STATISTICS_COLUMNS),
            "store_schema": False,
            "use_dictionary": coded,
            "column_encoding": different,
        }


def layouts(levels: Sequence[int]) -> Iterator[Layout]:
    """Yield today's layout, and those that differ from it."""
    yield Layout("today")
    yield from (Layout("order " + ", ".join(order), order=order) for order in ORDERS)
    yield from (Layout(f"zstd {level}", level=level) for level in levels if level != 1)
    for level in (1, 9):
        for encoding in ("DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "dictionary"):
            yield Layout(f"zstd {level}, messages {encoding}", level=level, encoding=encoding)
    yield from (Layout(f"pages of {page >> 10} KiB", page=page) for page in (1 << 16, 1 << 18, 1 << 24))
    yield from (Layout(f"row groups of {rows}", group=rows) for rows in (GROUP // 4, GROUP // 2, 2 * GROUP, RUN))
    yield Layout(f"runs of {2 * RUN} rows", run=2 * RUN)
    template = ("app", "bytes", "template", "host", "time")
    yield Layout(f"runs of {2 * RUN} rows by template, zstd 9", order=template, run=2 * RUN, level=9)


def keys_of(rows: Rows) -> Keys:
    """Return what rows can be sorted by: numbers, by name."""
    messages = rows.table(np.arange(len(rows.time)))["message"].combine_chunks().fill_null("")
    templates = pc.replace_substring_regex(messages, "[0-9]+", "0")
    ranks = {
        "app": pc.rank(_texts(rows, "app"), tiebreaker="dense"),
        "host": pc.rank(_texts(rows, "host"), tiebreaker="dense"),
        "template": pc.rank(templates, tiebreaker="dense"),
        "message": pc.rank(messages, tiebreaker="dense"),
    }
    return {name: one.to_numpy() for name, one in ranks.items()} | {"bytes": rows.sizes, "time": rows.time}


def _texts(rows: Rows, name: str) -> pa.Array:
    codes, values = rows.code(name)
    return values.take(pa.array(codes, mask=codes < 0)).fill_null("")


def groups_of(layout: Layout, keys: Keys) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the row numbers of each row group."""
    by_time = np.argsort(keys["time"], kind="stable")
    for start in range(0, len(by_time), layout.run):
        run = by_time[start : start + layout.run]
        run = run[np.lexsort([keys[name][run] for name in reversed(layout.order)])]
        yield from (run[at : at + layout.group] for at in range(0, len(run), layout.group))


def _used(group: pa.Table) -> pa.Table:
    """Return the rows with dictionaries that hold only values in use."""
    columns = [
        column.cast(column.type.value_type).combine_chunks().dictionary_encode()
        if pa.types.is_dictionary(column.type)
        else column
        for column in group.columns
    ]
    return pa.table(columns, schema=ROWS_SCHEMA)


class Result:
    """Bytes by column and CPU seconds of one layout."""

    def __init__(self, layout: Layout, rows: Rows, keys: Keys, rounds: int) -> None:
        groups = list(groups_of(layout, keys))
        self.layout, self.rows = layout, len(rows.time)
        self.seconds, self.bytes = float("inf"), dict[str, int]()
        for _ in range(rounds):
            self._write(rows, groups)
        apps = [np.unique(keys["app"][group]) for group in groups]
        read = sum(len(found) * len(group) for found, group in zip(apps, groups, strict=True))
        self.one_app = read / len(np.unique(keys["app"])) / self.rows

    def _write(self, rows: Rows, groups: Sequence[npt.NDArray[np.int64]]) -> None:
        sink, spent = pa.BufferOutputStream(), 0.0
        writer = pq.ParquetWriter(sink, ROWS_SCHEMA, **self.layout.options())
        for group in groups:
            table = _used(rows.table(group))
            began = time.thread_time()
            writer.write_table(table, row_group_size=len(table))
            spent += time.thread_time() - began
        writer.close()
        self.seconds = min(self.seconds, spent)
        footer = pq.read_metadata(pa.BufferReader(sink.getvalue()))
        chunks = [
            footer.row_group(g).column(c) for g in range(footer.num_row_groups) for c in range(footer.num_columns)
        ]
        self.bytes = dict.fromkeys(ROWS_SCHEMA.names, 0)
        for chunk in chunks:
            self.bytes[chunk.path_in_schema] += chunk.total_compressed_size

    def report(self, today: int) -> dict[str, Any]:
        size = sum(self.bytes.values())
        return {
            "layout": self.layout.name,
            "mb_per_million": round(size / self.rows, 2),
            "ratio": round(size / today, 3),
            "message": round(self.bytes["message"] / self.rows, 2),
            "times": round((self.bytes["time"] + self.bytes["received"]) / self.rows, 2),
            "hosts": round((self.bytes["host"] + self.bytes["procid"]) / self.rows, 2),
            "cpu_s_per_million": round(self.seconds / self.rows * 1e6, 2),
            "mb_per_s": round(size / 1e6 / self.seconds, 1),
            "one_app": round(100 * self.one_app),
        }


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=2 * RUN)
    options.add_argument("--corpus", type=Path)
    options.add_argument("--levels", default="3,6,9,12,15")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    data = given.corpus.read_bytes() if given.corpus else corpus(given.messages)
    lines = data.splitlines()[: given.messages]
    rows = parse(frames_of(lines, HOUR), Settings(), "r0")
    keys = keys_of(rows)
    results = [Result(one, rows, keys, given.rounds) for one in layouts([int(n) for n in given.levels.split(",")])]
    today = sum(results[0].bytes.values())
    found = [one.report(today) for one in results]
    report("layouts", found, TITLES, given.json, messages=len(lines), rounds=given.rounds)


if __name__ == "__main__":
    main()
