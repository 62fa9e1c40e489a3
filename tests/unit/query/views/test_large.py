"""A sum that was sorted in files is shown as one that fits into memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.query.columns import SCHEMA, as_rows
from logsink.query.order import Runs
from logsink.query.views import Counts, Histogram, LargeSum, Patterns, Summary, Values
from tests.unit.query.archives import START, Row, row, table

MINUTE = 60_000_000

NUMBERS = ("10", "9", "+9.0", "-3e2", ".5", "5.", "9007199254740993", "1" * 41, "1e9999", "nan", "inf", "0x1", " 1")
rows = st.builds(
    lambda minute, rest: row(minute * MINUTE, **{name: value for name, value in rest.items() if value is not None}),
    st.integers(0, 300),
    st.fixed_dictionaries(
        {
            "host": st.sampled_from((None, "web-1", "é", "", *NUMBERS)),
            "app": st.sampled_from((None, "a", "b")),
            "severity": st.sampled_from((None, 0, 3, 7)),
            "message": st.sampled_from(("port 1", "port 22", "naïve", '{"status": 200}', '{"status": "x"}')),
        }
    ),
)
summaries = st.one_of(
    st.sampled_from(
        [
            lambda: Counts(("host",)),
            lambda: Counts(("host", "severity", "time")),
            lambda: Counts((".status", "app")),
            lambda: Values("host"),
            lambda: Values("severity"),
            lambda: Values("time"),
            lambda: Values(".status"),
            Patterns,
        ]
    ),
    st.builds(
        lambda step, zone, field, within, asked: (
            lambda: Histogram(step * MINUTE, ZoneInfo(zone), field, within, asked if field in ("host", "app") else ())
        ),
        st.sampled_from((1, 7, 60, 1440)),
        st.sampled_from(("UTC", "Asia/Kolkata")),
        st.sampled_from((None, "host", "app", "severity")),
        st.sampled_from(((None, None), (START - 60 * MINUTE, None), (START, START + 400 * MINUTE))),
        st.sampled_from(((), ("a", "nobody"), ("web-1", "web-9", "web-9"))),
    ),
)


def large(summary: Summary, parts: Sequence[Sequence[Row]], memory: int, limit: int | None = None) -> LargeSum:
    """The summary of all rows; of the last part, it is not in the files yet."""
    runs = Runs(memory)
    sums = [summary.part(as_rows(table(part), SCHEMA.names)) for part in parts]
    for part in sums[:-1]:
        runs.add(summary.keyed(part))
    made = LargeSum(summary, runs, sums[-1:], limit)
    for _ in made.sort():
        pass
    return made


def whole(summary: Summary, parts: Sequence[Sequence[Row]]) -> pa.Table:
    return summary.whole([summary.part(as_rows(table(part), SCHEMA.names)) for part in parts])


@settings(max_examples=40)
@given(
    parts=st.lists(st.lists(rows, min_size=1, max_size=10), min_size=1, max_size=5),
    summary=summaries,
    memory=st.sampled_from((0, 300, 1 << 20)),
    limit=st.sampled_from((None, 1, 5)),
    filled=st.sampled_from((0, 100, 10_000)),
)
def test_it_has_the_same_rows_in_the_same_order(
    parts: list[list[Row]], summary: type[Summary], memory: int, limit: int | None, filled: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logsink.query.views.histogram._FILLED_ROWS", filled)
        small, one = summary(), summary()
        expected = whole(small, parts)
        made = large(one, parts, memory, limit)
        for _ in range(2):
            found = [rows for rows in made if rows.num_rows]
            assert [each for rows in found for each in rows.to_pylist()] == expected.slice(0, limit).to_pylist()
            assert {rows.schema for rows in found} <= {expected.schema}
            assert made.rows == expected.num_rows
        if isinstance(small, Histogram) and isinstance(one, Histogram):
            assert one.shortened == small.shortened


def test_values_are_sorted_as_numbers_then_as_text() -> None:
    hosts = ["b", "10", "é", "9", "+9.0", "-3e2", "a", ".5", "nan", "1" * 41, "Z", ""]
    found = whole(Values("host"), [[row(host=host) for host in hosts] + [row()]])
    assert found.column("host").to_pylist() == [
        *("-3e2", ".5", "+9.0", "9", "10"),
        *("", "1" * 41, "Z", "a", "b", "nan", "é"),
    ]


def test_a_sum_that_is_stopped_ends_and_files_are_not_merged() -> None:
    made = large(Counts(("message",)), [[row(message=str(n))] for n in range(50)], 0)
    made.stop()
    assert sum(found.num_rows for found in made) == 50


def test_many_groups_of_one_step() -> None:
    """They have no step without rows, however many they are, but for those that were asked for."""
    rows = [[row(host=f"h{n}") for n in range(11_000)], [row(host="h1")]]
    summary, again = (Histogram(MINUTE, dt.UTC, "host", values=["h9", "x"]) for _ in range(2))
    found = pa.concat_tables(large(again, rows, 5000))
    assert found.combine_chunks().equals(whole(summary, rows).combine_chunks())
    assert not again.shortened


def test_steps_and_times_of_a_year() -> None:
    """So many combinations that gaps are shortened, over many batches."""
    hosts = [[row(n * 3 * MINUTE + k * MINUTE, host=f"h{k}") for n in range(2000)] for k in range(4)]
    summary, again = (Histogram(MINUTE, dt.UTC, "host", values=["h9"]) for _ in range(2))
    found = pa.concat_tables(large(again, hosts, 5000))
    assert found.combine_chunks().equals(whole(summary, hosts).combine_chunks())
    assert summary.shortened
