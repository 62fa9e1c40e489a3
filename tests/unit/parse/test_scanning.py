"""The smallest kernels: blanks, words, digits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.parse.scanning import (
    NO_NUMBER,
    begins_with,
    decimal,
    find_blank,
    find_space,
    is_alphanumeric,
    is_blank,
    is_letter,
    is_listed,
    skip_blanks,
    skip_digits,
    skip_spaces,
    two_digits,
)


@pytest.mark.parametrize("c", range(256))
def test_classes_of_characters(c: int) -> None:
    ascii_character = chr(c) if c < 0x80 else ""
    assert is_letter.py(c) == ascii_character.isalpha()
    assert is_alphanumeric.py(c) == ascii_character.isalnum()
    assert is_blank.py(c) == (ascii_character in (" ", "\t"))


@given(st.text("a \t", max_size=80).map(str.encode), st.integers(0, 80))
def test_finding_and_skipping_end_where_the_frame_ends(text: bytes, end: int) -> None:
    end = min(end, len(text))
    frame = text[:end]
    data = np.frombuffer(text + b" ", np.uint8)  # one byte more, which must not be found
    space = frame.find(b" ")
    for find in (find_space, find_space.py):
        assert find(data, 0, end) == (space if space >= 0 else end)
    assert find_blank.py(data, 0, end) == len(frame) - len(frame.lstrip(b"a"))
    assert skip_spaces.py(data, 0, end) == len(frame) - len(frame.lstrip(b" "))
    assert skip_blanks.py(data, 0, end) == len(frame) - len(frame.lstrip(b" \t"))


@pytest.mark.parametrize(("text", "number"), [(b"07", 7), (b"99", 99), (b"1:", None), (b"/0", None), (b"-1", None)])
def test_two_digits(text: bytes, number: int | None) -> None:
    assert two_digits.py(text, 0) == (NO_NUMBER if number is None else number)
    assert NO_NUMBER * 100 + 99 < 0


def test_numbers_of_a_width() -> None:
    assert decimal.py(b"0123", 0, 4, 4) == 123
    assert decimal.py(b"0123", 0, 4, 5) == -1
    assert decimal.py(b"01a3", 0, 4, 4) == -1
    assert skip_digits.py(b"123:", 0, 4) == 3
    assert skip_digits.py(b"123", 0, 2) == 2


def test_words() -> None:
    assert begins_with.py(b"a CEF:0", 2, 7, b"CEF:")
    assert not begins_with.py(b"a CEF:0", 2, 5, b"CEF:")
    assert is_listed.py(b"info", 0, 4, b"err|info|")
    assert not is_listed.py(b"inf", 0, 3, b"err|info|")
    assert not is_listed.py(b"infox", 0, 5, b"err|info|")
    assert not is_listed.py(b"", 0, 0, b"err|info|")
