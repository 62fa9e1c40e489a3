"""Numbering kernels: sorting by code, new numbers for the codes that occur, equal times of a read."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.parse.codes import (
    EMPTY,
    count_equal_times,
    counting_sort,
    hash_of,
    longest_run,
    renumber_used,
    same,
    take_codes,
)

FORMS = pytest.mark.parametrize("form", [lambda kernel: kernel, lambda kernel: kernel.py], ids=["compiled", "plain"])
CODES = st.lists(st.integers(0, 7), max_size=40)


def int32(values: list[int]) -> np.ndarray:
    return np.array(values, np.int32)


@given(CODES, st.randoms())
def test_counting_sort_is_stable(codes: list[int], random) -> None:
    order = list(range(len(codes)))
    random.shuffle(order)
    out = np.empty(len(codes), np.int64)
    assert counting_sort.py(int32(codes), np.array(order, np.int64), np.zeros(8, np.int32), out) == len(codes)
    assert out.tolist() == sorted(order, key=codes.__getitem__)


@given(CODES, st.lists(st.booleans(), min_size=40, max_size=40), st.booleans())
def test_codes_are_numbered_anew_by_first_appearance(codes: list[int], present: list[bool], all_valid: bool) -> None:
    present = [True] * len(codes) if all_valid else present[: len(codes)]
    bitmap = np.zeros(0, np.uint8) if all_valid else np.packbits(np.array(present, bool), bitorder="little")
    places, used, out = np.full(8, -1, np.int32), np.empty(8, np.int32), np.empty(len(codes), np.int32)
    known = renumber_used.py(int32(codes), bitmap, places, used, out)
    occur = list(dict.fromkeys(code for code, here in zip(codes, present, strict=True) if here))
    if all_valid or codes:
        assert used[:known].tolist() == occur
        assert out.tolist() == [occur.index(c) if here else 0 for c, here in zip(codes, present, strict=True)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2)), max_size=40))
def test_equal_times_are_counted_within_their_read(rows: list[tuple[int, int]]) -> None:
    rows.sort(key=lambda row: row[0])
    received, time = (np.array([row[k] for row in rows], np.int64) for k in (0, 1))
    longest = longest_run.py(received)
    assert longest == max(Counter(received.tolist()).values(), default=0)
    nth = np.empty(len(rows), np.int32)
    count_equal_times.py(received, time, nth, np.empty(1 << (2 * longest).bit_length(), np.int32), 12345)
    seen: Counter[tuple[int, int]] = Counter()
    for row, count in zip(rows, nth.tolist(), strict=True):
        assert count == seen[row]
        seen[row] += 1


@FORMS
def test_codes_in_another_order(form) -> None:
    out = np.empty(3, np.int32)
    assert form(take_codes)(int32([5, EMPTY, 7]), np.array([2, 1, 0], np.int64), out) == 1
    assert out.tolist() == [7, EMPTY, 5]


@FORMS
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 16, 17])
def test_every_byte_is_compared_and_hashed(form, length: int) -> None:
    text = bytes(range(1, length + 1))
    for changed in range(length):
        other = bytearray(text)
        other[changed] ^= 0x80  # the hash leaves the highest bit of a word out
        data = np.frombuffer(text + bytes(other) + bytes(8), np.uint8)
        assert not form(same)(data, 0, length, length)
        other[changed] ^= 0x81
        data = np.frombuffer(text + bytes(other) + bytes(8), np.uint8)
        assert not form(same)(data, 0, length, length)
        assert form(hash_of)(data, 0, length, 1) != form(hash_of)(data, length, 2 * length, 1)
    data = np.frombuffer(text + text + bytes(8), np.uint8)
    assert form(same)(data, 0, length, length)
    assert form(hash_of)(data, 0, length, 1) == form(hash_of)(data, length, 2 * length, 1)
