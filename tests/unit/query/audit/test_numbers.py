"""Boot and running number are found wherever they stand in structured data."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.query.audit import numbers
from logsink.query.audit.numbers import numbers_of

PAIR = re.compile(r' boot="([^"\\]{1,128})" seq="([0-9]{1,15})"')

PIECES = (
    ' boot="',
    '" seq="',
    '"',
    " ",
    "\\",
    "b1",
    "0",
    "4711",
    "]",
    "[deploy@32473",
    'role="web"',
    ' boot="b" seq="7"]',
    "é",
)


def found(texts: list[str | None]) -> list[tuple[int, str, int]]:
    rows = pa.table({"structured_data": pa.array(texts, pa.string()).dictionary_encode()})
    result = numbers_of(rows)
    places, boots, at = (values.tolist() for values in (result.rows, result.boot, result.number))
    return [(place, result.boots[boot], number) for place, boot, number in zip(places, boots, at, strict=True)]


def expected(texts: list[str | None]) -> list[tuple[int, str, int]]:
    matches = [(place, PAIR.search(text or "")) for place, text in enumerate(texts)]
    return [(place, match[1], int(match[2])) for place, match in matches if match]


@pytest.mark.parametrize(
    "text",
    [
        '[deploy@32473 role="web" boot="b00t.9F" seq="4711"]',
        '[a@1 b="c"][deploy@32473 boot="b" seq="0" deploy="x"][d@2 e="f"]',
        '[d@1 boot="first" seq="1"][e@1 boot="second" seq="2"]',
        '[d@1 boot="" seq="1"][d@1 boot="b" seq="999999999999999"]',
        '[d@1 boot="b" seq="1234567890123456"]',
        '[d@1 boot="b" seq="12x"]',
        '[d@1 boot="b"]',
        '[d@1 reboot="b" seq="1"]',
        f'[d@1 boot="{"b" * 129}" seq="1"]',
        None,
        "",
        '[d@1 boot="b" seq="1',
    ],
)
def test_pairs(text: str | None) -> None:
    assert found([text]) == expected([text])


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=5), st.booleans())
def test_as_a_regular_expression_would(texts: list[str], compiled: bool) -> None:
    assert found([*texts, texts[0] if texts else None]) == expected([*texts, texts[0] if texts else None])
    plain = pa.array(texts, pa.string())
    boots, places = numbers._found(plain)
    _, offsets, data = plain.buffers()
    if data is not None and len(plain):
        starts = np.frombuffer(offsets, np.int32)[: len(plain) + 1]
        out, ends = np.empty(max(1, int(starts[-1])), np.uint8), np.empty(len(starts), np.int32)
        again = np.empty(len(plain), np.int64)
        find = numbers._find if compiled else numbers._find.py
        written = find(np.frombuffer(data, np.uint8), starts, out, ends, again)
        assert again.tolist() == places.tolist()
        assert bytes(out[:written]).decode() == "".join(boots.to_pylist())


def test_rows_without_a_dictionary_and_without_rows() -> None:
    plain = pa.table({"structured_data": pa.array([None, '[d@1 boot="b" seq="3"]'])})
    assert numbers_of(plain).number.tolist() == [3]
    assert found([]) == []
