"""The kinds of conditions on the values of a column. A null value meets none of them but ``Not`` and ``ExactlyOneOf``.

``str`` describes a condition to people, for ``--explain``. Making one of a glob or pattern that cannot be used raises
``ArgumentError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.errors import ArgumentError
from logsink.flags import names
from logsink.index import TEXT_COLUMNS
from logsink.query.columns import Int64, Mask, as_mask, mapped
from logsink.query.request.filters import Bounds, Condition, Needles, Verdict
from logsink.query.request.globs import can_match_between, escape, glob_to_regex, literal_prefix
from logsink.query.request.keys import Keys, Requirement, edged, one_of, required, words
from logsink.query.request.literals import Runs, literals, runs


class Between(NamedTuple):
    """The value is a number or instant in ``[low, high)``; None leaves that end open."""

    column: str
    low: int | None
    high: int | None

    def __str__(self) -> str:
        low, high = (
            None if end is None else instant_text(end) if self.column == "time" else end
            for end in (self.low, self.high)
        )
        return " and ".join(
            [
                *([f"{self.column} from {low}"] if low is not None else []),
                *([f"{self.column} before {high}"] if high is not None else []),
            ]
        )

    def mask(self, values: pa.Array) -> Mask:
        numbers = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
        plain = numbers.fill_null(0).to_numpy(zero_copy_only=False)
        found = np.ones(len(plain), np.bool_)
        if values.null_count:
            found = ~np.asarray(values.is_null())
        if self.low is not None:
            found &= plain >= self.low
        if self.high is not None:
            found &= plain < self.high
        return found

    def verdict(self, bounds: Bounds) -> Verdict:
        low, high, nulls = bounds
        if (self.low is not None and high is not None and high < self.low) or (
            self.high is not None and low is not None and low >= self.high
        ):
            return Verdict.NONE
        within_low = self.low is None or (low is not None and low >= self.low)
        within_high = self.high is None or (high is not None and high < self.high)
        return Verdict.ALL if within_low and within_high and nulls == 0 else Verdict.SOME

    def needles(self) -> Sequence[Needles]:
        return ()

    def index_keys(self) -> Sequence[Requirement]:
        return ()


class InSpans(NamedTuple):
    """The value is a number or instant in one of several spans ``[lows[i], highs[i]]``.

    The spans are in order, and none touches the next one: make the condition with ``of``.
    """

    column: str
    lows: Int64
    highs: Int64

    @classmethod
    def of(cls, column: str, lows: Int64, highs: Int64) -> InSpans:
        """Return the condition for any spans, at least one, in any order; those that overlap become one."""
        order = np.argsort(lows, kind="stable")
        lows, reached = lows[order], np.maximum.accumulate(highs[order])
        begins = np.flatnonzero(np.append(True, lows[1:] > reached[:-1]))
        return cls(column, lows[begins], reached[np.append(begins[1:], len(lows)) - 1])

    def mask(self, values: pa.Array) -> Mask:
        numbers = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
        plain = numbers.fill_null(0).to_numpy(zero_copy_only=False)
        span = np.searchsorted(self.lows, plain, "right") - 1
        found: Mask = (span >= 0) & (plain <= self.highs[np.maximum(span, 0)])
        return found if not values.null_count else found & ~np.asarray(values.is_null())

    def verdict(self, bounds: Bounds) -> Verdict:
        low, high, nulls = bounds
        if low is None or high is None:
            return Verdict.SOME
        span = int(np.searchsorted(self.highs, low))
        if span == len(self.lows) or self.lows[span] > high:
            return Verdict.NONE
        return Verdict.ALL if self.lows[span] <= low and high <= self.highs[span] and nulls == 0 else Verdict.SOME

    def needles(self) -> Sequence[Needles]:
        return ()

    def index_keys(self) -> Sequence[Requirement]:
        return ()


class ExactlyOneOf(NamedTuple):
    """The value is one of ``values``, which are no globs; None stands for null."""

    column: str
    values: tuple[str | None, ...]

    def mask(self, values: pa.Array) -> Mask:
        known = pa.array(self.values, pa.string()).drop_null()
        found = mapped(values, lambda plain: pc.is_in(plain, value_set=known))
        return found | np.asarray(values.is_null()) if None in self.values else found

    def verdict(self, bounds: Bounds) -> Verdict:
        low, high, nulls = bounds
        if not isinstance(low, str) or not isinstance(high, str) or (None in self.values and nulls != 0):
            return Verdict.SOME
        return (
            Verdict.SOME if any(value is not None and low <= value <= high for value in self.values) else Verdict.NONE
        )

    def needles(self) -> Sequence[Needles]:
        return () if None in self.values else _as_needles([value for value in self.values if value is not None])

    def index_keys(self) -> Sequence[Requirement]:
        known = [value for value in self.values if value is not None]
        return one_of(self.column, known) if len(known) == len(self.values) else ()


class OneOf:
    """The value is a string that one of ``globs`` matches (see ``request.globs``)."""

    def __init__(self, column: str, globs: tuple[str, ...]) -> None:
        for glob in globs:
            check_pattern(glob, glob_to_regex(glob), "glob")
        self.column, self.globs = column, globs
        self._pattern = r"(?s)\A(?:" + "|".join(map(glob_to_regex, globs)) + r")\z"
        literal = all(literal_prefix(glob) == glob for glob in globs)
        self._literals = pa.array(globs, pa.string()) if literal else None

    @property
    def expression(self) -> str:
        """The RE2 expression that has a match in a value that one of the globs matches."""
        return self._pattern

    def __str__(self) -> str:
        return f"{self.column} is {' or '.join(self.globs)}"

    def mask(self, values: pa.Array) -> Mask:
        return mapped(values, self._matches)

    def verdict(self, bounds: Bounds) -> Verdict:
        low, high, nulls = bounds
        if not isinstance(low, str) or not isinstance(high, str):
            return Verdict.SOME
        if low == high:
            matched = bool(as_mask(self._matches(pa.array([low])))[0])
            return Verdict.NONE if not matched else Verdict.ALL if nulls == 0 else Verdict.SOME
        return Verdict.SOME if any(can_match_between(glob, low, high) for glob in self.globs) else Verdict.NONE

    def needles(self) -> Sequence[Needles]:
        return _as_needles(self.globs) if self._literals is not None else ()

    def index_keys(self) -> Sequence[Requirement]:
        return one_of(self.column, self.globs) if self._literals is not None else ()

    def _matches(self, values: pa.Array) -> pa.Array:
        if self._literals is not None:
            return pc.is_in(values, value_set=self._literals)
        return pc.match_substring_regex(values, self._pattern)


_GAP = r"[^\pL\pN_]"
"""A character that is no part of a word; RE2's ``\\b`` knows the words of ASCII alone."""


class Holds:
    """The value is a string that holds a match of one of ``patterns``, anywhere.

    ``patterns`` are text, or with ``regex`` expressions of RE2. With ``ignore_case`` letters match in either case, for all of
    Unicode; with ``words`` a match is no part of a longer word.
    """

    def __init__(
        self,
        column: str,
        patterns: tuple[str, ...],
        regex: bool = False,
        ignore_case: bool = False,
        words: bool = False,
    ) -> None:
        self.column, self.patterns = column, patterns
        self.regex, self.ignore_case, self.words = regex, ignore_case, words
        parts = patterns if regex else tuple(map(escape, patterns))
        for pattern, part in zip(patterns, parts, strict=True):
            check_pattern(pattern, part, "regular expression" if regex else "pattern")
        parts = self._parts = tuple(map(_closed, parts))
        if words:
            parts = tuple(rf"(?:\A|{_GAP})(?:{part})(?:{_GAP}|\z)" for part in parts)
        joined = parts[0] if len(parts) == 1 else "|".join(f"(?:{part})" for part in parts)
        self._pattern = f"(?i:{joined})" if ignore_case else joined
        check_pattern(" ".join(patterns), self._pattern, "patterns")

    @property
    def expression(self) -> str:
        """The RE2 expression that has a match in a value that meets the condition."""
        return self._pattern

    @property
    def matched(self) -> str:
        """An RE2 expression for the text that matches, to highlight it; with ``words``, words are those of ASCII."""
        joined = "|".join(rf"\b(?:{part})\b" if self.words else f"(?:{part})" for part in self._parts)
        return f"(?i:{joined})" if self.ignore_case else joined

    def __str__(self) -> str:
        how = [("regular expression", self.regex), ("whole words", self.words), ("in any case", self.ignore_case)]
        said = ", ".join(name for name, so in how if so)
        return f"{self.column} holds {' or '.join(map(repr, self.patterns))}{f' ({said})' if said else ''}"

    def mask(self, values: pa.Array) -> Mask:
        return mapped(values, lambda plain: pc.match_substring_regex(plain, self._pattern))

    def verdict(self, bounds: Bounds) -> Verdict:
        return Verdict.SOME

    def needles(self) -> Sequence[Needles]:
        if self.ignore_case:
            return ()
        if not self.regex:
            return _as_needles(self.patterns)
        held = [literals(pattern) for pattern in self.patterns]
        if len(held) == 1:
            return [needles for text in held[0] for needles in _as_needles([text])]
        return _as_needles([max(texts, key=len, default="") for texts in held])

    def index_keys(self) -> Sequence[Requirement]:
        if self.column not in TEXT_COLUMNS:
            return ()
        found = [
            alternative
            for pattern in self.patterns
            for alternative in (runs(pattern) if self.regex else [Runs([pattern], False)])
        ]
        return required([self._words(alternative) for alternative in found])

    def _words(self, found: Runs) -> Keys:
        texts = edged(found.texts) if self.words else found.texts
        return words(texts, ignore_case=self.ignore_case or found.ignore_case)


class OneOfNumbers(NamedTuple):
    """The value is one of ``numbers``."""

    column: str
    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.column} is {' or '.join(map(str, self.numbers))}"

    def mask(self, values: pa.Array) -> Mask:
        return as_mask(pc.is_in(values, value_set=pa.array(self.numbers, values.type)))

    def verdict(self, bounds: Bounds) -> Verdict:
        low, high, nulls = bounds
        if low is None or high is None:
            return Verdict.SOME
        if not any(low <= number <= high for number in self.numbers):
            return Verdict.NONE
        return Verdict.ALL if low == high and nulls == 0 else Verdict.SOME

    def needles(self) -> Sequence[Needles]:
        return ()

    def index_keys(self) -> Sequence[Requirement]:
        return ()


class Flagged(NamedTuple):
    """The value is a number that has all of these ``bits``: flags (``logsink.flags``)."""

    column: str
    bits: int

    def __str__(self) -> str:
        return f"{self.column} hold {' '.join(names(self.bits))}"

    def mask(self, values: pa.Array) -> Mask:
        numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
        found: Mask = numbers & self.bits == self.bits
        return found

    def verdict(self, bounds: Bounds) -> Verdict:
        return Verdict.NONE if bounds.high is not None and bounds.high < self.bits else Verdict.SOME

    def needles(self) -> Sequence[Needles]:
        return ()

    def index_keys(self) -> Sequence[Requirement]:
        return ()


class Not(NamedTuple):
    """The value does not meet ``condition``; a null value does not, either."""

    condition: Condition

    def __str__(self) -> str:
        return f"not: {self.condition}"

    @property
    def column(self) -> str:
        return self.condition.column

    def mask(self, values: pa.Array) -> Mask:
        return ~self.condition.mask(values)

    def verdict(self, bounds: Bounds) -> Verdict:
        opposite = {Verdict.NONE: Verdict.ALL, Verdict.ALL: Verdict.NONE, Verdict.SOME: Verdict.SOME}
        return opposite[self.condition.verdict(bounds)]

    def needles(self) -> Sequence[Needles]:
        return ()

    def index_keys(self) -> Sequence[Requirement]:
        return ()


def _closed(expression: str) -> str:
    r"""Return an expression that RE2 takes, with an end for the text that it may leave open at its own (``\Qa.b``)."""
    if r"\Q" not in expression:
        return expression
    try:
        check_pattern(expression, f"(?:{expression})", "regular expression")
    except ArgumentError:
        return expression + r"\E"
    return expression


def instant_text(microseconds: int) -> str:
    """Return an instant, in microseconds since the epoch, as descriptions show it."""
    return str(np.datetime64(microseconds, "us")) + "Z"


def _as_needles(texts: Sequence[str]) -> Sequence[Needles]:
    """Return the needles of values that hold one of ``texts``.

    There are none where a text is empty, or has U+FFFD, which may stand for any bytes of the frame.
    """
    if any(not text or "\ufffd" in text for text in texts):
        return ()
    return [[text.encode() for text in texts]]


_HINT = r"write a backslash before . ( [ { | * + ? ^ $ where it is text, as in \("
_HINTS = {
    "invalid perl operator": "RE2 has no lookaround, such as (?=...) and (?!...); -v excludes messages",
    "invalid escape sequence": r"RE2 has \d \w \s \b and \ before a character that is text, but no backreferences",
    "invalid repetition size": "RE2 repeats at most 1000 times, nested repetitions together",
}
"""Beginning of RE2's reason to refuse a regular expression -> what to do; for others, ``_HINT``."""


def check_pattern(shown: str, pattern: str, kind: str) -> None:
    """Raise ``ArgumentError`` when RE2 refuses ``pattern``, which is of this ``kind`` and was written as ``shown``."""
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        raise ArgumentError(f"cannot use {kind} {shown!r}: {reason}", hint=_pattern_hint(kind, reason)) from error
    except UnicodeEncodeError as error:
        raise ArgumentError(f"cannot use {kind} {shown!r}: not UTF-8", hint="write it in UTF-8") from error


def _pattern_hint(kind: str, reason: str) -> str:
    """Return what to do about RE2's ``reason`` to refuse a pattern of this ``kind``."""
    if reason.startswith("invalid character class range"):
        return "the character that comes first is written first, as in [a-z]"
    return next((hint for begin, hint in _HINTS.items() if reason.startswith(begin)), _HINT) if kind != "glob" else ""
