"""Any question gives the same answer whether this process reads the archive or a Spark Connect server does."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
import random
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from logsink.archive.log import Txn
from logsink.journal.segment import SegmentName
from logsink.parse import FILE_SCHEMA
from logsink.query import Between, Filter, Flagged, Holds, Not, OneOf, OneOfNumbers, Parameter, Query, Tuning, search
from logsink.query.read import Fold, fold, tail
from logsink.query.request import Condition, ExactlyOneOf, InSpans, Members, MemberTest
from logsink.query.spark import Session, SparkEngine, connected
from logsink.query.spark.expressions import portable
from logsink.query.views import Counts, Histogram, Patterns, Summary
from logsink.store import open_store
from tests.support.examples import examples
from tests.support.spark import sail
from tests.unit.query.archives import START, Row, archive, expected, journal, json_parse, rows_of

MESSAGES = (
    *(
        "",
        "alpha",
        "Alpha 42",
        "line\nfeed",
        "line\r\u2028sep",
        "\u212aelvin scale",
        "KELVIN",
        "\u017fharp",
        "größe 7",
        "a\\b",
    ),
    *(
        '{"status": 500, "path": "/x"}',
        '{"status": 404}',
        "status=503 path=/y",
        'it\'s 100% `q` "d"',
        "٣ digits",
        "x\0y",
    ),
    *(
        "word",
        "words",
        "_word_",
        "a.b-c]d",
        "$1 ^2 \U0001f600",
        "\ufffd",
        " tab\there",
        "port 8080 ssh2",
        "PORT 8443 SSH2",
    ),
)
HOSTS = ("web-1", "web-2", "web.3", "db", "DB", "ab[c", "x'y")
SD = (None, '[a@1 k="v1" other="x"]', '[b k="v\\"2"][c d.e="7"]', "[vmware k=plain z=1]", '[a k="größe"]')
EXPRESSIONS = (
    *(
        r"a.*e",
        r"^a",
        r"[0-9]+$",
        r"\d",
        r"\w+\s\w+",
        r"\bword\b",
        r"(?i)kelvin",
        r"(?i)s",
        "k",
        r"[^a-z]",
        r"line.sep",
    ),
    *(
        r"(?s)line.feed",
        r"\x{1F600}",
        r"a\\b",
        r"gr[öo]",
        r"(?i)GRÖSSE",
        r"port 8[0-9]{3}",
        r"(a|b)+?c",
        r"\pL7",
        r"[\]-]",
    ),
    *(
        "^$",
        "(?i)[k-l]elvin",
        r"[[:alpha:]]",
        r"(?m)^feed",
        ".",
        r"\$1",
        r"[\^\-a]2",
        "\x00",
        r"(?P<n>4)2",
        r"\W\w\W",
        r"\Aa|z\z",
    ),
)
BOTH = ((False, False), (True, False), (False, True))
"""Whether case is ignored, and whether only whole words match."""


def make_rows() -> list[Row]:
    """Rows of every kind, many of them of the same time."""
    chance = random.Random(7)
    return [
        {
            "time": START + chance.randrange(40) * 120_000_000 + chance.randrange(3),
            "received": chance.choice((None, START + n // 3)),
            "receiver": chance.choice((None, "r1", "r2", "r10")),
            "nth": n,
            "host": chance.choice((None, *HOSTS)),
            "severity": chance.choice((None, *range(8))),
            "flags": chance.choice((None, 0, 1, 3, 6)),
            "structured_data": chance.choice(SD),
            "message": chance.choice((None, *MESSAGES)),
            "raw": chance.choice((None, b"\0\xff raw")) if n < 330 else None,
        }
        for n in range(400)
    ]


ROWS = make_rows()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store with rows in three files, of several row groups, and in two segments, one of which is archived, too."""
    store_url = f"file://{tmp_path_factory.mktemp('spark')}/store"

    async def fill() -> None:
        async with open_store(store_url) as store:
            await archive(store, [ROWS[:120], ROWS[120:200], ROWS[200:330]], group=50, txn=[Txn("old.0", 1)])
            await journal(store, SegmentName("old", 0, 1), ROWS[330:340])
            await journal(store, SegmentName("new", 0, 1), ROWS[330:])

    asyncio.run(fill())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "parse", json_parse)
        yield store_url


@pytest.fixture(scope="module")
def session(url: str) -> Iterator[Session]:
    with sail() as server, connected(server, url) as found:
        yield found


@pytest.fixture(scope="module")
def engine(session: Session) -> SparkEngine:
    """Sail, asked for few rows at once, so that answers have many pages."""
    return SparkEngine(session, page=60)


instants = st.none() | st.integers(-1, 41).map(lambda n: START + n * 120_000_000)


def conditions() -> st.SearchStrategy[Condition]:
    """Every kind of condition."""
    globs = st.sampled_from(("web-1", "web*", "web.?", "*b", "[!w]*", "ab[[]c", "x'y", "D*", "zz", "web-[12]"))
    spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), min_size=1, max_size=5)
    simple = st.one_of(
        st.builds(Between, st.just("time"), instants, instants),
        st.builds(Between, st.just("received"), instants, instants),
        st.builds(Between, st.just("severity"), st.integers(0, 7), st.none() | st.integers(0, 8)),
        st.builds(OneOf, st.just("host"), st.lists(globs, min_size=1, max_size=3).map(tuple)),
        st.builds(ExactlyOneOf, st.just("host"), st.lists(st.sampled_from((None, *HOSTS)), max_size=3).map(tuple)),
        st.builds(OneOfNumbers, st.just("severity"), st.lists(st.integers(0, 7), min_size=1, max_size=3).map(tuple)),
        st.builds(Flagged, st.just("flags"), st.sampled_from((1, 2, 3, 4))),
        st.builds(
            Holds,
            st.just("message"),
            st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=2).map(tuple),
            ignore_case=st.booleans(),
            words=st.booleans(),
        ),
        st.builds(
            Holds,
            st.just("message"),
            st.lists(st.sampled_from(EXPRESSIONS), min_size=1, max_size=2).map(tuple),
            regex=st.just(True),
            ignore_case=st.booleans(),
            words=st.booleans(),
        ),
        st.builds(
            Parameter,
            st.sampled_from(("k", "a.k", "d.e", "c.d.e", "z")),
            st.sampled_from(("v1", "*", 'v"2', "p*n", "7")),
        ),
        st.lists(
            st.sampled_from(("status>=500", "path", "!path", "status=404", "path~^/")), min_size=1, max_size=2
        ).map(lambda tests: Members([MemberTest.parse(test) for test in tests])),
        spans.map(
            lambda pairs: InSpans.of(
                "time",
                np.array([START + low * 120_000_000 for low, _ in pairs]),
                np.array([START + (low + size) * 120_000_000 for low, size in pairs]),
            )
        ),
    )
    return simple | simple.map(Not)


def few_conditions() -> st.SearchStrategy[Filter]:
    return st.lists(conditions(), max_size=3).map(lambda found: Filter(tuple(found)))


def found_rows(url: str, query: Query, tuning: Tuning) -> tuple[list[Row], bool]:
    async def run() -> tuple[list[Row], bool]:
        async with open_store(url) as store, aclosing(search(store, query, tuning)) as found:
            tables = [part async for part in found]
            assert not found.report.damaged
            return rows_of(tables), found.report.cut

    return asyncio.run(run())


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(few_conditions(), st.none() | st.integers(1, 150), st.booleans(), st.sampled_from(("time", "received")))
@example(Filter(), None, False, "time")
@example(Filter(), None, True, "received")
@example(Filter((Not(ExactlyOneOf("host", ())),)), None, False, "time")
@example(Filter((Holds("message", ("a",)),)), 7, False, "time")
def test_rows_are_the_same(
    url: str, engine: SparkEngine, filter: Filter, limit: int | None, reverse: bool, sort: str
) -> None:
    names = tuple(FILE_SCHEMA.names)
    query = Query(filter, names, limit, reverse, sort=sort)
    here, cut_here = found_rows(url, query, Tuning())
    there, cut_there = found_rows(url, query, Tuning(engine=engine))
    assert there == here
    assert cut_there == cut_here or limit == len(here)  # which may say that there may be more


def test_every_expression_finds_the_same(session: Session) -> None:
    """Those that have a portable form, in every form that ``Holds`` makes of them."""
    holds = [Holds("message", (each,), True, case, words) for each in EXPRESSIONS for case, words in BOTH]
    forms = {condition.expression: form for condition in holds if (form := portable(condition.expression)) is not None}
    assert len(forms) > len(EXPRESSIONS)
    message = importlib.import_module("pyspark.sql.connect.functions.builtin").col("message")
    asked = [message.rlike(form).alias(str(number)) for number, form in enumerate(forms.values())]
    found = session.table().select("message", *asked).toArrow()
    for number, (expression, form) in enumerate(forms.items()):
        here = pc.match_substring_regex(found.column("message").cast(pa.string()), expression)
        assert found.column(str(number)).equals(here), (expression, form)


def summaries() -> st.SearchStrategy[Summary]:
    steps = st.sampled_from((1, 90_000_000, 120_000_000, 600_000_000, 3_600_000_000, 86_400_000_000))
    zones = st.sampled_from(
        (dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=45)), dt.timezone(dt.timedelta(seconds=561)))
    )
    return st.one_of(
        st.sampled_from(((), ("host",), ("host", "severity"), ("message",), (".status",), ("flags", ".path"))).map(
            Counts
        ),
        st.builds(Histogram, steps, zones, st.sampled_from((None, "host", ".status"))),
        st.builds(Patterns),
    )


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(few_conditions(), summaries())
@example(Filter(), Counts())
@example(Filter(), Counts(("host", "severity")))
@example(Filter(), Histogram(600_000_000, dt.timezone(dt.timedelta(seconds=561)), "severity"))
def test_sums_are_the_same(url: str, engine: SparkEngine, filter: Filter, summary: Summary) -> None:
    def whole(tuning: Tuning) -> tuple[list[dict[str, Any]], int]:
        async def run() -> Fold:
            async with open_store(url) as store:
                found = fold(store, Query(filter, tuple(summary.columns)), summary.part, tuning, summary.sums())
                await found.run()
                return found

        found = asyncio.run(run())
        parts = [part for part in found.parts if part.num_rows]
        return (summary.whole(parts).to_pylist() if parts else []), found.report.rows

    assert whole(Tuning(engine=engine)) == whole(Tuning())


def test_here_is_right(url: str) -> None:
    found, _ = found_rows(url, Query(Filter(), tuple(FILE_SCHEMA.names)), Tuning())
    assert found == expected(ROWS)
    assert pa.types.is_timestamp(FILE_SCHEMA.field("time").type)
