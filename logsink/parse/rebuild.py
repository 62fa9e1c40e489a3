"""Frames from rows: what ``wire`` and the columns, or else ``raw``, say that the sender sent.

Arrow and numpy only, no kernels.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logsink.ascii import DIGIT_0, SPACE
from logsink.errors import FormatError
from logsink.parse.calendar import DAY, MINUTE, SECOND
from logsink.parse.shape import BSD, BSD_BARE
from logsink.parse.templates import RFC3339, TimeItem, parse_template

RAW_COLUMNS: Final = (
    "time",
    "facility",
    "severity",
    "host",
    "app",
    "procid",
    "msgid",
    "structured_data",
    "message",
    "wire",
    "raw",
)
"""The columns that ``raw_frames`` reads."""

_MONTHS = np.array([list(name) for name in (
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"
)], np.uint8)  # fmt: skip

_Numbers = npt.NDArray[np.int64]
_Digits = npt.NDArray[np.uint8]
"""A row of ASCII for each value."""


def raw_frames(table: pa.Table) -> pa.BinaryArray:
    """Return each row's frame, byte for byte as it was received, without its framing.

    ``table`` has at least ``RAW_COLUMNS``, plain or dictionary-encoded, in any number of chunks. Raises ``FormatError``
    for a template that this version does not know, and for a row with neither template nor raw bytes.
    """
    codes, texts = _coded(table["wire"])
    if len(codes) == 0:
        return pa.array([], pa.binary())
    order = np.argsort(codes, kind="stable")
    # Rows with the same template are filled together.
    starts = np.flatnonzero(np.diff(codes[order], prepend=-2))
    parts = []
    for start, end in zip(starts, [*starts[1:], len(codes)], strict=True):
        rows = table if end - start == len(codes) else table.take(pa.array(order[start:end]))
        code = codes[order[start]]
        parts.append(_raw(rows) if code < 0 else _filled(parse_template(texts[code]), rows))
    frames = pa.concat_arrays(parts)
    if len(parts) == 1:
        return frames
    # Back into the order of the rows.
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return frames.take(pa.array(back))


def _coded(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Return the codes of a column, -1 for null, and the values that they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no chunks
        return np.zeros(0, np.int32), []
    return array.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False), array.dictionary.to_pylist()


def _plain(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    array = column.cast(kind).combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def _raw(rows: pa.Table) -> pa.Array:
    raw = _plain(rows["raw"], pa.binary())
    if raw.null_count:
        raise FormatError("cannot rebuild a frame", "its row has neither wire nor raw")
    return raw


def _filled(template: list[bytes | str | TimeItem], rows: pa.Table) -> pa.Array:
    """Return the template filled from the columns of each row."""
    parts = [_part(item, rows) for item in template]
    if all(isinstance(part, pa.Scalar) for part in parts):  # nothing but literals
        return pa.array([b"".join(part.as_py() for part in parts)] * rows.num_rows, pa.binary())
    frames = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))
    if frames.null_count:
        raise FormatError("cannot rebuild a frame", "its template names a column that is null")
    return frames


def _part(item: bytes | str | TimeItem, rows: pa.Table) -> pa.Array | pa.Scalar:
    if isinstance(item, bytes):
        return pa.scalar(item, pa.binary())
    if isinstance(item, TimeItem):
        return _times(_plain(rows["time"], pa.int64()).to_numpy(), item)
    if item == "pri":
        facility, severity = (_plain(rows[name], pa.int32()) for name in ("facility", "severity"))
        pri = pc.add(pc.multiply(facility, pa.scalar(8, pa.int32())), severity)
        return pri.cast(pa.string()).cast(pa.binary())
    column = rows["structured_data" if item == "sd" else item]
    return _plain(column, pa.string()).cast(pa.binary())


def _times(time: _Numbers, item: TimeItem) -> pa.Array:
    """Write each time in the style of the item. All come out equally long."""
    day, micros = np.divmod(time + item.minutes * MINUTE, DAY)
    seconds, micros = np.divmod(micros, SECOND)
    pieces = [
        *(_rfc3339_date(day) if item.style == RFC3339 else _bsd_date(day, item.style)),
        _digits(seconds // 3600, 2),
        b":",
        _digits(seconds // 60 % 60, 2),
        b":",
        _digits(seconds % 60, 2),
    ]
    if item.digits:
        pieces += [b".", _digits(micros // 10 ** (6 - item.digits), item.digits)]
    columns = [
        np.broadcast_to(np.frombuffer(piece, np.uint8), (len(time), len(piece))) if isinstance(piece, bytes) else piece
        for piece in pieces
    ]
    text = np.concatenate(columns, axis=1)
    offsets = np.arange(len(time) + 1, dtype=np.int32) * text.shape[1]
    return pa.Array.from_buffers(pa.binary(), len(time), [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def _calendar(day: _Numbers) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Return year, month (0 to 11) and day of the month of days since 1970-01-01."""
    dates = day.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    year, month = np.divmod(months.astype(np.int64), 12)
    return year + 1970, month, (dates - months).astype(np.int64) + 1


def _rfc3339_date(day: _Numbers) -> list[bytes | _Digits]:
    """Write ``yyyy-mm-ddT``."""
    year, month, of_month = _calendar(day)
    return [_digits(year, 4), b"-", _digits(month + 1, 2), b"-", _digits(of_month, 2), b"T"]


def _bsd_date(day: _Numbers, style: int) -> list[bytes | _Digits]:
    """Write ``Mmm dd`` and a space, the day padded as the style says."""
    _, month, of_month = _calendar(day)
    digits = _digits(of_month, 1 if style == BSD_BARE else 2)
    if style == BSD:
        digits[of_month < 10, 0] = SPACE
    return [_MONTHS[month], b" ", digits, b" "]


def _digits(value: _Numbers, width: int) -> _Digits:
    """Return the decimal digits of each value, a row each, with leading zeros."""
    tens = 10 ** np.arange(width - 1, -1, -1)
    return (value[:, None] // tens % 10 + DIGIT_0).astype(np.uint8)
