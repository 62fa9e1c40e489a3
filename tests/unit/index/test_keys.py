"""The kernels that find keys give what ``words`` says, and no row group loses one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.index import ESCAPE, VALUE_COLUMNS, token_key, tokens, value_key
from logsink.index.keys import LEAST_MOST, SectionBuilder, prefixes_of
from logsink.parse import CODED_COLUMNS

FACTOR = 0x3A5C6E7F12345679
TEXT = st.text(st.sampled_from('aZk_09é߀ -.\u212aſ中\u0301\u07fa\\u\n"'), max_size=30)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"message": st.none() | TEXT, "structured_data": st.none() | TEXT}
        | {name: st.none() | TEXT for name in VALUE_COLUMNS}
    ),
    max_size=6,
)


def table(rows: Sequence[dict[str, str | None]]) -> pa.Table:
    names = ("message", "structured_data", *VALUE_COLUMNS)
    columns = {}
    for name in names:
        column = pa.array([row.get(name) for row in rows], pa.string())
        columns[name] = column.dictionary_encode() if name in CODED_COLUMNS else column
    return pa.table(columns)


def expected(rows: Sequence[dict[str, str | None]]) -> set[int]:
    found = set()
    for row in rows:
        for name in VALUE_COLUMNS:
            if (value := row.get(name)) is not None:
                found.add(value_key(name, value) >> 32)
        for text in filter(None, (row.get("message"), row.get("structured_data"))):
            found |= {token_key(one.folded) >> 32 for one in tokens(text)}
            if "\\u" in text:
                found.add(token_key(ESCAPE) >> 32)
    return found


def prefixes(group: pa.Table, factor: int = FACTOR) -> set[int]:
    found = prefixes_of(group, factor)
    assert found is not None
    assert len(set(found.tolist())) == len(found)
    return set(found.tolist())


@given(ROWS)
def test_every_key_is_found_and_no_other(rows: list[dict[str, str | None]]) -> None:
    assert prefixes(table(rows)) == expected(rows)


@pytest.mark.usefixtures("either_form")
def test_both_forms_find_the_same() -> None:
    pick = np.random.default_rng(5)
    letters = np.array(list('aZk_09é߀ -.\u212aſ中\u0301\u07fa\\u\n"'))
    texts = ["".join(letters[pick.integers(0, len(letters), pick.integers(0, 40))]) for _ in range(2500)]
    rows: list[dict[str, str | None]] = [{"message": text, "host": text[:5], "structured_data": None} for text in texts]
    assert prefixes(table(rows)) == expected(rows)
    some = table(rows[:300]).slice(100, 150).select(["message", "host"])
    assert prefixes(some) >= expected(rows[100:250])


@pytest.mark.usefixtures("either_form")
@pytest.mark.parametrize("text", ["é", "aé", "abc\u212a", "\u212a\u212a\u212a", "aaſ", "\\", "x\\u", "abc\\ud", "€€€"])
def test_texts_that_end_in_the_middle_of_something(text: str) -> None:
    rows: list[dict[str, str | None]] = [{"message": text}, {"message": "u\x84\xaa"}]
    assert prefixes(table(rows)) == expected(rows)


def test_columns_that_a_table_lacks_have_no_keys() -> None:
    group = pa.table({"message": pa.chunked_array([["first one"], ["second"], []], pa.string())})
    assert prefixes(group) == {token_key(text) >> 32 for text in (b"first", b"one", b"second")}


def test_what_is_found_does_not_depend_on_the_factor() -> None:
    rows: list[dict[str, str | None]] = [{"message": f"word{n} other{n}"} for n in range(500)]
    assert prefixes(table(rows), 1) == prefixes(table(rows), (1 << 62) - 1)


@pytest.mark.usefixtures("either_form")
def test_a_row_group_with_too_many_keys_is_not_indexed() -> None:
    few = [{"message": " ".join(f"w{n}x{k}" for k in range(100))} for n in range(LEAST_MOST // 100)]
    assert prefixes_of(table(few), FACTOR) is not None
    assert prefixes_of(table([*few, *few, {"message": "onemore"}]), FACTOR) is not None  # the same keys
    many = [{"message": " ".join(f"w{n}x{k}" for k in range(100))} for n in range(LEAST_MOST // 100 + 1)]
    assert prefixes_of(table(many), FACTOR) is None
    values = [{"procid": f"{n}"} for n in range(LEAST_MOST + 1)]
    assert prefixes_of(table(values), FACTOR) is not None  # one key a row


def test_a_row_group_that_outgrows_the_first_hash_table_is_begun_again() -> None:
    texts = pa.array([f"a{n}x b{n}x c{n}x" for n in range(60_000)])
    found = prefixes_of(pa.table({"message": texts}), FACTOR)
    assert found is not None
    assert len(found) > 179_000
    assert {token_key(f"{c}{n}x".encode()) >> 32 for n in (0, 59_999) for c in "abc"} <= set(found.tolist())


def test_a_section_of_row_groups() -> None:
    builder = SectionBuilder(12345)
    for n in range(3):
        builder.add(table([{"message": f"alpha{n}", "host": "h"}]))
    many = [{"message": " ".join(f"w{n}x{k}" for k in range(100))} for n in range(LEAST_MOST // 100 + 1)]
    builder.add(table(many))
    made = builder.finish()
    assert (made.groups, made.keys, made.unindexed) == (4, 4, (3,))
