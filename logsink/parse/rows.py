"""Frames to rows of the table: one pass in blocks that stay in the processor's cache, columns made on demand.

Per block: UTF-8, ``strict``, ``loose`` for what that left, a template for each new shape, the prover, codes of the short
fields. What is per row outlives the block (about 60 bytes); messages stay where they are until ``Rows.table`` lays them out
in the order that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logsink.parse import codes, deploy, loose, strict, text, wire, zone
from logsink.parse.distinct import LONGEST, SEED, Int32s, Int64s, Numbers, Texts, gathered
from logsink.parse.frames import Frames, Origin, Settings
from logsink.parse.schema import CODED_COLUMNS, FILE_SCHEMA
from logsink.parse.shape import MESSAGE, SPANS
from logsink.parse.wire import FIELDS
from logsink.parse.workspace import Workspace

ROWS_SCHEMA: Final = pa.schema(
    [
        field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in CODED_COLUMNS else field
        for field in FILE_SCHEMA
    ]
)
"""The schema of ``Rows.table``: ``FILE_SCHEMA`` with dictionaries."""

_BLOCK = 8192
"""Rows parsed at a time: 1.5 MB of frames and 0.5 MB of spans."""

_FIELDS: Final = {
    "structured_data" if name == "sd" else name: field for name, field in FIELDS.items() if field != MESSAGE
}


_Column = tuple[Int32s | int, pa.StringArray]
"""Codes, or the one code that all rows have, and values."""


class Rows:
    """``n`` parsed frames. ``time``, ``received`` int64[n] in microseconds, ``nth`` int32[n], ``flags`` int32[n].

    Views ``frames`` and the workspace: valid as long as neither is changed, that is, until the next parse with this
    workspace; so are its tables, and of those only the newest. Without a workspace of the caller's it all belongs to the rows.
    """

    def __init__(self, frames: Frames, settings: Settings, receiver: str, workspace: Workspace) -> None:
        n = len(frames)
        self.received: Int64s = frames.received
        self.time: Int64s = workspace.array("time", n, np.int64)
        self.nth: Int32s = workspace.array("nth", n, np.int32)
        self.flags: Int32s = workspace.array("flags", n, np.int32)
        self._frames = frames
        self._settings = settings
        self._receiver = receiver
        self._workspace = workspace
        self._facility = workspace.array("facility", n, np.int8)
        self._severity = workspace.array("severity", n, np.int8)
        self._starts = workspace.array("message.start", n, np.int32)
        self._ends = workspace.array("message.end", n, np.int32)
        self._wire = workspace.array("wire", n, np.int32)
        self._codes = {name: workspace.array(name, n, np.int32) for name in _FIELDS}
        self._texts = {name: Texts(workspace, name) for name in _FIELDS}
        self._templates = wire.Templates()
        self._columns: dict[str, _Column] = {}
        self._clean = self._parse()
        self._count_equal_times()

    def __len__(self) -> int:
        return len(self.time)

    @property
    def sizes(self) -> Int32s:
        """int32[n]: octets of each message as the table has it, 0 where there is none."""
        order, offsets = np.arange(len(self)), self._workspace.array("sizes", len(self) + 1, np.int32)
        measure = text.measure.form(len(self))
        fitting = measure(self._frames.data, self._starts, self._ends, self.flags, order, offsets, LONGEST)
        offsets[fitting + 1 :] = offsets[fitting]
        return np.diff(offsets)

    def code(self, name: str) -> tuple[Int32s, pa.StringArray]:
        """Column ``name``, one of ``CODED_COLUMNS``: int32[n] codes, -1 for null, and the distinct values they stand for.

        A value may stand there that no row has.
        """
        codes_, values = self._column(name)
        return (np.full(len(self), codes_, np.int32) if isinstance(codes_, int) else codes_), values

    def table(self, order: npt.NDArray[np.integer[Any]] | None = None) -> pa.Table:
        """The rows ``order`` (all, in the order of the frames) as a table of schema ``ROWS_SCHEMA``, each column one chunk."""
        order = np.arange(len(self)) if order is None else order
        return self._table(np.ascontiguousarray(order, np.int64))

    def _table(self, order: Int64s) -> pa.Table:
        made = {
            "time": self._numbers("time", self.time, order),
            "received": self._numbers("received", self.received, order),
            "nth": self._numbers("nth", self.nth, order),
            "flags": self._numbers("flags", self.flags, order),
            "facility": self._numbers("facility", self._facility, order, self._facility >= 0),
            "severity": self._numbers("severity", self._severity, order, self._severity >= 0),
            "message": self._message(order),
            "raw": self._raw(order),
        }
        columns = [made[field.name] if field.name in made else self._coded(field.name, order) for field in ROWS_SCHEMA]
        return pa.Table.from_arrays(columns, schema=ROWS_SCHEMA)

    def _parse(self) -> bool:
        """Fill the arrays; whether every frame is UTF-8."""
        frames, workspace, n = self._frames, self._workspace, len(self)
        self.flags[:] = frames.flags
        scan, rescan = strict.scan.form(n), loose.rescan.form(n)
        prove, mark = wire.prove.form(n), text.mark.form(n)
        clocks = zone.load(self._settings.default_timezone)
        shapes = workspace.array("block.shapes", _BLOCK, np.int64)
        left = workspace.array("block.left", _BLOCK, np.int32)
        numbers = Numbers()
        templates = self._templates
        dirty = 0
        for a in range(0, n, _BLOCK):
            b = min(a + _BLOCK, n)
            spans = workspace.array("block.spans", (b - a, SPANS), np.int32)
            offsets, flags = frames.offsets[a : b + 1], self.flags[a:b]
            written = (self.time[a:b], self._facility[a:b], self._severity[a:b])
            if frames.data[offsets[0] : offsets[-1]].max(initial=0) >= 0x80:
                dirty += mark(frames.data, offsets, flags)
            shape = shapes[: b - a]
            known = (frames.data, offsets, frames.received[a:b], clocks, self._settings.parser)
            skipped = scan(*known, spans, *written, flags, shape, left)
            if skipped:
                rescan(*known, spans, *written, flags, shape, left, skipped)
            shape_codes = workspace.array("block.codes", b - a, np.int32)
            new = numbers.encode(shape, shape_codes)
            if len(new):
                templates.extend(new)
            prove(frames.data, offsets, spans, *written, flags, shape_codes, *templates.program, self._wire[a:b])
            for name, field in _FIELDS.items():
                self._texts[name].encode(frames.data, spans, field, self._codes[name][a:b])
            self._starts[a:b] = spans[:, 2 * MESSAGE]
            self._ends[a:b] = spans[:, 2 * MESSAGE + 1]
        return dirty == 0

    def _count_equal_times(self) -> None:
        longest = codes.longest.form(len(self))(self.received)
        table = self._workspace.array("nth.table", 1 << (2 * longest).bit_length(), np.int32)
        codes.positions.form(len(self))(self.received, self.time, self.nth, table, SEED)

    def _column(self, name: str) -> _Column:
        if name not in self._columns:
            self._columns.update(self._make(name))
        return self._columns[name]

    def _make(self, name: str) -> dict[str, _Column]:
        """Column ``name``, and those that come with it."""
        if name in _FIELDS:
            values, renumbered = self._texts[name].values(self._frames.data, self._clean)
            return {name: (_translated(self._codes[name], renumbered), values)}
        if name in deploy.NAMES:
            return self._deploy()
        if name == "wire":
            return {name: (self._wire, pa.array(self._templates.texts, pa.string()))}
        if name == "receiver":
            return {name: (0, pa.array([self._receiver], pa.string()))}
        column, values = _of_origins(self._frames.origins, Origin._fields.index(name))
        only = set(column.tolist())
        return {name: (only.pop() if len(only) == 1 else column[self._frames.origin], values)}

    def _deploy(self) -> dict[str, _Column]:
        """The four columns of the deploy element: read once from each distinct text of structured data."""
        starts, ends = self._texts["structured_data"].places
        spans = np.empty((len(starts), 2 * len(deploy.NAMES)), np.int32)
        found = np.empty(int((ends - starts).sum()), np.uint8)
        sd_id = np.frombuffer(self._settings.deploy_sd_id.encode(), np.uint8)
        deploy.extract.form(len(starts))(self._frames.data, starts, ends, sd_id, found, spans)
        made: dict[str, _Column] = {}
        for number, name in enumerate(deploy.NAMES):
            texts = Texts(self._workspace, name)
            by_text = np.empty(len(starts), np.int32)
            texts.encode(found, spans, number, by_text)
            values, renumbered = texts.values(found, self._clean)
            by_text = _translated(by_text, renumbered)
            made[name] = (_translated(self._codes["structured_data"], by_text) if len(values) else -1, values)
        return made

    def _coded(self, name: str, order: Int64s) -> pa.Array:
        column, values = self._column(name)
        kind = ROWS_SCHEMA.field(name).type
        if len(values) == 0:
            return pa.DictionaryArray.from_arrays(pa.nulls(len(order), pa.int32()), values)
        indices = self._workspace.array(f"table.{name}", len(order), np.int32)
        if isinstance(column, int):
            indices.fill(column)
            return pa.DictionaryArray.from_buffers(kind, len(order), [None, pa.py_buffer(indices)], values, 0)
        absent = codes.take.form(len(order))(column, order, indices)
        validity = None
        if absent:
            validity = _bits(indices >= 0)
            np.maximum(indices, 0, out=indices)
        return pa.DictionaryArray.from_buffers(kind, len(order), [validity, pa.py_buffer(indices)], values, absent)

    def _numbers(
        self, name: str, column: npt.NDArray[Any], order: Int64s, present: npt.NDArray[np.bool_] | None = None
    ) -> pa.Array:
        out = self._workspace.array(f"table.{name}", len(order), column.dtype)
        np.take(column, order, out=out, mode="clip")
        validity = None
        if present is not None and not present.all():
            validity = _bits(present[order])
            np.maximum(out, 0, out=out)
        return pa.Array.from_buffers(ROWS_SCHEMA.field(name).type, len(order), [validity, pa.py_buffer(out)])

    def _message(self, order: Int64s) -> pa.Array:
        return self._gathered("message", self._starts, self._ends, self.flags, order)

    def _raw(self, order: Int64s) -> pa.Array:
        if not len(order) or int(self._wire.min(initial=0)) >= 0:
            return pa.nulls(len(order), pa.binary())
        offsets = self._frames.offsets
        starts = np.where(self._wire < 0, offsets[:-1], np.int32(-1))
        return self._gathered("raw", starts, offsets[1:], np.zeros(len(self), np.int32), order)

    def _gathered(self, name: str, starts: Int32s, ends: Int32s, flags: Int32s, order: Int64s) -> pa.Array:
        offsets, values, present = gathered(
            self._frames.data, starts, ends, flags, order, self._workspace, f"table.{name}"
        )
        validity = None if present == len(order) else _bits(starts[order] >= 0)
        buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(values)]
        return pa.Array.from_buffers(ROWS_SCHEMA.field(name).type, len(order), buffers)


def parse(frames: Frames, settings: Settings, receiver: str, *, workspace: Workspace | None = None) -> Rows:
    """The rows of ``frames``, in their order, by these settings; nothing is refused and nothing is lost.

    A workspace saves the memory of one call for the next (see ``Rows`` for how long rows are valid then). Calls may run at
    the same time in threads, each with its own workspace. ``ConfigError``: there is no such time zone.
    """
    return Rows(frames, settings, receiver, workspace or Workspace())


def _translated(column: Int32s, renumbered: Int32s | None) -> Int32s:
    """``renumbered[column]``, -1 where the column is -1."""
    return column if renumbered is None else np.append(renumbered, np.int32(-1))[column]


def _of_origins(origins: Sequence[Origin], field: int) -> tuple[Int32s, pa.StringArray]:
    """Codes of one field of each origin, and its distinct values."""
    known: dict[str, int] = {}
    column = [-1 if o[field] is None else known.setdefault(str(o[field]), len(known)) for o in origins]
    return np.array(column, np.int32), pa.array(list(known), pa.string())


def _bits(present: npt.NDArray[np.bool_]) -> pa.Buffer:
    """An Arrow validity bitmap."""
    return pa.py_buffer(np.packbits(present, bitorder="little"))
