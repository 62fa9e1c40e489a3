"""Rows of the archive as JSON objects: ``json``, ``json-pretty``. Harmful characters are escaped as JSON escapes them."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from logsink.characters import harmless_json
from logsink.flags import names
from logsink.query.columns import as_integers, one_chunk
from logsink.query.output.escape import for_json, json_for_terminal
from logsink.query.output.fragments import base64, joined, wrapped
from logsink.query.output.timestamps import timestamps_of
from logsink.query.output.writers import DEFAULT_COLUMNS
from logsink.query.request import is_member

_INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
_INSTANT = '"{date}T{clock}.{milli}{micro}Z"'


class Json:
    """One JSON object a line: keys in the order of ``columns``, instants in RFC 3339, columns without a value left out."""

    def __init__(self, columns: Sequence[str] = DEFAULT_COLUMNS) -> None:
        self.columns = tuple(columns)

    def lines(self, rows: pa.Table) -> pa.Array:
        if "time" in self.columns[:1]:
            first, *others = self.columns
            instants = timestamps_of(as_integers(rows.column(first), null=0), f'{{"{first}":{_INSTANT}')
            return joined(instants, *(self._fragment(rows, name) for name in others), "}\n")
        fragments = joined(*(self._fragment(rows, name) for name in self.columns))
        return joined(pa.repeat("{", rows.num_rows), pc.utf8_slice_codeunits(fragments, 1), "}\n")

    def _fragment(self, rows: pa.Table, name: str) -> pa.Array:
        """Return ``,"name":value`` for each row, null where there is no value."""
        column = one_chunk(rows.column(name))
        if is_member(name):  # its values are JSON already
            return wrapped(column, json_for_terminal, f",{harmless_json(orjson.dumps(name)).decode()}:")
        key = f',"{name}":'
        if name == "flags":
            return wrapped(column.dictionary_encode(), _flags, key)
        if pa.types.is_binary(column.type):
            return wrapped(base64(column), for_json, key + '"', '"')
        if pa.types.is_timestamp(column.type):
            instants = timestamps_of(as_integers(column, null=0), key + _INSTANT)
            return pc.if_else(pc.is_valid(column), instants, None) if column.null_count else instants
        if pa.types.is_integer(column.type):
            few = pa.types.is_int8(column.type)
            return wrapped(column.dictionary_encode() if few else column, lambda v: v.cast(pa.string()), key)
        return wrapped(column, for_json, key + '"', '"')


class JsonPretty:
    """One indented JSON object a row."""

    def __init__(self, columns: Sequence[str] = DEFAULT_COLUMNS) -> None:
        self._json = Json(columns)
        self.columns = self._json.columns

    def lines(self, rows: pa.Table) -> pa.Array:
        objects = (orjson.loads(line) for line in self._json.lines(rows).to_pylist())
        return pa.array([harmless_json(orjson.dumps(each, option=_INDENTED)) for each in objects])


def _flags(values: pa.Array) -> pa.Array:
    """Return numbers of flags as JSON arrays of their names."""
    return pa.array([orjson.dumps(names(value)).decode() for value in values.to_pylist()], pa.string())
