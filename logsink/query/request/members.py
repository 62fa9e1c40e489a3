"""Members of messages that are JSON or logfmt: conditions on them, and columns that are made of them while a query runs.

A member is named by a path: ``user.name``, ``items[0].id``, ``.status``; a name with dots or operators stands in double quotes.
A dot enters an object. A key that contains the dots itself (``{"user.name": ...}``) is found as well, and so is JSON inside of
a string. A path through an array, or to one, means each of its elements.

The JSON of a message is its objects, wherever they begin (``@cee: {...}``, ``INFO request done {...}``), or an array that is
the whole message; the first object that has the member counts. ``key=value`` pairs, whose values may be quoted, are looked for
in the text around the objects.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from logsink.errors import ArgumentError
from logsink.query.columns import Mask, as_array, as_mask, one_chunk
from logsink.query.request.conditions import check_pattern
from logsink.query.request.filters import Bounds, Needles, Verdict, any_needle
from logsink.query.request.keys import Requirement, in_member

HINT = "write PATH, PATH=VALUE or one of != < <= > >= ~ !~, such as 'status>=500', user.name=ada, 'items[0].id~^x'"

Step = str | int
"""A key of an object, or an index of an array."""

_TRIES = 16
"""The most places in a message that are tried as the beginning of JSON."""

_MOST_ARRAYS = 64
"""The most arrays, one within the other, that a path goes through."""

_TOO_DEEP = '"..."'
"""The text of a value that is nested too deeply to be written."""

_STEP = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)+)"|\[(?P<index>-?[0-9]{1,9})\]|(?P<plain>[^."\[\]]+)|(?P<dot>\.)')
_TEST = re.compile(
    r'\s*(?P<not>!?)\s*(?P<path>(?:"(?:[^"\\]|\\.)*"|[^"=<>!~])+?)\s*(?:(?P<operator>!=|!~|==|=~|<=|>=|=|<|>|~)(?P<value>.*))?',
    re.DOTALL,
)
_BEGIN = re.compile(r'\{\s*["}]')
"""The beginning of an object in JSON."""

_PAIR = re.compile(
    r"""(?<![^\s=",;{}()\[\]])([^\s=",;{}()\[\]]++)=(?:"((?:[^"\\]|\\.)*)"|'([^'=]*)'|([^\s"][^\s]*|))"""
)
"""A ``key=value`` pair, with groups for the key and for a value in double quotes, in single quotes, and plain.

A key begins where a word does: when every letter was tried, one word of 40 KB (base64) took twelve seconds.
"""

_LONGEST_NUMBER: Final = 40
"""Characters of a text up to which it may read as a number."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)

_PLAIN = re.compile(r"[A-Za-z0-9_]+")
"""Characters that JSON and pairs write as they are, or JSON as an escape with ``\\u``."""

_ESCAPE = re.compile(r"\\([ntr]|\W)", re.DOTALL)
"""An escape in quotes. A backslash before another letter, a digit or ``_`` is one: ``C:\\users``."""

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}

_DECODER = json.JSONDecoder(parse_constant=str)
"""Python's own reader, which tells where a document ends. What is no JSON, ``NaN``, is text to it."""

_LONG_NUMBER = re.compile(r"[0-9]{19}")
"""In numbers of more than 64 bits, which only Python's own reader reads exactly."""

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Path:
    """The path of a member, made of its text. ``ArgumentError`` for text that names none."""

    def __init__(self, text: str) -> None:
        self.text = text.removeprefix(".")
        self.steps = tuple(_steps(self.text))

    def needles(self) -> Sequence[Needles]:
        """Return what the bytes of every message that has this member contain; JSON may write keys with escapes."""
        found = list[Needles]()
        for step in self.names():
            for part in step.split("."):
                found += _needles(part)
        return found

    def names(self) -> Sequence[str]:
        """Return the names of the path that every message with this member has as keys; a number may be an index instead."""
        return [step for step in self.steps if isinstance(step, str) and not step.isdigit()]

    def values(self, message: str) -> list[Any]:
        """Return the values of the member in a message; none when the message does not have it."""
        return self.within(*find_documents(message))

    def within(self, documents: Sequence[Any], around: str) -> list[Any]:
        """Return the values of the member in what ``find_documents`` returns for a message.

        They are those of the first document that has any, else those of the text around the documents.
        """
        for document in documents:
            if found := list(_members(document, self.steps)):
                return found
        return _pairs(around, self.steps)


class MemberTest(NamedTuple):
    """A test of one member. ``operator`` is one of ``= != < <= > >= ~ !~``, '' (the member is there) or ``!`` (it is not)."""

    path: Path
    operator: str
    value: str
    quoted: bool = False
    """Whether ``value`` was written in double quotes: then it is compared as text."""

    @classmethod
    def parse(cls, text: str) -> MemberTest:
        """Return the test that ``PATH``, ``!PATH`` or ``PATH OPERATOR VALUE`` means. ``ArgumentError`` for other text."""
        found = _TEST.fullmatch(text)
        if found is None or (found["not"] and found["operator"]):
            raise ArgumentError(f"cannot read {text!r} as a condition on JSON", hint=HINT)
        spelling = {"==": "=", "=~": "~", None: "!" if found["not"] else ""}
        how = spelling.get(found["operator"], found["operator"])
        value = (found["value"] or "").strip()
        quoted = len(value) > 1 and value[0] == value[-1] == '"' and "~" not in how
        if quoted:
            value = _unescaped(value[1:-1])
        if "~" in how:
            check_pattern(value, value, "regular expression")
        return cls(Path(found["path"]), how, value, quoted)

    def __str__(self) -> str:
        return f"{self.path.text}{self.operator}{self.value}" if self.operator != "!" else f"!{self.path.text}"

    def needles(self) -> Sequence[Needles]:
        """Return what every message that passes the test contains: see ``Condition.needles``."""
        if self.operator == "!":
            return ()
        exact = self.operator == "=" and _number(self.value) is None
        return [*self.path.needles(), *(_needles(self.value) if exact else ())]

    def index_keys(self) -> Sequence[Requirement]:
        """Return which keys of the index every message has that passes the test: see ``Condition.index_keys``.

        Only a string is certain to stand in the message as it is: JSON has many ways to write a number, an object or an array,
        and JSON inside of a string may have ``\\n`` right before ``true``.
        """
        if self.operator == "!":
            return ()
        exact = self.operator == "=" and _number(self.value) is None
        text = exact and self.value not in ("null", "true", "false") and self.value[:1] not in ("{", "[")
        return in_member([*self.path.names(), *([self.value] if text else [])])

    def mask(self, members: Sequence[list[Any]]) -> Mask:
        """Return which rows pass the test, by the values that each row has of the member: bool[n]."""
        there = np.fromiter(map(bool, members), np.bool_, len(members))
        if self.operator in ("", "!"):
            return there if not self.operator else ~there
        each = [[element for value in row for element in _elements(value)] for row in members]
        if "~" in self.operator:
            met = self._matching(each)
        elif self.operator in _ORDERS:
            met = np.fromiter((any(map(self._ordered, row)) for row in each), np.bool_, len(each))
        else:
            met = np.fromiter((any(map(self._equal, row)) for row in each), np.bool_, len(each))
        return there & ~met if self.operator.startswith("!") else met

    def _matching(self, each: Sequence[list[Any]]) -> Mask:
        row_of = np.repeat(np.arange(len(each)), [len(row) for row in each])
        texts = pa.array([as_text(value) for row in each for value in row], pa.string())
        met = np.zeros(len(each), np.bool_)
        met[row_of[as_mask(pc.match_substring_regex(texts, self.value))]] = True
        return met

    def _equal(self, value: Any) -> bool:
        if as_text(value) == self.value:
            return True
        left, right = (None, None) if self.quoted else (_number(value), _number(self.value))
        return left is not None and left == right

    def _ordered(self, value: Any) -> bool:
        if value is None or isinstance(value, bool):
            return False
        left, right = (None, None) if self.quoted else (_number(value), _number(self.value))
        if (left is None) != (right is None):
            return False
        if left is None:
            return _ORDERS[self.operator](as_text(value), self.value)
        return _ORDERS[self.operator](left, right)


class Members:
    """The value is a message whose members pass all of ``tests``; each message that may pass them is parsed once."""

    column = "message"

    def __init__(self, tests: Sequence[MemberTest]) -> None:
        self.tests = tuple(tests)

    def __str__(self) -> str:
        return f"{self.column} has {' and '.join(map(str, self.tests))}"

    def mask(self, values: pa.Array) -> Mask:
        found = np.asarray(values.is_valid())
        for needles in self.needles():
            found &= as_mask(pc.match_substring_regex(values, any_needle(needles)))
        messages = values.filter(as_array(found)).to_pylist()
        members = _values_by_path([test.path for test in self.tests], messages)
        met = np.ones(len(messages), np.bool_)
        for test, column in zip(self.tests, members, strict=True):
            met &= test.mask(column)
        found[found] = met
        return found

    def verdict(self, bounds: Bounds) -> Verdict:
        return Verdict.SOME

    def needles(self) -> Sequence[Needles]:
        return [needles for test in self.tests for needles in test.needles()]

    def index_keys(self) -> Sequence[Requirement]:
        return [requirement for test in self.tests for requirement in test.index_keys()]


def is_member(name: str) -> bool:
    """Return whether the name of a column is that of a member, which begins with a dot."""
    return name.startswith(".") and len(name) > 1


def source_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the archive that these columns are made of, each once."""
    return tuple(dict.fromkeys("message" if is_member(name) else name for name in names))


def add_member_columns(rows: pa.Table, names: Sequence[str], *, as_json: bool = False) -> pa.Table:
    """Return ``rows`` with a column for each of ``names`` that is a member; null where a message does not have it.

    Values are text, or JSON with ``as_json``. Where a path goes through an array, the value is that of its first element.
    """
    members = [name for name in dict.fromkeys(names) if is_member(name)]
    if not members:
        return rows
    paths = [Path(name) for name in members]
    messages = one_chunk(rows.column("message"))
    parsed = np.asarray(messages.is_valid())
    if len(paths) == 1:
        for needles in paths[0].needles():
            parsed &= as_mask(pc.match_substring_regex(messages, any_needle(needles)))
    columns = _values_by_path(paths, messages.filter(as_array(parsed)).to_pylist())
    show = _as_json if as_json else as_text
    for name, column in zip(members, columns, strict=True):
        values = np.full(rows.num_rows, None, object)
        values[parsed] = [show(found[0]) if found else None for found in column]
        rows = rows.append_column(name, pa.array(values.tolist(), pa.string()))
    return rows


def find_documents(message: str) -> tuple[list[Any], str]:
    """Return the JSON documents in a message, and the text around them."""
    text = message.strip()
    if text[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            return [_loads(text)], ""
    found, around, at = list[Any](), list[str](), 0
    tries = 0
    for place in _BEGIN.finditer(text):
        begin = place.start()
        if begin < at:  # within a document that was read
            continue
        if tries == _TRIES:
            break
        tries += 1
        with suppress(ValueError, RecursionError):
            document, end = _DECODER.raw_decode(text, begin)
            found.append(document)
            around.append(text[at:begin])
            at = end
    return found, " ".join((*around, text[at:]))


def _loads(text: str) -> Any:
    """Return the document that a text is. ``ValueError`` for other text; ``RecursionError`` when it is nested too deeply."""
    return _DECODER.decode(text) if _LONG_NUMBER.search(text) else orjson.loads(text)


def as_text(value: Any) -> str:
    """Return a value as it is compared and shown: a string as it is, anything else as JSON."""
    return _encodable(value) if isinstance(value, str) else _as_json(value)


def numbers_of(column: pa.Array) -> pa.Array:
    """Return numbers, and the numbers that texts read as, as float64; null for everything else."""
    if pa.types.is_integer(column.type):
        return column.cast(pa.float64())
    found = np.full(len(column), np.nan)
    if pa.types.is_string(column.type):
        read = as_mask(pc.match_substring_regex(column, rf"\A(?:{_NUMBER.pattern})\z"))
        read &= as_mask(pc.less_equal(pc.utf8_length(column), _LONGEST_NUMBER))
        found[read] = [float(text) for text in column.filter(as_array(read)).to_pylist()]
    return pc.if_else(pc.is_nan(as_array(found)), None, as_array(found))


def _values_by_path(paths: Sequence[Path], messages: Sequence[str]) -> list[list[list[Any]]]:
    """Return for each path the values that each message has of its member."""
    columns: list[list[list[Any]]] = [[] for _ in paths]
    for message in messages:
        documents, around = find_documents(message)
        for path, column in zip(paths, columns, strict=True):
            column.append(path.within(documents, around))
    return columns


def _members(value: Any, steps: tuple[Step, ...], arrays: int = 0) -> Iterator[Any]:
    """Yield the values at ``steps`` below ``value``; the path has gone through so many ``arrays`` to reach it."""
    if not steps:
        yield value
        return
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):  # JSON inside of a string
        try:
            value = _loads(value)
        except (ValueError, RecursionError):
            return
    if isinstance(value, list):
        first = steps[0]
        index = first if isinstance(first, int) else int(first) if first.isascii() and first.isdigit() else None
        if index is not None:
            if -len(value) <= index < len(value):
                yield from _members(value[index], steps[1:])
        elif arrays < _MOST_ARRAYS:
            for element in value:
                yield from _members(element, steps, arrays + 1)
    elif isinstance(value, dict):
        # A key may contain dots itself, so that it takes several steps of the path: try each number of steps.
        keys = next((count for count, step in enumerate(steps) if not isinstance(step, str)), len(steps))
        for count in range(1, keys + 1):
            key = ".".join(map(str, steps[:count])) if count > 1 else steps[0]
            if key in value:
                yield from _members(value[key], steps[count:])


def _pairs(text: str, steps: tuple[Step, ...]) -> list[Any]:
    """Return the values of a key in ``key=value`` text; the key is the steps joined by dots."""
    key = ".".join(map(str, steps))
    if f"{key}=" not in text:
        return []
    return [_pair_value(found) for found in _PAIR.finditer(text) if found[1] == key]


def _pair_value(found: re.Match[str]) -> str:
    _, double, single, plain = found.groups()
    if double is not None:
        return _unescaped(double)
    return single if single is not None else plain.rstrip(",;")


def _elements(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) and value else [value]


def _number(value: Any) -> int | float | None:
    """Return a number, or the number that a text reads as; None for other values."""
    if isinstance(value, int | float):
        return None if isinstance(value, bool) else value
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER or not _NUMBER.fullmatch(value):
        return None
    return int(value) if value.lstrip("+-").isdigit() else float(value)


def _as_json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except (
        TypeError,
        ValueError,
    ):  # lone surrogates, numbers that only Python's own reader takes, or 255 levels and more
        try:
            return _encodable(json.dumps(value, separators=(",", ":")))
        except RecursionError:
            return _TOO_DEEP


def _encodable(text: str) -> str:
    """Return a text with its lone surrogates, which UTF-8 cannot encode, replaced."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), text) if "\\" in text else text


def _needles(text: str) -> Sequence[Needles]:
    """Return needles: the longest run of ``text`` that JSON writes as it is, or an escape that may stand for part of it."""
    run = max(_PLAIN.findall(text), key=len, default="")
    return [[run.encode(), b"\\u"]] if run else ()


def _steps(text: str) -> Iterator[Step]:
    """Yield the steps of a path. ``ArgumentError`` for text that is none: two dots in a row, or a dot at an end."""
    at, behind_dot = 0, True
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or (found.lastgroup == "dot" and (behind_dot or found.end() == len(text))):
            break
        if found.lastgroup == "index":
            yield int(found["index"])
        elif found.lastgroup != "dot":
            yield _unescaped(found["quoted"]) if found["quoted"] else found["plain"].strip()
        behind_dot, at = found.lastgroup == "dot", found.end()
    if not text or at < len(text):
        raise ArgumentError(f"cannot read {text!r} as the path of a member", hint="write user.name or items[0].id")
