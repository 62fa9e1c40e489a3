"""Frames to rows of the table: one pass in blocks that stay in the processor's cache, and columns made on demand.

``Rows`` parses when it is made, a block of frames at a time: UTF-8, ``strict``, ``loose`` for what that left, a
template for each new shape, the prover, codes of the short fields. Spans and shapes belong to the block. What each row
keeps (about 60 bytes) are numbers, codes, and the place of its message, which stays where it is until ``Rows.table``
lays the messages out in the order that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logsink.ascii import NOT_ASCII
from logsink.parse import codes, deploy, loose, numbered, prover, strict, utf8, zone
from logsink.parse.codes import ABSENT
from logsink.parse.distinct import LONGEST, SEED, DistinctNumbers, DistinctTexts, Int32s, Int64s, lay_out
from logsink.parse.frames import Frames, Origin, Settings
from logsink.parse.prover import NO_TEMPLATE
from logsink.parse.schema import CODED_COLUMNS, FILE_SCHEMA
from logsink.parse.shape import MESSAGE, SPANS
from logsink.parse.templates import FIELDS, Templates
from logsink.parse.workspace import Workspace

ROWS_SCHEMA: Final = pa.schema(
    [
        field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in CODED_COLUMNS else field
        for field in FILE_SCHEMA
    ]
)
"""The schema of ``Rows.table``: ``FILE_SCHEMA`` with dictionaries."""

_BLOCK = 8192
"""Frames parsed at a time: 1.5 MB of them and 0.5 MB of spans."""

_CODED_FIELDS: Final = {
    "structured_data" if name == "sd" else name: field for name, field in FIELDS.items() if field != MESSAGE
}
"""Columns that are fields of the frame with few distinct values, and the fields."""

_Column = tuple[Int32s | int, pa.StringArray]
"""Codes, or the one code that all rows have, and the values that they stand for."""


class Rows:
    """The rows of ``n`` parsed frames, in the order of the frames.

    time        int64[n], microseconds since the epoch
    received    int64[n], the same
    nth         int32[n]: how many earlier rows of the same read have the same time
    flags       int32[n] (``flags.Flag``)

    Rows are views of the frames and the workspace: they are valid until either is changed, which the next parse with
    that workspace does. So are the tables made of them, and of these only the newest. Without a workspace of the
    caller's, rows and tables own what they are made of, and of several tables still only the newest is valid.
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
        self._codes = {name: workspace.array(name, n, np.int32) for name in _CODED_FIELDS}
        self._texts = {name: DistinctTexts(workspace, name) for name in _CODED_FIELDS}
        self._templates = Templates()
        self._columns: dict[str, _Column] = {}
        self._all_utf8 = self._parse()
        self._count_equal_times()

    def __len__(self) -> int:
        return len(self.time)

    @property
    def sizes(self) -> Int32s:
        """int32[n]: bytes of each message as the table has it, 0 where there is none."""
        order, offsets = np.arange(len(self)), self._workspace.array("sizes", len(self) + 1, np.int32)
        measure = utf8.measure.form(len(self))
        fitting = measure(self._frames.data, self._starts, self._ends, self.flags, order, offsets, LONGEST)
        offsets[fitting + 1 :] = offsets[fitting]
        return np.diff(offsets)

    def code(self, name: str) -> tuple[Int32s, pa.StringArray]:
        """Return column ``name``, one of ``CODED_COLUMNS``: int32[n] codes, -1 for null, and the values they stand for.

        The values may hold one that no row has.
        """
        column, values = self._column(name)
        return (np.full(len(self), column, np.int32) if isinstance(column, int) else column), values

    def table(self, order: npt.NDArray[np.integer[Any]] | None = None) -> pa.Table:
        """Return the rows ``order`` (default: all, as they are) as a table of ``ROWS_SCHEMA``.

        Each column is one chunk.
        """
        order = np.arange(len(self)) if order is None else order
        return self._table(np.ascontiguousarray(order, np.int64))

    def _table(self, order: Int64s) -> pa.Table:
        plain = {
            "time": self._numbers("time", self.time, order),
            "received": self._numbers("received", self.received, order),
            "nth": self._numbers("nth", self.nth, order),
            "flags": self._numbers("flags", self.flags, order),
            "facility": self._numbers("facility", self._facility, order, self._facility >= 0),
            "severity": self._numbers("severity", self._severity, order, self._severity >= 0),
            "message": self._message(order),
            "raw": self._raw(order),
        }
        columns = [
            plain[field.name] if field.name in plain else self._dictionary(field.name, order) for field in ROWS_SCHEMA
        ]
        return pa.Table.from_arrays(columns, schema=ROWS_SCHEMA)

    def _parse(self) -> bool:
        """Fill the arrays of the rows. Returns whether every frame is UTF-8."""
        frames, workspace, n = self._frames, self._workspace, len(self)
        self.flags[:] = frames.flags
        first_pass, second_pass = strict.first_pass.form(n), loose.second_pass.form(n)
        prove, mark = prover.prove.form(n), utf8.mark_frames.form(n)
        default_zone = zone.load(self._settings.default_timezone)
        shapes = workspace.array("block.shapes", _BLOCK, np.int64)
        left = workspace.array("block.left", _BLOCK, np.int32)
        distinct_shapes = DistinctNumbers()
        not_utf8 = 0
        for a in range(0, n, _BLOCK):
            b = min(a + _BLOCK, n)
            offsets, flags = frames.offsets[a:b + 1], self.flags[a:b]  # fmt: skip
            if frames.data[offsets[0] : offsets[-1]].max(initial=0) >= NOT_ASCII:
                not_utf8 += mark(frames.data, offsets, flags)

            # The two passes propose spans, time, PRI and shape of each frame.
            spans = workspace.array("block.spans", (b - a, SPANS), np.int32)
            shape = shapes[: b - a]
            known = (frames.data, offsets, frames.received[a:b], default_zone, self._settings.parser)
            numbers = (self.time[a:b], self._facility[a:b], self._severity[a:b])
            skipped = first_pass(*known, spans, *numbers, flags, shape, left)
            if skipped:
                second_pass(*known, spans, *numbers, flags, shape, left, skipped)

            # A template for each shape that has not been seen, and the proof that it gives the frame back.
            shape_codes = workspace.array("block.codes", b - a, np.int32)
            new = distinct_shapes.encode(shape, shape_codes)
            if len(new):
                self._templates.extend(new)
            program = self._templates.program
            prove(frames.data, offsets, spans, *numbers, flags, shape_codes, *program, self._wire[a:b])

            # What outlives the block.
            for name, field in _CODED_FIELDS.items():
                self._texts[name].encode(frames.data, spans, field, self._codes[name][a:b])
            self._starts[a:b] = spans[:, 2 * MESSAGE]
            self._ends[a:b] = spans[:, 2 * MESSAGE + 1]
        return not_utf8 == 0

    def _count_equal_times(self) -> None:
        longest = codes.longest_run.form(len(self))(self.received)
        table = self._workspace.array("nth.table", 1 << (2 * longest).bit_length(), np.int32)
        codes.count_equal_times.form(len(self))(self.received, self.time, self.nth, table, SEED)

    def _column(self, name: str) -> _Column:
        if name not in self._columns:
            self._columns.update(self._columns_with(name))
        return self._columns[name]

    def _columns_with(self, name: str) -> dict[str, _Column]:
        """Return column ``name``, and those that come with it."""
        if name in _CODED_FIELDS:
            values, renumbered = self._texts[name].values(self._frames.data, self._all_utf8)
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
        """Return the four columns of the deploy element, read once from each group of texts of structured data."""
        starts, ends = self._texts["structured_data"].places
        groups, firsts = self._grouped(starts, ends)
        starts, ends = starts[firsts], ends[firsts]
        by_row = _translated(self._codes["structured_data"], groups)
        spans = np.empty((len(starts), 2 * len(deploy.NAMES)), np.int32)
        found = np.empty(int((ends - starts).sum()), np.uint8)
        sd_id = np.frombuffer(self._settings.deploy_sd_id.encode(), np.uint8)
        deploy.extract.form(len(starts))(self._frames.data, starts, ends, sd_id, found, spans)
        columns: dict[str, _Column] = {}
        for number, name in enumerate(deploy.NAMES):
            texts = DistinctTexts(self._workspace, name)
            by_group = np.empty(len(starts), np.int32)
            texts.encode(found, spans, number, by_group)
            values, renumbered = texts.values(found, self._all_utf8)
            by_group = _translated(by_group, renumbered)
            columns[name] = (_translated(by_row, by_group) if len(values) else ABSENT, values)
        return columns

    def _grouped(self, starts: Int32s, ends: Int32s) -> tuple[Int32s | None, Int32s]:
        """Return the group of each text, as ``numbered`` makes them, and the first text of each group.

        Where every text is alone in its group, there is no array of groups.
        """
        groups = self._workspace.array("deploy.groups", len(starts), np.int32)
        firsts = self._workspace.array("deploy.firsts", len(starts), np.int32)
        slots = self._workspace.array("deploy.slots", numbered.SLOTS, np.int32)
        slots.fill(codes.EMPTY)
        group_texts = numbered.group_texts.form(len(starts))
        count = group_texts(self._frames.data, starts, ends, slots, groups, firsts)
        return groups if count < len(starts) else None, firsts[:count]

    def _dictionary(self, name: str, order: Int64s) -> pa.Array:
        column, values = self._column(name)
        kind = ROWS_SCHEMA.field(name).type
        if len(values) == 0:
            return pa.DictionaryArray.from_arrays(pa.nulls(len(order), pa.int32()), values)
        indices = self._workspace.array(f"table.{name}", len(order), np.int32)
        if isinstance(column, int):
            indices.fill(column)
            return pa.DictionaryArray.from_buffers(kind, len(order), [None, pa.py_buffer(indices)], values, 0)
        absent = codes.take_codes.form(len(order))(column, order, indices)
        validity = None
        if absent:
            validity = _bitmap(indices >= 0)
            np.maximum(indices, 0, out=indices)
        return pa.DictionaryArray.from_buffers(kind, len(order), [validity, pa.py_buffer(indices)], values, absent)

    def _numbers(
        self, name: str, column: npt.NDArray[Any], order: Int64s, present: npt.NDArray[np.bool_] | None = None
    ) -> pa.Array:
        out = self._workspace.array(f"table.{name}", len(order), column.dtype)
        np.take(column, order, out=out, mode="clip")
        validity = None
        if present is not None and not present.all():
            validity = _bitmap(present[order])
            np.maximum(out, 0, out=out)
        return pa.Array.from_buffers(ROWS_SCHEMA.field(name).type, len(order), [validity, pa.py_buffer(out)])

    def _message(self, order: Int64s) -> pa.Array:
        return self._bytes("message", self._starts, self._ends, self.flags, order)

    def _raw(self, order: Int64s) -> pa.Array:
        if not len(order) or int(self._wire.min(initial=0)) > NO_TEMPLATE:
            return pa.nulls(len(order), pa.binary())
        offsets = self._frames.offsets
        starts = np.where(self._wire == NO_TEMPLATE, offsets[:-1], np.int32(-1))
        return self._bytes("raw", starts, offsets[1:], np.zeros(len(self), np.int32), order)

    def _bytes(self, name: str, starts: Int32s, ends: Int32s, flags: Int32s, order: Int64s) -> pa.Array:
        offsets, values, present = lay_out(
            self._frames.data, starts, ends, flags, order, self._workspace, f"table.{name}"
        )
        validity = None if present == len(order) else _bitmap(starts[order] >= 0)
        buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(values)]
        return pa.Array.from_buffers(ROWS_SCHEMA.field(name).type, len(order), buffers)


def parse(frames: Frames, settings: Settings, receiver: str, *, workspace: Workspace | None = None) -> Rows:
    """Parse ``frames`` by ``settings`` into rows, in the same order; nothing is refused and nothing is lost.

    ``receiver`` is the value of the column of that name. With a workspace the memory of one call serves the next;
    ``Rows`` says how long rows are valid then. Calls may run at the same time in threads, each with its own workspace.
    Raises ``ConfigError`` where the default time zone does not exist.
    """
    return Rows(frames, settings, receiver, workspace or Workspace())


def _translated(column: Int32s, renumbered: Int32s | None) -> Int32s:
    """Return ``renumbered[column]``, and ABSENT where ABSENT is given."""
    return column if renumbered is None else np.append(renumbered, np.int32(ABSENT))[column]


def _of_origins(origins: Sequence[Origin], field: int) -> tuple[Int32s, pa.StringArray]:
    """Return the codes of one field of each origin, and its distinct values."""
    known: dict[str, int] = {}
    column = [ABSENT if o[field] is None else known.setdefault(str(o[field]), len(known)) for o in origins]
    return np.array(column, np.int32), pa.array(list(known), pa.string())


def _bitmap(present: npt.NDArray[np.bool_]) -> pa.Buffer:
    """Return an Arrow validity bitmap."""
    return pa.py_buffer(np.packbits(present, bitorder="little"))
