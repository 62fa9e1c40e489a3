"""With an index, whole, damaged, stale or foreign, a query finds what it finds without one."""

from __future__ import annotations

import asyncio
import datetime
import io
from collections.abc import Sequence
from contextlib import aclosing

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.archive import DeltaLog
from logsink.index import FILTERS, INDEX, NewSection, SectionBuilder, encode_object, index_key, new_section
from logsink.parse import FILE_SCHEMA, ROWS_SCHEMA
from logsink.query import Filter, Query, Report, Tuning, search
from logsink.query.read import fold
from logsink.query.request import Condition, Holds, Key, Members, MemberTest, OneOf, Parameter
from logsink.store.memory import MemoryStore
from tests.support.examples import examples
from tests.unit.query.archives import START, Row, archive, compact, rows_of

DAY = datetime.date(2026, 11, 22)
MESSAGES = (
    *("user alpha logged in", "alphabet soup", "USER ALPHA", "Ünder alpha\u212a ma\u017fk", '{"user":"\\u0061lpha"}'),
    *("user=alpha x=1", "nothing here", '{"user":"beta alpha"}', "", "gamma:delta"),
)
DATA = (None, '[meta@1 user="alpha one"]', '[meta@1 user="beta"]', "[x y=alphabet]")
CONDITIONS: tuple[Condition, ...] = (
    Holds("message", ("alpha",)),
    Holds("message", ("alpha",), words=True),
    Holds("message", ("alpha",), words=True, ignore_case=True),
    Holds("message", ("r alpha l", "gamma:delta"), words=True),
    Holds("message", (" alphak mask ",), words=True, ignore_case=True),
    Holds("message", (r"^user (alpha|beta) \w+ in$",), regex=True, ignore_case=True),
    Holds("message", (r"gamma[:]delta$|^nothing here",), regex=True),
    Parameter.parse("user=alpha*"),
    Parameter.parse("meta.user=beta"),
    Members([MemberTest.parse("user=alpha")]),
    OneOf("host", ("web1", "db")),
    OneOf("host", ("absent",)),
)


@st.composite
def stored_rows(draw: st.DrawFn) -> list[Row]:
    """Rows of distinct times."""
    one = st.fixed_dictionaries(
        {
            "message": st.none() | st.sampled_from(MESSAGES),
            "structured_data": st.sampled_from(DATA),
            "host": st.sampled_from((None, "web1", "web2", "db")),
        }
    )
    rows = draw(st.lists(one, min_size=1, max_size=24))
    return [{"time": START + n, "received": START + n, "receiver": "r", "nth": 0} | row for n, row in enumerate(rows)]


async def sections(store: MemoryStore) -> list[NewSection]:
    """A section of each data file."""
    found = []
    for file in (await DeltaLog(store).load()).files.values():
        parquet, builder = pq.ParquetFile(io.BytesIO(await store.get(file.key))), SectionBuilder(1)
        for group in range(parquet.num_row_groups):
            builder.add(parquet.read_row_group(group).cast(ROWS_SCHEMA).combine_chunks())
        found.append(new_section(file.path, file.size, "", file.rows, builder.finish()))
    return found


async def put_index(store: MemoryStore, found: Sequence[NewSection], name: str = "0" * 16, of: str = "") -> None:
    await store.put(index_key(DAY, name, FILTERS), encode_object(DAY, of, found))


async def ask(store: MemoryStore, query: Query, *, index: bool = True) -> tuple[list[Row], Report]:
    tuning = Tuning(indexed=0 if index else 1 << 60)
    async with aclosing(search(store, query, tuning)) as found:
        rows = rows_of([part async for part in found])
    assert not found.report.damage
    folding = fold(store, query, lambda part: part, tuning)
    counted = sum(part.num_rows for part in await folding.run())
    assert query.limit is not None or counted == len(rows)
    return rows, found.report


async def broken(store: MemoryStore, how: str) -> None:
    """Put an index that is in some way not right in the place of a right one."""
    made = await sections(store)
    key = index_key(DAY, "0" * 16, FILTERS)
    if how == "two objects":
        await put_index(store, made[:1])
        await put_index(store, made, "1" * 16)
    elif how == "stale":  # about files that were merged since
        await put_index(store, made)
        rows = rows_of(
            [
                pq.read_table(io.BytesIO(await store.get(one.key)))
                for one in (await DeltaLog(store).load()).files.values()
            ]
        )
        await compact(store, [rows])
    elif how == "other sizes":  # of files of the same names that say nothing of these
        empty = SectionBuilder(1).finish()
        await put_index(store, [new_section(one.said.path, one.said.size + 1, "", 0, empty) for one in made])
    elif how == "another tag":
        empty = SectionBuilder(1).finish()
        await put_index(store, [new_section(one.said.path, one.said.size, f"9:{'0' * 32}", 0, empty) for one in made])
    else:
        await put_index(store, made)
        body = bytearray(await store.get(key))
        at = {"bucket": 1, "head": len(body) - 40, "trailer": len(body) - 12}.get(how)
        if at is None:
            await store.put(key, body[: len(body) // 2] if how == "cut" else b"")
        else:
            body[at] ^= 4
            await store.put(key, body)


BROKEN = ("two objects", "stale", "other sizes", "another tag", "bucket", "head", "trailer", "cut", "empty")


@settings(max_examples=examples(60), deadline=None)
@given(
    stored_rows(),
    st.sampled_from(CONDITIONS),
    st.none() | st.integers(1, 8),
    st.booleans(),
    st.integers(1, 4),
    st.sampled_from(("", "", *BROKEN)),
)
def test_answers_are_the_same(
    rows: list[Row], condition: Condition, limit: int | None, reverse: bool, files: int, how: str
) -> None:
    async def run() -> None:
        store = MemoryStore()
        await archive(store, [part for n in range(files) if (part := rows[n::files])], group=3)
        query = Query(Filter((condition,)), tuple(FILE_SCHEMA.names), limit, reverse)
        expected, _ = await ask(store, query, index=False)
        if how:
            await broken(store, how)
        else:
            await put_index(store, await sections(store))
        found, _ = await ask(store, query)
        assert found == expected

    asyncio.run(run())


ROWS: list[Row] = [
    {"time": START + n, "received": START + n, "receiver": "r", "nth": 0, "host": "db", "message": f"number{n} alpha"}
    for n in range(64)
]


async def _indexed() -> MemoryStore:
    store = MemoryStore()
    await archive(store, [ROWS[n : n + 16] for n in range(0, 64, 16)], group=4)
    await put_index(store, await sections(store))
    return store


def test_files_and_row_groups_without_the_word_are_not_read() -> None:
    async def run() -> None:
        store = await _indexed()
        query = Query(Filter((Holds("message", ("number17",), words=True),)), tuple(FILE_SCHEMA.names))
        plain, read = await ask(store, query, index=False)
        found, report = await ask(store, query)
        assert found == plain == [ROWS[17]]
        assert (report.excluded, report.files_read) == (3, 1)
        assert report.bytes_read < read.bytes_read
        assert abs(report.passed - read.passed) < 4  # shares are rounded

    asyncio.run(run())


@pytest.mark.parametrize("how", BROKEN)
def test_what_an_index_that_is_not_right_excludes(how: str) -> None:
    async def run() -> None:
        store = await _indexed()
        for entry in [entry async for entry in store.list(INDEX)]:
            await store.delete([entry.key])
        await broken(store, how)
        query = Query(Filter((Holds("message", ("absent",), words=True),)), tuple(FILE_SCHEMA.names))
        _, report = await ask(store, query)
        assert report.excluded == (4 if how == "two objects" else report.excluded if how == "bucket" else 0)

    asyncio.run(run())


def test_a_wrong_key_loses_rows_and_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above can fail."""
    monkeypatch.setattr(Holds, "index_keys", lambda self: [[[Key("wrong")]]])

    async def run() -> None:
        store = await _indexed()
        query = Query(Filter((Holds("message", ("number17",), words=True),)), tuple(FILE_SCHEMA.names))
        assert (await ask(store, query))[0] != (await ask(store, query, index=False))[0]

    asyncio.run(run())
