"""Members of messages in JSON and logfmt."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from logsink.errors import ArgumentError
from logsink.query.request.filters import Filter
from logsink.query.request.interpret import to_filter
from logsink.query.request.members import Members, MemberTest, Path, add_member_columns
from logsink.query.request.terms import SearchTerms

MESSAGES = [
    '{"status":500,"user":{"name":"ada"},"path":"/api/x","tags":["a","prod"],"ok":true}',
    '@cee: {"status":200,"user.name":"bob","path":"/"}',
    'INFO done {"status":"503","items":[{"id":1},{"id":22}]} tail',
    'level=error status=404 msg="not \\"found\\", really" user=ada, took=1.5 note=\'a b\'',
    '{"msg":"status=500 ok"}',
    '{"status":null,"n":"\\u0061da"}',
    'x {y} a={"a":1} b={"status":7}',
    '{"log":"{\\"status\\":510}\\n"}',
    '[{"id":1},{"id":5}]',
    "nothing",
    '{"status":',
    None,
]


def found(*conditions: str, messages: list[str | None] = MESSAGES) -> list[int]:
    values = pa.array(messages, pa.string())
    met = Members([*map(MemberTest.parse, conditions)]).mask(values)
    coded = Members([*map(MemberTest.parse, conditions)]).mask(values.filter(values.is_valid()))
    assert met[: len(coded)].tolist() == coded.tolist()
    return [n for n, so in enumerate(met) if so]


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("status>=500", [0, 2]),
        ("status > 404", [0, 2]),
        ("status<404", [1, 6]),
        ("status<=404", [1, 3, 6]),
        ("status=500", [0]),
        ("status==500.0", [0]),
        ("status!=500", [1, 2, 3, 5, 6]),  # where it is missing there is no match
        ("status=null", [5]),
        ("status", [0, 1, 2, 3, 5, 6]),
        (".status", [0, 1, 2, 3, 5, 6]),
        ("user.name=ada", [0]),
        ("user.name=bob", [1]),  # one key with a dot
        ('"user.name"=bob', [1]),
        ('user={"name":"ada"}', [0]),
        ("n=ada", [5]),  # written with an escape
        ("ok=true", [0]),
        ("ok>0", []),
        ("path~^/api", [0]),
        ("path!~^/api", [1]),
        ("path=~^/$", [1]),
        ("tags=prod", [0]),  # an array: any of its elements
        ("tags!=prod", []),
        ("tags[1]=prod", [0]),
        ("tags[-1]=prod", [0]),
        ("tags.0=prod", []),
        ("items.id=22", [2]),
        ("items[1].id>1", [2]),
        ("items[2].id", []),
        ("[1].id=5", [8]),
        ("log.status=510", [7]),  # JSON inside of a string
        ('msg=not "found", really', [3]),
        ("user=ada", [3]),  # a comma ends a value in key=value
        ("took<2", [3]),
        ("note=a b", [3]),
        ("level>debug", [3]),
        ("path>1", []),  # a number and text have no order
        ("!status", [4, 7, 8, 9, 10]),
    ],
)
def test_conditions(condition: str, rows: list[int]) -> None:
    assert found(condition) == rows


def test_all_conditions_must_hold() -> None:
    assert found("status>=500", "user.name=ada") == [0]
    assert found("status>=500", "user.name=bob") == []


def test_text_in_quotes_is_no_number() -> None:
    messages: list[str | None] = ['{"a":"10"}', '{"a":"9"}', '{"a":10.0}']
    assert found("a=10", messages=messages) == [0, 2]
    assert found('a="10"', messages=messages) == [0]
    assert found("a>9", messages=messages) == [0, 2]
    assert found('a>"10"', messages=messages) == [1, 2]


def test_a_backslash_before_a_letter_is_one() -> None:
    """Else a word in the value would be another one in the message."""
    messages: list[str | None] = [r'path="C:\users\ada x" a=1', r'path="\"C:\" x"', r'path="a\nb"']
    assert found(r"path~^C:\\users\\ada", messages=messages) == [0]
    assert found('path~^"C:', messages=messages) == [1]
    assert found("path~^a\nb$", messages=messages) == [2]


@pytest.mark.parametrize("text", ["", "=3", ">3", "a..b=1", "a.=1", "a[x]=1", "a~(", "!a=1", '"a=1'])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError):
        MemberTest.parse(text)


def test_whatever_json_there_is_nothing_breaks() -> None:
    deep = '{"a":' * 50_000
    numbers = ['{"a":1e999}', '{"a":123456789012345678901234567890}', '{"a":[]}']
    messages: list[str | None] = [deep, '{"a":"\\ud800"}', '{"a":NaN}', *numbers]
    assert found("a", messages=messages) == [1, 2, 3, 4, 5]
    assert found("a~.", messages=messages) == [1, 2, 3, 4, 5]
    assert 4 in found("a>5", messages=messages)


def test_what_is_nested_deeply_is_there_and_breaks_nothing() -> None:
    objects, arrays = '{"a":' * 900 + "1" + "}" * 900, '{"a":' + "[" * 900 + '{"b":1}' + "]" * 900 + "}"
    assert found("a", messages=[objects, arrays]) == [0, 1]
    assert found("a=1", messages=[objects, arrays]) == []
    assert found("a.b=1", messages=[arrays, '{"a":[[{"b":1}]]}']) == [1]
    [value] = add_member_columns(pa.table({"message": [objects]}), [".a"], as_json=True).column(".a").to_pylist()
    json.loads(value)


def test_a_long_word_costs_no_more_than_its_length() -> None:
    """Half a megabyte without a space: were it looked at from each of its letters, this would take most of an hour."""
    assert found("status=500", messages=["A" * 500_000 + " status=500", "it's" * 100_000 + " status=500"]) == [0, 1]


def test_bytes_say_which_messages_can_meet_it() -> None:
    """Whatever the way in which JSON is written, what meets a condition has its needles."""
    for text in ({"straße": "köln x"}, {"a/b": "c<d"}, {"k": 'q"uote'}, {"user": {"name": "ada lovelace"}}):
        for ascii in (True, False):
            body = json.dumps(text, ensure_ascii=ascii)
            key = next(iter(text))
            value = text[key]  # type: ignore[index]
            condition = f"{key}={value}" if isinstance(value, str) else "user.name=ada lovelace"
            assert found(condition, messages=[body]) == [0], condition
    escaped = '{"\\u0073tatus":"\\u0061da"}'
    assert found("status=ada", messages=[escaped]) == [0]
    condition = Members([MemberTest.parse("status=ada")])
    frames = pa.array([b"x status ada", b"x status", escaped.encode()])
    assert Filter((condition,)).candidates(frames).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("status=500", 'first {"l":[' + ",".join(['{"a":1}'] * 20) + ']} second {"status":500}'),
        ("id=12345678901234567890123", '{"id": 12345678901234567890123}'),
        ("id=12345678901234567890123", 'x {"id": 12345678901234567890123}'),
        ("in.id=12345678901234567890123", '{"in":"{\\"id\\": 12345678901234567890123}"}'),
        ("v=NaN", '{"v": NaN}'),
        ("a=foo-bar", r'a="foo\-bar"'),
        ("a=foo bar", r'a="foo\ bar"'),
    ],
)
def test_members_that_are_hard_to_see(condition: str, message: str) -> None:
    assert found(condition, messages=[message]) == [0]


def test_numbers_of_more_than_64_bits_are_exact() -> None:
    assert found("id=12345678901234567890124", messages=['{"id": 12345678901234567890123}']) == []


def test_a_number_in_a_path_need_not_stand_in_the_message() -> None:
    assert found("items.0=a", messages=['{"items":["a"],"n":1}', '{"items":{"0":"a"}}', '{"items":["b"],"n":10}']) == [
        0,
        1,
    ]
    rows = pa.table({"message": ['{"items":["a"]}']})
    assert add_member_columns(rows, [".items.0"]).column(".items.0").to_pylist() == ["a"]


def test_columns_of_members() -> None:
    rows = pa.table({"message": pa.array(MESSAGES, pa.string())})
    text = add_member_columns(rows, [".status", ".user.name"])
    assert text.column(".status").to_pylist() == ["500", "200", "503", "404", None, "null", "7", *[None] * 5]
    assert text.column(".user.name").to_pylist()[:3] == ["ada", "bob", None]
    assert add_member_columns(rows, [".status"], as_json=True).column(".status").to_pylist()[:3] == [
        "500",
        "200",
        '"503"',
    ]
    assert add_member_columns(rows, [".user"]).column(".user").to_pylist()[0] == '{"name":"ada"}'
    assert add_member_columns(rows, ["message"]) is rows


def test_a_path_is_named_again_in_errors() -> None:
    with pytest.raises(ArgumentError, match=r"cannot read 'a\.\.b' as the path"):
        Path(".a..b")


def test_the_library_takes_one_condition_or_several() -> None:
    import datetime as dt

    (condition,) = to_filter(SearchTerms(json=("a=1", "b")), 0, dt.UTC).conditions
    assert str(condition) == "message has a=1 and b"
