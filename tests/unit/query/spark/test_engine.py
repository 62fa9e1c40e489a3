"""What a server is asked for, and which of its answers are refused; ``tests/property/test_spark.py`` has the answers."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pyarrow.parquet as pq
import pytest

from logsink.errors import Unavailable
from logsink.query import Query, Report, Tuning, search
from logsink.query.order import Position
from logsink.query.spark import Session, SparkEngine, connected
from logsink.query.spark.engine import MOST_DATES, _among, _Order
from logsink.store import open_store
from tests.support.spark import require_client, sail
from tests.unit.query.archives import START, archive, row


class Stuck(Session):
    """A session whose server reads the version that it likes."""

    def table(self, version: int | None = None) -> Any:
        return super().table(1)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    store_url = f"file://{tmp_path_factory.mktemp('engine')}/store"

    async def fill() -> None:
        async with open_store(store_url) as store:
            await archive(store, [[row(n) for n in range(10)]])
            await archive(store, [[row(n) for n in range(10, 15)]])

    asyncio.run(fill())
    return store_url


@pytest.fixture(scope="module")
def session(url: str) -> Iterator[Session]:
    with sail() as server, connected(server, url) as found:
        yield found


def ask(url: str, engine: SparkEngine, **terms: Any) -> tuple[int, Report]:
    async def run() -> tuple[int, Report]:
        async with open_store(url) as store:
            answer = search(store, Query(columns=("message",), **terms), Tuning(engine=engine))
            async with aclosing(answer) as found:
                return sum([rows.num_rows async for rows in found]), answer.report

    return asyncio.run(run())


def test_rows_come_page_by_page(url: str, session: Session) -> None:
    rows, report = ask(url, SparkEngine(session, page=4))
    assert (rows, report.rows, report.passed, report.cut) == (15, 15, report.bytes, False)


@pytest.mark.parametrize(("limit", "cut"), [(14, True), (15, False), (3, True)])
def test_a_limit_says_whether_there_is_more(url: str, session: Session, limit: int, cut: bool) -> None:
    rows, report = ask(url, SparkEngine(session, page=4), limit=limit)
    assert (rows, report.cut) == (limit, cut)


def test_an_answer_of_another_version_is_refused(url: str, session: Session) -> None:
    stuck = Stuck(session.spark, session.server, url)
    with pytest.raises(Unavailable, match="reads 10 rows of version 2 of the table, whose log says 15"):
        ask(url, SparkEngine(stuck))


def test_what_a_server_cannot_read_is_an_error(session: Session, tmp_path: Any) -> None:
    url = f"file://{tmp_path}/store"

    async def fill() -> None:
        async with open_store(url) as store:
            await archive(store, [[row(1)]])

    asyncio.run(fill())
    (file,) = tmp_path.glob("store/logs/date=*/*.parquet")
    columns = pq.read_table(file)
    file.unlink()
    assert columns.num_rows == 1
    with pytest.raises(Unavailable, match="cannot read the archive by sc://"):
        ask(url, SparkEngine(Session(session.spark, session.server, url)))


def test_rows_behind_a_place() -> None:
    require_client()
    ascending = str(_Order("time", descending=False).beyond(Position(START, None, "r", 1)))
    assert ascending.count(">=") == 1
    assert "isNotNull" in ascending
    descending = str(_Order("received", descending=True).beyond(Position(-(1 << 62), 1, "r", START)))
    assert "<=" not in descending


def test_many_dates_are_a_range() -> None:
    days = frozenset(dt.date(2026, 1, 1) + dt.timedelta(2 * n) for n in range(MOST_DATES + 1))
    between = dt.date(2026, 1, 2)
    assert _among(between, days)
    assert not _among(between, frozenset([dt.date(2026, 1, 1)]))
