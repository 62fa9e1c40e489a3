"""Harmful characters are escaped, and the same ones on every way to a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.characters import HARMFUL as RANGES
from logsink.characters import escape, harmless, harmless_json, json_escape
from logsink.query.output.escape import for_json, for_terminal, json_for_terminal

EVERY = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
TABLE = {chr(code) for low, high in RANGES for code in range(low, high + 1)}


def strings(arrays: Callable[[pa.Array], pa.Array]) -> Callable[[Sequence[str]], list[str]]:
    return lambda texts: arrays(pa.array(texts, pa.string())).to_pylist()


def without_quotes(documents: Sequence[bytes]) -> list[str]:
    return [document.decode()[1:-1] for document in documents]


ROUTES: dict[str, tuple[Callable[[Sequence[str]], list[str]], Callable[[str], str]]] = {
    "a string": (lambda texts: [harmless(text) for text in texts], escape),
    "a column": (strings(for_terminal), escape),
    "a column for JSON": (strings(for_json), json_escape),
    "JSON documents in a column": (strings(json_for_terminal), json_escape),
    "one JSON document": (
        lambda texts: without_quotes([harmless_json(b'"%b"' % text.encode()) for text in texts]),
        json_escape,
    ),
}
"""How text gets to a terminal: what escapes several strings, and how one character is written."""

JSON_SHORT = {"a column for JSON": '\b\t\n\f\r"\\'}
"""Characters for which RFC 8259 has shorter escapes, and of which two are not harmful."""

NEVER = {"one JSON document": {chr(code) for code in range(0x20)}}
"""Harmful characters that a JSON document cannot hold."""


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_escapes_the_characters_of_the_table_and_no_other(route: str) -> None:
    escaped, shown = ROUTES[route]
    checked = [c for c in EVERY if c not in JSON_SHORT.get(route, "") and c not in NEVER.get(route, set())]
    expected = [shown(c) if c in TABLE else c for c in checked]
    assert escaped(checked) == expected
    for character in (c for c in checked if c in TABLE):  # alone, where its bytes must be found
        assert escaped([f"a{character}b"]) == [f"a{shown(character)}b"]


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_characters_are_found_wherever_they_lie(before: int) -> None:
    text = "x" * ((1 << 20) - before) + "\u202e" + "é" * 9
    assert strings(for_terminal)([text]) == [harmless(text)]
    assert strings(for_terminal)(["\x85"]) == [r"\x85"]


HARMFUL = [
    *(
        "\x00\x07\x1b\x7f\x80\x9b\xad\u034f\u061c\u115f\u17b4\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u202a\u202e\u2060"
    ),
    *("\u2064\u2066\u2069\u206f\u3164\ufeff\uffa0\ufff9\U0001bca0\U0001d173\U000e0001\U000e0041\U000e007f\U000e0100"),
]


@pytest.mark.parametrize("character", HARMFUL, ids=ascii)
def test_what_drives_a_terminal_or_is_not_seen_is_escaped(character: str) -> None:
    text = f"a{character}b"
    (shown,) = for_terminal(pa.array([text])).to_pylist()
    assert shown.isascii()
    assert shown.encode().decode("unicode_escape") == text
    (escaped,) = for_json(pa.array([text])).to_pylist()
    assert escaped.isascii()
    assert json.loads(f'"{escaped}"') == text
    assert harmless(text) == shown
    assert json.loads(harmless_json(orjson.dumps(text))) == text
    assert harmless_json(orjson.dumps(text)).isascii()


@pytest.mark.parametrize("text", ["größe — “fine” …", "⚠️ done", "日本語", "\U0001f600", "العربية", "a\xa0b"])
def test_what_people_write_is_shown_as_it_is(text: str) -> None:
    assert for_terminal(pa.array([text])).to_pylist() == for_json(pa.array([text])).to_pylist() == [text]
    assert harmless(text) == text


def test_very_many_different_characters_are_escaped_as_few_are() -> None:
    texts = [chr(code) + "x" for code in range(0xE0000, 0xE0100)]
    assert for_terminal(pa.array(texts)).to_pylist() == [harmless(text) for text in texts]


@given(st.lists(st.none() | st.text(st.sampled_from(HARMFUL) | st.characters(exclude_categories=["Cs"]))))
def test_any_text_survives_json_and_never_drives_a_terminal(texts: list[str | None]) -> None:
    escaped = for_json(pa.array(texts, pa.string())).to_pylist()
    assert [None if e is None else json.loads(f'"{e}"') for e in escaped] == texts
    shown = for_terminal(pa.array(texts, pa.string())).to_pylist()
    assert shown == [None if text is None else harmless(text) for text in texts]
    for text in (t for t in escaped + shown if t is not None):
        assert not any(c in HARMFUL or ord(c) < 32 or 127 <= ord(c) < 160 for c in text)


def test_a_slice_is_escaped_by_itself() -> None:
    texts = pa.array(["\n", "a", None, "\t", "\x1b"]).slice(1, 3)
    assert for_terminal(texts).to_pylist() == ["a", None, r"\t"]
