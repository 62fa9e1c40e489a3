"""Whatever a condition matches has the keys that the condition says are certain: otherwise the index would lose rows.

The texts are made of few characters, those at which words in the index, for RE2 and in JSON could differ: letters with other
cases, letters of two and of three bytes, marks, digits that are none of ASCII, and separators.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logsink.errors import ArgumentError
from logsink.index import ESCAPE, tokens
from logsink.query.request import Condition, ExactlyOneOf, Holds, Members, MemberTest, OneOf, Parameter
from logsink.query.request import keys as keys_module
from tests.support.examples import examples

LETTERS = "aAbKkSs\u212a\u017fäÄßẞωΩΩåÅÅёЁ日ͅ٣²_09ǅª"
"""Kelvin and long s, sharp s and its capital of three bytes, ohm and angstrom, a mark that has a case, digits."""

SEPARATORS = " .:=\"\\]'\n\t\x00-/,;{}[@\xa0\u2028\ufffd"
TEXT = st.text(alphabet=LETTERS + SEPARATORS + "abab  ", max_size=14)
WORD = st.text(alphabet=LETTERS, min_size=1, max_size=4)


def certain(condition: Condition, value: str) -> bool:
    """Whether a value has what the condition says that every match has."""
    if condition.column in ("message", "structured_data"):
        has = {token.folded.decode() for token in tokens(value)}
        has |= {ESCAPE.decode()} if ESCAPE.decode() in value else set()
        has_key = lambda key: not key.column and key.text in has  # noqa: E731
    else:
        has_key = lambda key: (key.column, key.text) == (condition.column, value)  # noqa: E731
    return all(any(all(map(has_key, keys)) for keys in alternatives) for alternatives in condition.index_keys())


def check(condition: Condition, values: Sequence[str]) -> bool:
    """Assert that all matching values have the keys; return whether any matched and had one."""
    mask = condition.mask(pa.array(values, pa.string()))
    for value, met in zip(values, mask.tolist(), strict=True):
        assert not met or certain(condition, value), (str(condition), value, condition.index_keys())
    return bool(mask.any()) and bool(condition.index_keys())


def other_case(text: str) -> list[str]:
    return [text, text.upper(), text.lower(), text.swapcase(), text.replace("k", "\u212a").replace("s", "\u017f")]


@settings(max_examples=examples(400))
@given(
    st.lists(TEXT, min_size=1, max_size=3),
    st.tuples(TEXT, TEXT),
    st.booleans(),
    st.booleans(),
)
@example(["abb"], ("a", ""), False, False)
@example(["ẞabb b"], ("ß", ""), True, False)
def test_texts(patterns: list[str], around: tuple[str, str], ignore_case: bool, words: bool) -> None:
    condition = Holds("message", tuple(patterns), ignore_case=ignore_case, words=words)
    before, after = around
    values = [before + each + after for pattern in patterns for each in other_case(pattern)]
    check(condition, [*values, *patterns])


PIECES = (
    *(
        "abb",
        " ",
        "bbk",
        "kas",
        ".",
        "\\.",
        "\\s",
        "\\s+",
        "[ :]",
        "[^ ]",
        "[ -~]",
        "\\b",
        "^",
        "$",
        "\\A",
        "\\z",
        "|",
        "a+",
    ),
    *(
        "b?",
        "(?:abb| )",
        "(k)",
        "s*",
        "k{2}",
        " {0,1}",
        "\\w",
        "\\W",
        "\\d",
        "\\x20",
        "\\pL",
        "\\t",
        "ß",
        "Ω",
        "?",
        "+",
        "[]]",
    ),
    *("(?i:k)", "\\Q.\\E", "[[:space:]]", "-", "_", "\\n", "[.,]+", "{", "}", "\\v", "\\a", "\\C", "\\B"),
)


@settings(max_examples=examples(600))
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join),
    st.sampled_from(("", "", "", "(?i)", "(?m)", "(?s)", "(?is)", "(?-s)", "(?U)")),
    st.lists(st.text(alphabet="abkKsS\u212a .:ßẞωΩΩ\n\t_ä", max_size=12), min_size=1, max_size=12),
    st.booleans(),
    st.booleans(),
)
@example(" abb | bbk ", "(?i)", [" ABB ", " BB\u212a "], False, False)
def test_expressions(pattern: str, flags: str, texts: list[str], ignore_case: bool, words: bool) -> None:
    try:
        condition = Holds("message", (flags + pattern,), regex=True, ignore_case=ignore_case, words=words)
    except ArgumentError:
        return
    plain = pattern.replace("\\s+", " ").replace("\\s", "\n").replace("[ :]", ":").replace("(?:abb| )", "abb")
    check(condition, [*texts, plain, *other_case(plain), *(text + plain + text for text in texts)])


@settings(max_examples=examples(300))
@given(
    st.tuples(WORD, WORD, TEXT, TEXT),
    st.sampled_from(('[{id}@1 {key}="{value}"]', "[{id} {key}={value} x=1]", '[ {id} y="" {key}="{value}"][z]')),
    st.sampled_from(
        ("{key}={value}", "{id}.{key}={value}", "{key}={part}*", "{id}.{key}=*{part}?", "{key}=[ab ]{value}")
    ),
)
def test_parameters(words: tuple[str, str, str, str], form: str, asked: str) -> None:
    name, key, value, part = words
    quoted = "".join(f"\\{c}" if c in '"\\]' else c for c in value)
    try:
        condition = Parameter.parse(asked.format(id=name, key=key, value=value, part=part))
    except ArgumentError:
        return
    data = [form.format(id=name, key=key, value=text) for text in (quoted, value, part + quoted, part, "a" + quoted)]
    check(condition, data)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


WRITERS: tuple[Callable[[str, str], str], ...] = (
    lambda key, value: as_json({key: value}),
    lambda key, value: json.dumps({key: value}),
    lambda key, value: as_json({"x": as_json({key: value})}),
    lambda key, value: "at " + as_json({key: [value]}) + " end",
    lambda key, value: f"{key}={value} b=1",
    lambda key, value: f'a=1,{key}="{value}"',
    lambda key, value: f"{key}=" + as_json(value),
    lambda key, value: f"{key}='{value}'",
    lambda key, value: as_json({"x": f'{{"{key}":\ntrue, "y":\n"{value}"}}'}),
    lambda key, value: f'{{"{key}": NaN, "{value}": 1e2}}',
)


@settings(max_examples=examples(500))
@given(
    st.text(alphabet=LETTERS + " -\t@", min_size=1, max_size=6),
    TEXT | st.sampled_from(("true", "null", "abb kas", "a\\abb", "abb\nkas", "\\u0061bb", "C:\\abb\\kas", '{"abb":1}')),
    st.sampled_from(("=", "!=", ">=", "~", "", "!")),
    st.sampled_from(("{}", '"{}"', "x.{}", "{}.0")),
)
@example("äbb", "x", "=", "{}")
@example("k\tabb", "abb\nkas", "=", '"{}"')
def test_members(key: str, value: str, operator: str, form: str) -> None:
    try:
        test = MemberTest.parse(form.format(key) + operator + (value if operator not in ("", "!") else ""))
    except ArgumentError:
        return
    raw = value.replace("\\", "")
    messages = [write(k, v) for write in WRITERS for k in (key, "x") for v in (value, raw, value.replace("\n", "\\n"))]
    check(Members([test]), messages)


@given(st.lists(WORD, min_size=1, max_size=3), st.sampled_from(("host", "app", "transport")))
def test_whole_values(values: list[str], column: str) -> None:
    check(OneOf(column, tuple(values)), [*values, "ab"])
    check(ExactlyOneOf(column, tuple(values)), [*values, "ab"])
    assert not ExactlyOneOf(column, (*values, None)).index_keys()


def test_many_conditions_have_keys() -> None:
    """Otherwise the properties above would say nothing."""
    for condition, value in (
        (Holds("message", ("a abb b",)), "xa abb bx"),
        (Holds("message", ("abb",), words=True, ignore_case=True), "ABB"),
        (Holds("message", (r":abb\s+k .*|\^kas$",), regex=True, ignore_case=True), ":ABB K ^KAS"),
        (Parameter.parse("id.key=ab*cd abb"), '[id@1 key="abxcd abb"]'),
        (Members([MemberTest.parse("key.kas=abb")]), '{"key": {"kas": "abb"}}'),
        (Members([MemberTest.parse("key=abb")]), '{"key": "\\u0061bb"}'),
        (OneOf("host", ("web1",)), "web1"),
    ):
        assert check(condition, [value]), str(condition)


@pytest.mark.parametrize("broken", ["no edges", "all folded", "escapes", "controls"])
def test_wrong_keys_are_found(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the rules by which a word is certain is needed."""
    words = keys_module.words
    if broken == "no edges":
        monkeypatch.setattr(
            "logsink.query.request.conditions.words", lambda runs, **how: words([f" {r} " for r in runs], **how)
        )
        wrong = test_texts
    elif broken == "all folded":
        monkeypatch.setattr("logsink.query.request.conditions.words", lambda runs, **_: words(runs))
        wrong = test_texts
    elif broken == "escapes":
        monkeypatch.setattr(keys_module, "required", lambda each: [list(each)[:1]])
        wrong = test_members
    else:
        monkeypatch.setattr(keys_module, "_written", lambda text: [text])
        wrong = test_members
    with pytest.raises(AssertionError):
        wrong()
