"""Members of messages that are JSON or logfmt: conditions on them, and columns made of them, when a query runs.

A member is named by a path: ``user.name``, ``items[0].id``, ``.status``; a name with dots or operators stands in double quotes.
A dot goes into an object; a key that holds the dots itself (``{"user.name": ...}``) is found as well, and so is JSON inside of
a string. A path through an array, or to one, means each of its elements.

The JSON of a message is its objects, wherever they begin (``@cee: {...}``, ``INFO request done {...}``), or an array that is
the whole message; the first that has the member counts. ``key=value`` pairs, whose values may be quoted, are looked for in the
text around them.
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

HINT = "write PATH, PATH=VALUE or one of != < <= > >= ~ !~, such as 'status>=500', user.name=ada, 'items[0].id~^x'"

Step = str | int
"""A key of an object, or an index of an array."""

_TRIES = 16
"""Places in a message where JSON may begin that are tried."""

_DEEPEST = 64
"""Arrays within arrays that a path goes through."""

_TOO_DEEP = '"..."'
"""What stands for a value that is nested too deeply to be written."""

_STEP = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)+)"|\[(?P<index>-?[0-9]{1,9})\]|(?P<plain>[^."\[\]]+)|(?P<dot>\.)')
_TEST = re.compile(
    r'\s*(?P<not>!?)\s*(?P<path>(?:"(?:[^"\\]|\\.)*"|[^"=<>!~])+?)\s*(?:(?P<operator>!=|!~|==|=~|<=|>=|=|<|>|~)(?P<value>.*))?',
    re.DOTALL,
)
_BEGIN = re.compile(r'\{\s*["}]')
_PAIR = (
    re.compile(  # a key begins where a word does: tried at each letter, one word of 40 KB (base64) took twelve seconds
        r"""(?<![^\s=",;{}()\[\]])([^\s=",;{}()\[\]]++)=(?:"((?:[^"\\]|\\.)*)"|'([^'=]*)'|([^\s"][^\s]*|))"""
    )
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9_ -]+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
_DECODER = json.JSONDecoder()
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Path:
    """Where a member is. ``ArgumentError`` for text that names none."""

    def __init__(self, text: str) -> None:
        self.text = text.removeprefix(".")
        self.steps = tuple(_steps(self.text))

    def needles(self) -> Sequence[Needles]:
        """What the bytes of a message that has this member hold; keys of JSON may be written with escapes."""
        found = list[Needles]()
        for step in self.steps:
            for part in step.split(".") if isinstance(step, str) else ():
                found += _needles(part)
        return found

    def values(self, message: str) -> list[Any]:
        """The values that the message has there; none when it has no such member."""
        return self.within(*find_documents(message))

    def within(self, documents: Sequence[Any], around: str) -> list[Any]:
        """The values in what ``find_documents`` makes of a message: of the first document that has any, else of the text."""
        for document in documents:
            if found := list(_members(document, self.steps)):
                return found
        return _pairs(around, self.steps)


class MemberTest(NamedTuple):
    """What one member must be. ``operator`` is '' where it must only be there."""

    path: Path
    operator: str
    value: str
    quoted: bool = False
    """Whether ``value`` was written in double quotes: then it is text."""

    @classmethod
    def parse(cls, text: str) -> MemberTest:
        """Of ``PATH`` or ``PATH OPERATOR VALUE``. ``ArgumentError``."""
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
        """As of a condition."""
        if self.operator == "!":
            return ()
        exact = self.operator == "=" and _number(self.value) is None
        return [*self.path.needles(), *(_needles(self.value) if exact else ())]

    def mask(self, members: Sequence[list[Any]]) -> Mask:
        """Which rows meet it, of each of which the values of the member are given: bool[n]."""
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
    """Messages whose members meet all of ``tests``; each message that can meet them is parsed once."""

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
        members = _every([test.path for test in self.tests], messages)
        met = np.ones(len(messages), np.bool_)
        for test, column in zip(self.tests, members, strict=True):
            met &= test.mask(column)
        found[found] = met
        return found

    def verdict(self, bounds: Bounds) -> Verdict:
        return Verdict.SOME

    def needles(self) -> Sequence[Needles]:
        return [needles for test in self.tests for needles in test.needles()]


def is_member(name: str) -> bool:
    """Whether the name of a column is that of a member: it begins with a dot."""
    return name.startswith(".") and len(name) > 1


def source_columns(names: Sequence[str]) -> tuple[str, ...]:
    """The columns of the archive that these columns are made of, each once."""
    return tuple(dict.fromkeys("message" if is_member(name) else name for name in names))


def add_member_columns(rows: pa.Table, names: Sequence[str], *, as_json: bool = False) -> pa.Table:
    """``rows`` with a column for each of ``names`` that is a member; null where a message does not have it.

    Its values are text, or JSON with ``as_json``; of several (in an array that the path goes through) the first.
    """
    wanted = [name for name in dict.fromkeys(names) if is_member(name)]
    if not wanted:
        return rows
    paths = [Path(name) for name in wanted]
    messages = one_chunk(rows.column("message"))
    there = np.asarray(messages.is_valid())
    if len(paths) == 1:
        for needles in paths[0].needles():
            there &= as_mask(pc.match_substring_regex(messages, any_needle(needles)))
    members = _every(paths, messages.filter(as_array(there)).to_pylist())
    show = _as_json if as_json else as_text
    for name, column in zip(wanted, members, strict=True):
        values = np.full(rows.num_rows, None, object)
        values[there] = [show(found[0]) if found else None for found in column]
        rows = rows.append_column(name, pa.array(values.tolist(), pa.string()))
    return rows


def find_documents(message: str) -> tuple[list[Any], str]:
    """The JSON documents in a message, and the text around them."""
    text = message.strip()
    if text[:1] in ("{", "["):
        try:
            return [orjson.loads(text)], ""
        except ValueError:
            pass
    found, around, at = list[Any](), list[str](), 0
    for count, place in enumerate(_BEGIN.finditer(text)):
        begin = place.start()
        if count == _TRIES:
            break
        if begin >= at:
            with suppress(ValueError, RecursionError):
                document, end = _DECODER.raw_decode(text, begin)
                found.append(document)
                around.append(text[at:begin])
                at = end
    return found, " ".join((*around, text[at:]))


def as_text(value: Any) -> str:
    """A value as it is compared and shown: strings as they are, all else as JSON writes it."""
    return _whole(value) if isinstance(value, str) else _as_json(value)


def number_first(value: Any) -> tuple[bool, Any]:
    """A key that sorts numbers, and text that reads as one, before other text."""
    number = _number(value)
    return number is None, value if number is None else number


def _every(paths: Sequence[Path], messages: Sequence[str]) -> list[list[list[Any]]]:
    """For each path the values that each message has there."""
    columns: list[list[list[Any]]] = [[] for _ in paths]
    for message in messages:
        documents, around = find_documents(message)
        for path, column in zip(paths, columns, strict=True):
            column.append(path.within(documents, around))
    return columns


def _members(value: Any, steps: tuple[Step, ...], arrays: int = 0) -> Iterator[Any]:
    """Yield the values at ``steps`` below ``value``, which stands in so many ``arrays``."""
    if not steps:
        yield value
        return
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = orjson.loads(value)
        except ValueError:
            return
    if isinstance(value, list):
        first = steps[0]
        index = first if isinstance(first, int) else int(first) if first.isascii() and first.isdigit() else None
        if index is not None:
            if -len(value) <= index < len(value):
                yield from _members(value[index], steps[1:])
        elif arrays < _DEEPEST:
            for element in value:
                yield from _members(element, steps, arrays + 1)
    elif isinstance(value, dict):
        keys = next((count for count, step in enumerate(steps) if not isinstance(step, str)), len(steps))
        for count in range(1, keys + 1):
            key = ".".join(map(str, steps[:count])) if count > 1 else steps[0]
            if key in value:
                yield from _members(value[key], steps[count:])


def _pairs(text: str, steps: tuple[Step, ...]) -> list[Any]:
    """The values of a key in ``key=value`` text."""
    key = ".".join(map(str, steps))
    if f"{key}=" not in text:
        return []
    return [_of_pair(found) for found in _PAIR.finditer(text) if found[1] == key]


def _of_pair(found: re.Match[str]) -> str:
    _, double, single, plain = found.groups()
    if double is not None:
        return _unescaped(double)
    return single if single is not None else plain.rstrip(",;")


def _elements(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) and value else [value]


def _number(value: Any) -> int | float | None:
    """A number, or text that reads as one."""
    if isinstance(value, int | float):
        return None if isinstance(value, bool) else value
    if not isinstance(value, str) or len(value) > 40 or not _NUMBER.fullmatch(value):
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
            return _whole(json.dumps(value, separators=(",", ":")))
        except RecursionError:
            return _TOO_DEEP


def _whole(text: str) -> str:
    """The text without lone surrogates, which UTF-8 does not have."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), text) if "\\" in text else text


def _needles(text: str) -> Sequence[Needles]:
    """The longest run of ``text`` that JSON writes as it is, or an escape (``\\u0061``) that may stand for a part of it."""
    run = max(_PLAIN.findall(text), key=len, default="")
    return [[run.encode(), b"\\u"]] if run else ()


def _steps(text: str) -> Iterator[Step]:
    at, fresh = 0, True
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or (found.lastgroup == "dot" and (fresh or found.end() == len(text))):
            break
        if found.lastgroup == "index":
            yield int(found["index"])
        elif found.lastgroup != "dot":
            yield _unescaped(found["quoted"]) if found["quoted"] else found["plain"].strip()
        fresh, at = found.lastgroup == "dot", found.end()
    if not text or at < len(text):
        raise ArgumentError(f"cannot read {text!r} as the path of a member", hint="write user.name or items[0].id")
