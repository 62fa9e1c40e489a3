"""Rows with a time in the future."""

from __future__ import annotations

import time

import pyarrow as pa

from logsink.query import Query, search
from logsink.query.columns import SCHEMA, as_rows
from logsink.query.views.future_rows import SKEW, FutureRows
from logsink.store.memory import MemoryStore
from tests.unit.query.archives import START, archive, row

NOW = time.time_ns() // 1000


def table(*instants: tuple[int | None, int | None], hosts: list[str | None] | None = None) -> pa.Table:
    kind = SCHEMA.field("time").type
    times, received = (pa.array([pair[k] for pair in instants], pa.int64()).cast(kind) for k in (0, 1))
    columns = {"time": times, "received": received}
    return as_rows(pa.table(columns | ({"host": hosts} if hosts else {})), [*columns, *(["host"] if hosts else [])])


def test_only_times_far_after_now_and_receipt_count() -> None:
    future = FutureRows()
    future.count(
        table((NOW + 3 * SKEW, NOW), (NOW + 3 * SKEW, None), (NOW - 3 * SKEW, NOW), (NOW - 3 * SKEW, 0), (None, NOW))
    )
    future.count(table((NOW + 3 * SKEW, NOW + 3 * SKEW)))
    assert (future.rows, future.hosts) == (1, [])


async def test_rows_of_an_answer_are_counted_on_their_way() -> None:
    store = MemoryStore()
    await archive(store, [[row(0), row(NOW - START + 3 * SKEW, received=START)]])
    future = FutureRows()
    answer = search(store, Query(columns=("time", "received")))
    assert sum([table.num_rows async for table in future.count_in(answer)]) == 2
    assert future.rows == 1


def test_the_first_hosts_are_named() -> None:
    future = FutureRows()
    ahead = (NOW + 3 * SKEW, NOW)
    future.count(table(ahead, ahead, ahead, ahead, hosts=["a", "a", None, "b"]))
    assert (future.hosts, future.more) == (["a", "b"], False)
    future.count(table(ahead, ahead, hosts=["c", "d"]))
    assert (future.rows, future.hosts, future.more) == (6, ["a", "b", "c"], True)
