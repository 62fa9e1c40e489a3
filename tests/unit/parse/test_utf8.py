"""UTF-8: the same answers as Python's decoder, for every kind of damage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logsink.parse.utf8 import (
    NOT_UTF8,
    gather,
    is_valid,
    mark_frames,
    mark_texts,
    measure,
    replaced_length,
    write_replaced,
)

PIECES = [b"a", b"\xc3", b"\xa9", b"\xc3\xa9", b"\xe2\x82\xac", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80",
    b"\xf0\x9f", b"\xf4\x90\x80\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xc0\xaf", b"\xff", b"eight123"]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=8).map(b"".join)


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(TEXTS)
@example(b"".join(PIECES))
def test_valid_and_replaced_as_python_does_it(text: bytes) -> None:
    data = np.frombuffer(b"\xe2" + text + b"\x82\xac", np.uint8)  # what stands around it is not looked at
    start, end = 1, 1 + len(text)
    assert is_valid.py(data, start, end) == is_utf8(text)
    expected = text.decode(errors="replace").encode()
    assert replaced_length.py(data, start, end) == len(expected)
    out = np.zeros(len(expected) + 1, np.uint8)
    assert write_replaced.py(data, start, end, out, 1) == len(out)
    assert out[1:].tobytes() == expected


@given(st.lists(TEXTS, min_size=1, max_size=6), st.randoms())
def test_texts_are_marked_and_laid_end_to_end(texts: list[bytes], random) -> None:
    data = np.frombuffer(b"".join(texts) + bytes(8), np.uint8)
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    flags, again = np.zeros(len(texts), np.int32), np.zeros(len(texts), np.int32)
    bad = [not is_utf8(text) for text in texts]
    assert mark_frames.py(data, offsets, flags) == mark_texts.py(data, offsets[:-1], offsets[1:], again) == sum(bad)
    assert flags.tolist() == again.tolist() == [NOT_UTF8 if one else 0 for one in bad]

    starts = offsets[:-1].copy()
    starts[0] = -1  # absent
    order = list(range(len(texts)))
    random.shuffle(order)
    expected = [b"" if k == 0 else texts[k].decode(errors="replace").encode() for k in order]
    places = np.zeros(len(order) + 1, np.int32)
    rows = np.array(order, np.int64)
    assert measure.py(data, starts, offsets[1:], flags, rows, places, 1 << 30) == len(order)
    assert places.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    out = np.zeros(int(places[-1]) + 8, np.uint8)
    assert gather.py(data, starts, offsets[1:], flags, rows, places, out) == len(order) - 1
    assert out[: places[-1]].tobytes() == b"".join(expected)


@pytest.mark.parametrize(("limit", "fitting"), [(2, 0), (3, 1), (5, 1), (6, 2), (100, 2)])
def test_measuring_stops_at_the_limit(limit: int, fitting: int) -> None:
    starts, ends = np.array([0, 3], np.int32), np.array([3, 6], np.int32)
    none, order = np.zeros(2, np.int32), np.arange(2)
    data = np.frombuffer(b"abcdef", np.uint8)
    assert measure.py(data, starts, ends, none, order, np.zeros(3, np.int32), limit) == fitting
