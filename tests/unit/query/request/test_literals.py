"""What every match of a regular expression holds."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from logsink.query.request.literals import literals


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("port 8[0-9]{3} ssh2", ["port 8", " ssh2"]),
        ("abc", ["abc"]),
        ("^GET /a.*b+c$", ["GET /a", "b", "c"]),
        ("colou?r", ["colo", "r"]),
        (r"10\.0\.0\.\d+", ["10.0.0."]),
        (r"a(b|c)d\|e", ["d|e", "a"]),
        ("a(?:bc)?d(?P<n>x)", ["a", "d"]),
        ("ab{2}c{,3}", ["c{,3}", "a"]),
        ("a|b", []),
        ("(?i)abc", []),
        ("a(?i:b)c", []),
        (r"\x41bc", []),
        (r"\Qa.b\E", []),
        (r"\pLabc", []),
        ("[]a]b[^]]c[[:alpha:]]d", ["b", "c", "d"]),
        (".*", []),
        ("Straße", ["Straße"]),
    ],
)
def test_literals(pattern: str, found: list[str]) -> None:
    assert literals(pattern) == found


PIECES = r"""
    a b ab . * + ? | ( (?: (?i) (?i: (?P<n> ) [ ] ]] ^ - $ { } {2} {,2} 0 , \d \b \. \] \\ \Q \E \x61 \pL [:alpha:]
"""


@settings(suppress_health_check=[HealthCheck.filter_too_much])  # few expressions match a short text
@given(st.lists(st.sampled_from(PIECES.split()), max_size=8).map("".join), st.text("ab.B0{},]\\[:", max_size=8))
@example("[[:alpha:]]]", "a]")
@example("a{,2}", "a{,2}")
@example(r"\Qa(\E|b", "b")
def test_every_match_holds_them(pattern: str, text: str) -> None:
    try:
        matched = pc.match_substring_regex(pa.array([text]), pattern)[0].as_py()
    except pa.ArrowInvalid:
        matched = False
    assume(matched)
    assert all(literal in text for literal in literals(pattern))
