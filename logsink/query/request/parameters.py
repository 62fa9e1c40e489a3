"""Conditions on the parameters of structured data (RFC 5424, 6.3): ``Parameter``.

Structured data is read here as the receiver reads it, and as devices send it: in quotes, a backslash hides ``"``, ``]`` and
itself, and stands for itself before anything else, and ``]`` needs none; a value may stand without quotes, as VMware sends it.
What looks like a parameter within the value of another one is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logsink.errors import ArgumentError
from logsink.index import TEXT_COLUMNS
from logsink.query.columns import Mask, as_array, as_mask, mapped
from logsink.query.request.conditions import check_pattern
from logsink.query.request.filters import Bounds, Needles, Verdict
from logsink.query.request.globs import escape, glob_to_regex, literal_texts
from logsink.query.request.keys import Requirement, edged, required, words

_NAME: Final = r'[^ =\]"]+'
"""An SD-NAME as an expression (RFC 5424, 6.3)."""

_QUOTED: Final = r'"((?:[^"\\]|\\.)*)"'

_PART: Final = re.compile(rf'\[ *({_NAME})|(?<= )({_NAME})=(?:{_QUOTED}|([^ \]"][^ \]]*|))|{_QUOTED}', re.DOTALL)
"""The beginning of an element, with its SD-ID; a parameter, with its name and its value in quotes or without; other quotes."""

_ESCAPE: Final = re.compile(r'\\(["\\\]])')


def parameters(structured_data: str) -> Iterator[tuple[str, str, str]]:
    """Yield the SD-ID, the name and the value of each parameter, in order."""
    element = ""
    for part in _PART.finditer(structured_data):
        begun, name, quoted, plain, _ = part.groups()
        if begun is not None:
            element = begun
        elif name is not None and element:
            yield element, name, plain if quoted is None else _ESCAPE.sub(r"\1", quoted)


class Parameter:
    """The value is structured data with a parameter ``name`` whose value the glob ``value`` matches.

    ``name`` is ``KEY`` or ``ID.KEY``; ID is an SD-ID, with or without its enterprise number.
    """

    def __init__(self, name: str, value: str, column: str = "structured_data") -> None:
        self.name, self.value, self.column = name, value, column
        self._element, _, key = name.rpartition(".")
        self._key = key or name
        self._glob = rf"(?s)\A{glob_to_regex(value)}\z"
        check_pattern(f"{name}={value}", self._glob, "parameter")
        self._hint = f"(?s){escape(self._key)}=.*{escape(max(self.literals(), key=len))}"

    @classmethod
    def parse(cls, text: str) -> Parameter:
        """Return the condition that ``[ID.]KEY=GLOB`` means. ``ArgumentError`` for other text."""
        name, equals, value = text.partition("=")
        if not (name and equals):
            hint = "write [ID.]KEY=VALUE, such as request=4711 or meta.user='ro*'"
            raise ArgumentError(f"cannot read {text!r} as a parameter of structured data", hint=hint)
        return cls(name, value)

    def __str__(self) -> str:
        return f"{self.column} has {self.name}={self.value}"

    def mask(self, values: pa.Array) -> Mask:
        return mapped(values, lambda plain: as_array(self._matching(plain)))

    def verdict(self, bounds: Bounds) -> Verdict:
        return Verdict.SOME

    def needles(self) -> Sequence[Needles]:
        return ()

    def index_keys(self) -> Sequence[Requirement]:
        if self.column not in TEXT_COLUMNS:
            return ()
        texts = [*edged([self.name]), *edged(literal_texts(self.value))]
        return required([words(texts)])

    def literals(self) -> list[str]:
        """Return the parts of the value that stand in structured data as they are, whether it is in quotes or not."""
        return [part for text in literal_texts(self.value) for part in re.split(r'["\\\]]', text)]

    def _matching(self, plain: pa.Array) -> Mask:
        """Return which values have the parameter. Only those that may have it are read."""
        mask = as_mask(pc.match_substring_regex(plain, self._hint))
        (rows,) = np.nonzero(mask)
        row_of, found = list[int](), list[str]()
        for row, text in zip(rows.tolist(), plain.filter(as_array(mask)).to_pylist(), strict=True):
            for element, name, value in parameters(text):
                if self._is_named(element, name):
                    row_of.append(row)
                    found.append(value)
        mask[:] = False
        mask[
            np.array(row_of, np.int64)[as_mask(pc.match_substring_regex(pa.array(found, pa.string()), self._glob))]
        ] = True
        return mask

    def _is_named(self, element: str, name: str) -> bool:
        """Return whether the parameter ``name`` of an element is meant."""
        if name == self.name:
            return True
        if name != self._key or not self._element:
            return False
        return element == self._element or re.fullmatch(re.escape(self._element) + "@[0-9.]+", element) is not None
