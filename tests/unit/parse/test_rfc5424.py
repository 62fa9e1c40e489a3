"""Structured data and the fields of RFC 5424."""

from __future__ import annotations

import numpy as np
import pytest

from logsink.parse.rfc5424 import CUT, NO_SD, SD_INVALID, WHOLE, read_rfc5424, skip_structured_data
from logsink.parse.scanning import NONE
from logsink.parse.shape import SPANS, WITH_BOM, WITH_MESSAGE, WITHOUT_SD


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("[a]", 3),
        ('[a b="c"] x', 9),
        ('[a b="c"][d e="f"]x', 18),
        ('[a b="\\"\\\\\\]" c="d"]', None),
        ('[a  b="c"  d="e" ]', 18),
        ("[ a b=c]", 8),
        ("[a b=c[d] e]", 12),
        ('[a b=c="]"]', 11),
        ('[a b="]"]', 9),
        ("x", 0),
    ],
)
def test_structured_data_ends(text: str, length: int | None) -> None:
    data = text.encode()
    assert skip_structured_data.py(data, 0, len(data)) == (len(data) if length is None else length)


@pytest.mark.parametrize(
    "text",
    ["[", "[]", "[a", "[ OK ] x", "[a b]", '[a b="c', '[a b="c"x]', "[a b=c", '[a ="c"]', '["a"]', '[a b=c="]', "[a b"],
)
def test_malformed_structured_data(text: str) -> None:
    data = text.encode()
    assert skip_structured_data.py(data, 0, len(data)) == NONE


@pytest.mark.parametrize(
    ("text", "fields", "whole", "flags"),
    [
        ("h a p m - text", ["h", "a", "p", "m", None, "text"], WHOLE, 0),
        ("- - - - -", [None] * 6, WHOLE, 0),
        ('h a p m [x y="z"] text', ["h", "a", "p", "m", '[x y="z"]', "text"], WHOLE, 0),
        ('h a p m [x y="z"]', ["h", "a", "p", "m", '[x y="z"]', None], WHOLE, 0),
        ("h a p m text", ["h", "a", "p", "m", None, "text"], NO_SD, 0),
        ("h a p m [x text", ["h", "a", "p", "m", None, "[x text"], NO_SD, SD_INVALID),
        ("h a p m", ["h", "a", "p", "m", None, None], CUT, 0),
        ("h a p m ", ["h", "a", "p", "m", None, None], CUT, 0),
        ("h", ["h", None, None, None, None, None], CUT, 0),
        ("", [None] * 6, CUT, 0),
    ],
)
def test_fields(text: str, fields: list[str | None], whole: int, flags: int) -> None:
    data, spans = text.encode(), np.full((1, SPANS), -1, np.int32)
    bits, seen, how_much = read_rfc5424.py(data, 0, len(data), spans, 0)
    places = spans.reshape(6, 2).tolist()
    assert [None if start < 0 else text[start:end] for start, end in places] == fields
    assert (how_much, seen) == (whole, flags)
    assert bool(bits & WITHOUT_SD) == (whole == NO_SD)
    assert bool(bits & WITH_MESSAGE) == (fields[-1] is not None)


def test_a_byte_order_mark_is_no_part_of_the_message() -> None:
    data, spans = b"h a p m - \xef\xbb\xbftext", np.full((1, SPANS), -1, np.int32)
    bits, _, _ = read_rfc5424.py(data, 0, len(data), spans, 0)
    assert bits & WITH_BOM
    assert data[spans[0, 10] : spans[0, 11]] == b"text"


def test_two_spaces_in_a_row_make_the_shape_irregular() -> None:
    data, spans = b"h  p m - text", np.full((1, SPANS), -1, np.int32)
    assert read_rfc5424.py(data, 0, len(data), spans, 0)[0] == 0
