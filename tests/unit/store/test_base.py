"""What can be a key, a prefix and a range."""

from __future__ import annotations

import pytest

from logsink.errors import ArgumentError
from logsink.store.base import LONGEST_KEY, LONGEST_NAME, check_key, check_prefix, check_range, is_key


@pytest.mark.parametrize("key", ["a", "a/b", "date=2026-01-31/a-1_2.parquet", "a" * LONGEST_NAME])
def test_a_key(key: str) -> None:
    assert is_key(key)
    assert check_key(key) == key
    assert check_prefix(key) == key


@pytest.mark.parametrize(
    "text", ["", "/a", "a/", "a//b", ".tmp/a", "a/.b", "a b", "\u00e4", "a" * (LONGEST_NAME + 1), "a/" * 400 + "b"]
)
def test_no_key(text: str) -> None:
    assert not is_key(text)
    with pytest.raises(ArgumentError, match="as a key"):
        check_key(text)


@pytest.mark.parametrize("prefix", ["", "a/", "a/b=", "a/b/c"])
def test_a_prefix(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", ["/", "a//", ".a", "a b", "a/" * (LONGEST_KEY // 2 + 1)])
def test_no_prefix(prefix: str) -> None:
    with pytest.raises(ArgumentError, match="no key begins so"):
        check_prefix(prefix)


def test_ranges() -> None:
    check_range(0, None)
    check_range(-5, None)
    check_range(3, 1)
    for start, end in ((-5, 2), (0, -1)):
        with pytest.raises(ArgumentError, match="goes without an end"):
            check_range(start, end)
