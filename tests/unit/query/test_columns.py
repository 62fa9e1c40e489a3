"""Arrow columns to numpy arrays and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from logsink.query import columns
from logsink.query.columns import as_array, as_integers, as_mask, as_rows, compact, joined, mapped, one_chunk, plain


@pytest.mark.parametrize("values", [[True, False, True], [1, 2, 3], [0.5], np.arange(10)[::2], []])
def test_arrays(values: list[object]) -> None:
    array = np.array(values)
    assert as_array(array).to_pylist() == array.tolist()


def test_a_null_is_no_match() -> None:
    assert as_mask(pa.array([True, None, False])).tolist() == [True, False, False]


def test_integers_and_instants() -> None:
    assert as_integers(pa.array([1, None]), -1).tolist() == [1, -1]
    instants = pa.chunked_array(
        [pa.array([5], pa.timestamp("us", tz="UTC")), pa.array([7], pa.timestamp("us", tz="UTC"))]
    )
    assert as_integers(instants).tolist() == [5, 7]


def test_each_entry_of_a_dictionary_is_tested_once() -> None:
    tested: list[int] = []

    def starts_with_a(values: pa.Array) -> pa.Array:
        tested.append(len(values))
        return pc.starts_with(values, "a")

    values = pa.array(["a", "b", None, "a"])
    assert mapped(values.dictionary_encode(), starts_with_a).tolist() == [True, False, False, True]
    assert mapped(values, starts_with_a).tolist() == [True, False, False, True]
    assert tested == [2, 4]


def test_one_chunk() -> None:
    array = pa.array([1, 2])
    assert one_chunk(array) is array
    assert one_chunk(pa.chunked_array([array])).equals(array)
    assert one_chunk(pa.chunked_array([array, array])).to_pylist() == [1, 2, 1, 2]
    assert one_chunk(pa.chunked_array([], pa.int64())).to_pylist() == []


def test_rows_have_the_types_of_the_schema() -> None:
    rows = as_rows(pa.table({"host": ["a", "b"], "message": ["m", None]}), ("message", "host", "app"))
    assert rows.schema == pa.schema([columns.SCHEMA.field(name) for name in ("message", "host", "app")])
    assert rows.to_pylist() == [{"message": "m", "host": "a", "app": None}, {"message": None, "host": "b", "app": None}]
    decoded = plain(rows, ("host", "app"))
    assert decoded.schema.types == [pa.string(), pa.string()]
    assert joined([rows, rows]).column("message").num_chunks == 1


def test_compact_rows_hold_no_memory_of_others() -> None:
    texts = [f"{n:06}" for n in range(10_000)]
    rows = pa.table({"host": pa.array(texts).dictionary_encode(), "message": texts})
    few = compact(rows.slice(5, 3))
    assert few.to_pylist() == rows.slice(5, 3).to_pylist()
    assert len(one_chunk(few.column("host")).dictionary) == 3
    assert sum(buffer.size for buffer in one_chunk(few.column("message")).buffers() if buffer) < 1000
    assert compact(rows) == rows


def test_reversed_rows() -> None:
    assert columns.reversed_rows(pa.table({"n": [1, 2, 3]})).column("n").to_pylist() == [3, 2, 1]
