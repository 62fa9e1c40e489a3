"""Expressions of RE2 as ones that Java and Rust read alike; ``tests/property/test_spark.py`` has an engine look for them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from logsink.query.spark.expressions import portable

PORTABLE = {
    "port 8[0-9]{3}": r"port\x{20}8[0-9]{3}",
    "(?i)ok": r"[Oo][Kk\x{212A}]",
    "(?i:s)s": r"(?:[Ss\x{17F}])s",
    "^a.*b$": r"\Aa[^\x{A}]*b\z",
    "(?s)a.b": "a(?s:.)b",
    "(a(?s).)(.)": r"(?:a(?s:.))(?:[^\x{A}])",
    r"[]\w-]+?": r"[\x{5D}0-9A-Z\x{5F}a-z\x{2D}]+?",
    r"\S\D": r"[^\x{9}-\x{A}\x{C}-\x{D}\x{20}][^0-9]",
    "(?P<n>a|b)(?:c)(?<m>d)": "(?:a|b)(?:c)(?:d)",
    "a{x}{,3}": r"a\x{7B}x\x{7D}\x{7B}\x{2C}3\x{7D}",
    r"\x41\x{e9}\n\.": r"A\x{E9}\x{A}\x{2E}",
    "(?i)[^k-l]": r"[^K-Lk-l\x{212A}]",
    "größe": r"gr\x{F6}\x{DF}e",
    "[&&[a]": r"[\x{26}\x{26}\x{5B}a]",
}
TEXTS = [
    "",
    "port 8080",
    "OK",
    "o\u212a",
    "sS",
    "\u017fs",
    "ab",
    "a\nb",
    "a-]",
    "Aé\n.",
    "größe",
    "acd",
    "a{x}{,3}",
    "&[",
    "\u2028",
]


@pytest.mark.parametrize(("expression", "form"), PORTABLE.items())
def test_what_all_engines_read_alike(expression: str, form: str) -> None:
    assert portable(expression) == form
    both = [pc.match_substring_regex(pa.array(TEXTS), pattern).to_pylist() for pattern in (expression, form)]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    "expression",
    [
        *(
            r"\bword",
            r"\Bx",
            r"\pL",
            r"\p{Greek}",
            r"\PN",
            "(?m)^a",
            "(?U)a*",
            "(?-s).",
            r"\Qa.b\E",
            r"\C",
            r"[[:alpha:]]",
        ),
        *(
            r"[\D]",
            r"[\pL]",
            "(?i)größe",
            r"(?i)\w",
            r"(?i)[à-ü]",
            r"^*a",
            r"[a-[:digit:]]",
            r"\101",
            "(?i:é)",
            r"[a-\d]",
        ),
    ],
)
def test_what_they_read_differently_has_no_form(expression: str) -> None:
    assert portable(expression) is None


def test_a_repetition_of_a_repetition_has_no_form() -> None:
    """Java takes ``a*+`` for one that gives nothing back."""
    assert [portable(each) for each in ("a*+", "a**", "a{2}{3}", "a+?+")] == [None] * 4
