"""Fragments of lines: Arrow arrays with one string a row, which are joined to lines without a Python object for a row.

What a dictionary holds is escaped and wrapped once for each of its entries, not once a row.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from logsink.flags import names
from logsink.query.columns import one_chunk
from logsink.query.request import FACILITIES, SEVERITIES

_NAMES = {"severity": SEVERITIES, "facility": FACILITIES}


def joined(first: pa.Array, *others: pa.Array | str | bytes) -> pa.Array:
    """Return the fragments of each row one after the other; null ones are left out. A string stands in every row."""
    kind = first.type
    parts = [pa.scalar(part, kind) if isinstance(part, str | bytes) else part for part in others]
    empty = b"" if pa.types.is_binary(kind) else ""
    return pc.binary_join_element_wise(
        first, *parts, pa.scalar(empty, kind), null_handling="replace", null_replacement=empty
    )


def wrapped(
    column: pa.Array,
    escape: Callable[[pa.Array], pa.Array],
    before: str = "",
    after: str = "",
    *,
    spaced: pa.Array | None = None,
) -> pa.Array:
    """Return ``before + escape(value) + after`` for each value, null for null; with a space before it where ``spaced``."""
    if pa.types.is_dictionary(column.type):
        if len(column.dictionary) > len(column):
            column = column.dictionary_decode().dictionary_encode()
        fragments = wrapped(column.dictionary, escape, before, after).take(column.indices)
    else:
        values = escape(column)
        fragments = pc.binary_join_element_wise(before, values, after, "") if before or after else values
    if spaced is None or not pc.any(pc.and_(spaced, fragments.is_valid())).as_py():
        return fragments
    return pc.if_else(spaced, pc.binary_join_element_wise(" ", fragments, ""), fragments)


def unchanged(values: pa.Array) -> pa.Array:
    """Return the values themselves, where ``wrapped`` asks for an escaper."""
    return values


def as_text(column: pa.Array, name: str) -> pa.Array:
    """Return the values of the column ``name`` as strings: names of severities, facilities and flags, Base64 of bytes."""
    if name == "flags":
        coded = column.dictionary_encode()
        flags = [" ".join(names(value)) or None for value in coded.dictionary.to_pylist()]
        return pa.array(flags, pa.string()).take(coded.indices)
    if name in _NAMES:
        return pa.array(_NAMES[name], pa.string()).take(column)
    if pa.types.is_binary(column.type):
        return base64(column)
    return column if pa.types.is_dictionary(column.type) else column.cast(pa.string())


def base64(column: pa.Array) -> pa.Array:
    """Return bytes in Base64, null for null."""
    encoded = [None if value is None else b64encode(value).decode() for value in column.to_pylist()]
    return pa.array(encoded, pa.string())


def by_severity(rows: pa.Table, texts: Mapping[int, str], missing: str = "") -> pa.Array:
    """Return for each row the text of its severity, "" for a severity without one, ``missing`` for a row without severity."""
    severity = one_chunk(rows.column("severity")).dictionary_encode()
    found = wrapped(severity, lambda values: pa.array([texts.get(n, "") for n in values.to_pylist()], pa.string()))
    return pc.fill_null(found, missing)
