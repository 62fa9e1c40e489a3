"""Tokens and keys: golden values, and that a token ends wherever ``--word-regexp`` ends a word."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.index import ESCAPE, Token, is_token_character, token_key, tokens, value_key
from logsink.index.words import KELVIN_SIGN, LETTERS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Größe ab_c xy", ["größe", "ab_c"]),
        ("GET /v1/users/42?id=a1b2 HTTP/1.1", ["get", "users", "a1b2", "http"]),
        ("foo中bar", ["foo", "bar"]),
        ("ſet \u212a\u212ax É", ["set", "kkx"]),
        ("µs ªº ÷abc×", ["µs", "ªº", "abc"]),
        ("ΑΒ АБВ", ["ΑΒ", "АБВ"]),
        ("a\u0301bc de\u0301f", []),
        ("", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert [token.folded.decode() for token in tokens(text)] == expected


def test_a_token_says_where_it_stands() -> None:
    assert list(tokens("né: \u212a\u212ae-Err")) == [
        Token(0, 2, "né".encode()),
        Token(4, 7, b"kke"),
        Token(8, 11, b"err"),
    ]


@pytest.mark.parametrize(
    ("folded", "key"),
    [
        (b"", 0x563B60316C831C62),
        (b"error", 0x6D6CB132A74BB816),
        (ESCAPE, 0x3CEA1BBE98E2215C),
        ("größe".encode(), 0x7F3477D17E9A580D),
        (b"0123456789abcdef" * 100, 0x497879D9D54EB732),
    ],
)
def test_the_keys_of_tokens_never_change(folded: bytes, key: int) -> None:
    assert token_key(folded) == key


def test_the_keys_of_values_never_change() -> None:
    assert value_key("host", "web-1") == 0x4DA718A927B79DB9
    assert value_key("app", "Web-1") not in (value_key("app", "web-1"), value_key("host", "Web-1"))


def test_letters_are_those_of_unicode() -> None:
    """Later versions of Unicode may add some; the table stays what it is."""
    listed = {c for first, last in LETTERS for c in range(first, last + 1)}
    assert all(unicodedata.category(chr(c)).startswith("L") for c in listed)
    missing = {c for c in range(0x80, 0x800) if unicodedata.category(chr(c)).startswith("L")} - listed
    assert missing == set()


def test_no_other_character_is_taken_for_an_ascii_letter_by_a_search_that_ignores_case() -> None:
    every = pa.array([chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000])
    found = pc.filter(every, pc.match_substring_regex(every, "^(?s:[a-z0-9_])$", ignore_case=True))
    beyond = {ord(one) for one in found.to_pylist()} - set(range(128))
    assert beyond == {0x17F, KELVIN_SIGN}


@given(st.characters())
def test_a_token_character_is_one_of_a_word(character: str) -> None:
    if is_token_character(character):
        assert pc.match_substring_regex(pa.array([character]), r"^[\pL\pN_]$")[0].as_py()


def test_every_token_character_is_one_of_a_word() -> None:
    every = [chr(c) for first, last in (*LETTERS, (KELVIN_SIGN,) * 2) for c in range(first, last + 1)]
    assert pc.all(pc.match_substring_regex(pa.array(every), r"^[\pL\pN_]$")).as_py()


@given(st.text(st.sampled_from("aZ_09é ß-.\u212aſ中\u0301\n"), max_size=40))
def test_tokens_are_maximal_and_folded(text: str) -> None:
    for token in tokens(text):
        assert all(map(is_token_character, text[token.start : token.end]))
        assert token.start == 0 or not is_token_character(text[token.start - 1])
        assert token.end == len(text) or not is_token_character(text[token.end])
        assert len(token.folded) >= 3
        assert [one.folded for one in tokens(token.folded.decode())] == [token.folded]
