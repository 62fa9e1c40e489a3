"""Row digests are those of the specification, whatever the rows, their order, and how their columns are laid out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.archive import digest
from logsink.errors import FormatError
from logsink.parse import FILE_SCHEMA, ROWS_SCHEMA
from tests.support import reference_digest
from tests.support.examples import examples

HOUR = 3_600_000_000
START = 1_764_300_000_000_000

TEXTS = st.none() | st.sampled_from(["", "a", "bb"]) | st.text(max_size=40)
KINDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): TEXTS,
    pa.binary(): st.none() | st.binary(max_size=40),
    pa.int8(): st.none() | st.integers(-128, 127),
    pa.int32(): st.none() | st.integers(-(2**31), 2**31 - 1),
    pa.timestamp("us", tz="UTC"): st.integers(-(10**15), 10**16),
}
RECEIVED = st.integers(START, START + 3 * HOUR) | st.integers(-5 * HOUR, 5 * HOUR) | st.integers(0, 10**16)
ROWS = st.lists(
    st.fixed_dictionaries({field.name: KINDS[field.type] for field in FILE_SCHEMA} | {"received": RECEIVED}),
    min_size=1,
    max_size=12,
)


def plain(rows: Sequence[dict[str, Any]], draw: Callable[..., Any]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=FILE_SCHEMA)


def coded(rows: Sequence[dict[str, Any]], draw: Callable[..., Any]) -> pa.Table:
    return plain(rows, draw).cast(ROWS_SCHEMA)


def in_slices(rows: Sequence[dict[str, Any]], draw: Callable[..., Any]) -> pa.Table:
    """All rows twice, in chunks that begin somewhere in their buffers, each with a dictionary of its own."""
    table, cut = pa.concat_tables([coded(rows, draw), coded(rows[::-1], draw)]), draw(st.integers(0, 2 * len(rows)))
    return pa.concat_tables([table.slice(cut), table.slice(0, cut)])


def nulls_in_dictionaries(rows: Sequence[dict[str, Any]], draw: Callable[..., Any]) -> pa.Table:
    """Null as a value of the dictionary, and values that no row has."""
    columns = []
    for field in ROWS_SCHEMA:
        values = [row[field.name] for row in rows]
        if not pa.types.is_dictionary(field.type):
            columns.append(pa.array(values, field.type))
            continue
        known = ["nobody has this", None, *dict.fromkeys(value for value in values if value is not None)]
        codes = pa.array([known.index(value) for value in values], pa.int32())
        columns.append(pa.DictionaryArray.from_arrays(codes, pa.array(known, pa.string())))
    return pa.table(columns, schema=ROWS_SCHEMA)


def shuffled(rows: Sequence[dict[str, Any]], draw: Callable[..., Any]) -> pa.Table:
    return coded(draw(st.permutations(rows)), draw)


@settings(max_examples=examples(60), deadline=None)
@given(rows=ROWS, data=st.data())
def test_they_are_what_the_specification_says(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    expected = reference_digest.digests(rows)
    for layout in (plain, coded, nulls_in_dictionaries, shuffled):
        assert digest.digests_of(layout(rows, data.draw)) == expected, layout
    for lacking in ("raw", "wire"):  # what a table lacks is null in it
        without = [row | {lacking: None} for row in rows]
        assert digest.digests_of(coded(rows, data.draw).drop_columns([lacking])) == reference_digest.digests(without)


@settings(max_examples=examples(60), deadline=None)
@given(rows=ROWS, data=st.data())
def test_they_add_up(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    table = coded(rows, data.draw)
    parts = [digest.digests_of(part) for part in (table.slice(0, cut), table.slice(cut))]
    assert digest.total(parts) == digest.digests_of(table) == digest.parse(digest.encode(digest.total(parts)))
    assert digest.digests_of(in_slices(rows, data.draw)) == digest.total([digest.digests_of(table)] * 2)


@settings(max_examples=examples(40), deadline=None)
@given(rows=ROWS, data=st.data())
def test_every_change_of_a_row_is_another_digest(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(FILE_SCHEMA.names))
    value = data.draw(RECEIVED if name == "received" else KINDS[FILE_SCHEMA.field(name).type])
    changed = [*rows[:at], rows[at] | {name: value}, *rows[at + 1 :]]
    same = changed == rows
    assert (digest.digests_of(coded(changed, None)) == digest.digests_of(coded(rows, None))) == same  # type: ignore[arg-type]


def test_values_swapped_between_rows_or_columns_are_another_digest() -> None:
    rows = [{"received": START, "time": START, "host": h, "app": a, "message": m} for h, a, m in ("xyz", "uvw")]
    one = reference_digest.digests(rows)
    two = reference_digest.digests([rows[0] | {"message": "w"}, rows[1] | {"message": "z"}])
    three = reference_digest.digests([rows[0] | {"host": "y", "app": "x"}, rows[1]])
    assert one != two
    assert one != three
    assert digest.digests_of(pa.Table.from_pylist(rows, schema=FILE_SCHEMA)) == one


def test_many_rows_in_machine_code() -> None:
    """All lengths of texts around the steps in which they are read, at every distance from the end of what there is."""
    rows = [
        {"received": START + k * 17_000_000, "time": START - k, "nth": k % 3, "flags": k // 50, "severity": k % 9 - 1,
         "host": f"h{k % 7}" if k % 5 else None, "message": "äbc" * (k % 40) + "x" * (k % 4), "raw": bytes(range(k % 64))}
        for k in range(3000)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=FILE_SCHEMA)
    expected = reference_digest.digests(rows)
    assert digest.digests_of(table) == expected
    assert digest.digests_of(table.cast(ROWS_SCHEMA)) == expected
    for start in range(40):
        assert digest.digests_of(table.slice(start, 1)) == reference_digest.digests(rows[start : start + 1])
    compact = pa.table([pc.take(column, pa.array([39])) for column in table.columns], schema=table.schema)
    assert digest.digests_of(compact) == reference_digest.digests(rows[39:40])


def test_machine_code_and_plain_python_are_one() -> None:
    ends = np.cumsum([0, *range(18, 48)]).astype(np.int32)
    data, valid = np.arange(ends[-1], dtype=np.int64).astype(np.uint8), np.array([255, 127, 255, 255], np.uint8)
    numbers, codes = np.arange(-15, 15) ** 7, np.arange(30, dtype=np.int32) % 4
    for kernel, arguments in (
        (digest._add_texts, (data, ends, valid, 1, -(2**62) - 1, 5)),
        (digest._add_numbers, (numbers, valid, 1, -(2**62) - 1, 5)),
        (digest._add_codes, (codes, valid, 1, numbers, numbers)),
    ):
        found = []
        for form in (kernel, kernel.py):
            a, b = np.arange(30), np.full(30, 2**63 - 1)
            found.append((form(*arguments, a, b), a.tolist(), b.tolist()))  # type: ignore[operator]
        assert found[0] == found[1]
        assert found[0][0] == 29


def test_a_digest_is_the_same_for_ever() -> None:
    """It stands in tables and in evidence: this value never changes."""
    rows = [
        {"received": 1_764_374_400_000_000, "time": 1_764_374_399_999_999, "nth": 0, "host": "web-1", "app": "sshd",
         "facility": 4, "severity": 6, "message": "Accepted publickey for ada", "flags": 16, "receiver": "r",
         "transport": "relp", "raw": b"\x00\xff"},
        {"received": 1_764_374_399_000_000, "time": -1, "nth": 1, "message": "", "flags": 0, "receiver": "r"},
    ]  # fmt: skip
    said = digest.encode(digest.digests_of(pa.Table.from_pylist(rows, schema=FILE_SCHEMA)))
    assert said == (
        '{"2025-11-28T23":[1,"f42b4977761b57d510cd27d014a826fb"],"2025-11-29T00":[1,"505dd796b1aa23fba47874e0c9a9bc0b"]}'
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "1", '{"h":1}', '{"h":[1]}', '{"h":["x","0"]}', '{"h":[1,"x"]}', '{"h":[1,2]}']
)
def test_a_tag_that_says_nothing(text: str) -> None:
    with pytest.raises(FormatError, match="cannot read digests"):
        digest.parse(text)


def test_the_example_of_the_documentation() -> None:
    row = {"received": 0, "time": 0, "message": "hello"}
    found = digest.digests_of(pa.Table.from_pylist([row], schema=FILE_SCHEMA))
    assert found == {"1970-01-01T00": (1, 0x7B51BC8070493FB1661D59641F07FB01)}
    assert f"`{reference_digest.hash_row(row):032x}`" in (Path(__file__).parents[2] / "docs" / "storage.md").read_text(
        encoding="utf-8"
    )
