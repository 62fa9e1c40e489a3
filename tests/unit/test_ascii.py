"""The names of ASCII characters stand for what they say."""

from __future__ import annotations

import unicodedata

from logsink import ascii as names

_BY_UNICODE = {
    "QUOTE": "QUOTATION MARK",
    "HASH": "NUMBER SIGN",
    "PERCENT": "PERCENT SIGN",
    "OPENING_PARENTHESIS": "LEFT PARENTHESIS",
    "CLOSING_PARENTHESIS": "RIGHT PARENTHESIS",
    "PLUS": "PLUS SIGN",
    "HYPHEN": "HYPHEN-MINUS",
    "DOT": "FULL STOP",
    "SLASH": "SOLIDUS",
    "EQUALS": "EQUALS SIGN",
    "LESS_THAN": "LESS-THAN SIGN",
    "GREATER_THAN": "GREATER-THAN SIGN",
    "AT": "COMMERCIAL AT",
    "OPENING_BRACKET": "LEFT SQUARE BRACKET",
    "CLOSING_BRACKET": "RIGHT SQUARE BRACKET",
    "BACKSLASH": "REVERSE SOLIDUS",
    "UNDERSCORE": "LOW LINE",
    "BAR": "VERTICAL LINE",
}
_DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
_CONTROL = {"NUL": "\0", "TAB": "\t", "LF": "\n", "CR": "\r", "DELETE": "\x7f"}


def test_every_constant_is_the_character_that_unicode_calls_so() -> None:
    for name, value in vars(names).items():
        kind, _, rest = name.partition("_")
        if not name.isupper() or name in ("CASE_BIT", "NOT_ASCII"):
            continue
        if name in _CONTROL:
            assert chr(value) == _CONTROL[name]
            continue
        unicode = _BY_UNICODE.get(name, name)
        if kind == "DIGIT":
            unicode = f"DIGIT {_DIGITS[int(rest)]}"
        elif kind in ("CAPITAL", "SMALL"):
            unicode = f"LATIN {kind} LETTER {rest}"
        assert unicodedata.name(chr(value)) == unicode, name


def test_the_case_bit_tells_small_letters_from_capitals() -> None:
    assert names.CAPITAL_A | names.CASE_BIT == names.SMALL_A
    assert names.SMALL_Z & ~names.CASE_BIT == names.CAPITAL_Z
