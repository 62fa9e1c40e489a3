"""Globs as expressions, against Python's own, and which values a glob can match between two bounds."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.query.request.globs import can_match_between, escape, glob_to_regex, literal_prefix

GLOBS = st.text("ab*?", max_size=6)
VALUES = st.text("ab", max_size=6)


@given(GLOBS, VALUES)
def test_a_glob_matches_what_the_shell_says(glob: str, value: str) -> None:
    matches = re.fullmatch(glob_to_regex(glob), value) is not None
    assert matches == fnmatch.fnmatchcase(value, glob)
    assert not matches or value.startswith(literal_prefix(glob))
    assert not matches or can_match_between(glob, value, value)


@pytest.mark.parametrize(
    ("glob", "matches", "others"),
    [
        ("[ab]c", ["ac", "bc"], ["cc", "abc"]),
        ("[a-c]", ["b"], ["d", "-"]),
        ("[!a-c]", ["d"], ["b"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[^a]", ["^", "a"], ["b"]),
        ("a[", ["a["], ["a"]),
        ("[*]", ["*"], ["a"]),
        ("a.c", ["a.c"], ["abc"]),
    ],
)
def test_sets(glob: str, matches: list[str], others: list[str]) -> None:
    pattern = re.compile(glob_to_regex(glob))
    assert all(pattern.fullmatch(value) for value in matches)
    assert not any(pattern.fullmatch(value) for value in others)


@given(st.text())
def test_an_escaped_text_matches_itself_alone(text: str) -> None:
    assert re.fullmatch(escape(text), text)
    assert not re.fullmatch(escape(text), text + "x")


@pytest.mark.parametrize(
    ("glob", "low", "high", "can"),
    [
        ("web*", "web1", "web2", True),
        ("web*", "x", "y", False),
        ("web*", "a", "web", True),
        ("b", "a", "c", True),
        ("*", "", "", True),
    ],
)
def test_between_bounds(glob: str, low: str, high: str, can: bool) -> None:
    assert can_match_between(glob, low, high) is can
