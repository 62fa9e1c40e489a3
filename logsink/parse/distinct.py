"""Distinct values of a column while its rows are parsed: the kernels of ``codes``, and tables that grow."""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logsink.kernel import MASK
from logsink.parse import codes, utf8
from logsink.parse.workspace import Workspace

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Number = TypeVar("Number", np.int32, np.int64)

SEED: Final = hash("logsink") & MASK
"""Seed of the hash tables; Python chooses it anew for each process."""

LONGEST: Final = 2**31 - 1
"""The most bytes that an Arrow array with 32-bit offsets can hold."""

_SLOTS = 1024
"""Slots of a hash table at first."""


class DistinctTexts:
    """The distinct texts of one column: first ``encode`` for all rows, then ``values``."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.count = np.zeros(1, np.int64)
        self._workspace = workspace
        self._name = name
        self._starts: Int32s = np.zeros(0, np.int32)
        self._ends: Int32s = np.zeros(0, np.int32)
        self._hashes: Int64s = np.zeros(0, np.int64)
        self._resize(_SLOTS)

    def _resize(self, slots: int) -> None:
        self._table: Int32s = self._workspace.array(f"{self._name}.table.{slots}", slots, np.int32)
        self._table.fill(codes.EMPTY)
        self._starts = self._larger("starts", self._starts, slots // 2)
        self._ends = self._larger("ends", self._ends, slots // 2)
        self._hashes = self._larger("hashes", self._hashes, slots // 2)
        known = int(self.count[0])
        codes.enter_texts.form(known)(self._hashes, known, self._table)

    def _larger(self, kind: str, old: npt.NDArray[Number], size: int) -> npt.NDArray[Number]:
        new = self._workspace.array(f"{self._name}.{kind}.{size}", size, old.dtype)
        new[: len(old)] = old
        return new

    def encode(self, data: Bytes, spans: Int32s, field: int, out: Int32s) -> None:
        """Write the code of ``field`` of each row of ``spans``, which are places in ``data``, to ``out``; -1 for none.

        ``data`` is the same in every call.
        """
        run = codes.encode_texts.form(len(out))
        row = 0
        while True:
            row = run(
                data, spans, field, row, out, self._table, self._starts, self._ends, self._hashes, self.count, SEED
            )
            if row == len(out):
                return
            self._resize(2 * len(self._table))

    @property
    def places(self) -> tuple[Int32s, Int32s]:
        """Starts and ends in ``data`` of the texts, by code."""
        known = int(self.count[0])
        return self._starts[:known], self._ends[:known]

    def values(self, data: Bytes, all_utf8: bool) -> tuple[pa.StringArray, Int32s | None]:
        """Return the texts by code, with U+FFFD for what is not UTF-8, and new codes by old code or None.

        There are new codes where replacing made texts equal. ``all_utf8`` says that nothing has to be replaced.
        """
        starts, ends = self.places
        flags = self._workspace.array(f"{self._name}.flags", len(starts), np.int32)
        flags.fill(0)
        if all_utf8 or not utf8.mark_texts.form(len(starts))(data, starts, ends, flags):
            return _string_array(data, starts, ends, flags), None
        # Replacing makes texts equal that were distinct: number them once more.
        offsets, replaced, _ = lay_out(data, starts, ends, flags)
        again = DistinctTexts(self._workspace, f"{self._name}.replaced")
        renumbered = np.empty(len(starts), np.int32)
        again.encode(replaced, np.stack([offsets[:-1], offsets[1:]], axis=1), 0, renumbered)
        return again.values(replaced, True)[0], renumbered


class DistinctNumbers:
    """The distinct integers of one column, 0 excepted."""

    def __init__(self) -> None:
        self.count = np.zeros(1, np.int64)
        self._distinct = np.zeros(0, np.int64)
        self._resize(_SLOTS)

    def _resize(self, slots: int) -> None:
        self._table = np.full(slots, codes.EMPTY, np.int32)
        known = int(self.count[0])
        self._distinct = np.concatenate([self._distinct[:known], np.zeros(slots // 2 - known, np.int64)])
        codes.enter_numbers.form(known)(self._distinct, known, self._table, SEED)

    def encode(self, values: Int64s, out: Int32s) -> Int64s:
        """Write the code of each of ``values`` to ``out``, -1 for 0. Returns the values that were new, by code."""
        before = int(self.count[0])
        run = codes.encode_numbers.form(len(out))
        row = 0
        while True:
            row = run(values, row, out, self._table, self._distinct, self.count, SEED)
            if row == len(out):
                return self._distinct[before : int(self.count[0])]
            self._resize(2 * len(self._table))


def lay_out(
    data: Bytes,
    starts: Int32s,
    ends: Int32s,
    flags: Int32s,
    order: Int64s | None = None,
    workspace: Workspace | None = None,
    name: str = "",
) -> tuple[Int32s, Bytes, int]:
    """Lay the texts of rows ``order`` (default: all) end to end: their offsets, their bytes, and how many are present.

    Text i is ``data[starts[i]:ends[i]]``, and absent where ``starts[i]`` is negative; what is not UTF-8 is replaced in
    those flagged NOT_UTF8. With a workspace the arrays belong to it, under ``name``.
    """
    workspace = workspace or Workspace()
    if order is None:
        order = np.arange(len(starts))
    offsets = workspace.array(f"{name}.offsets", len(order) + 1, np.int32)
    fitting = utf8.measure.form(len(order))(data, starts, ends, flags, order, offsets, LONGEST)
    if fitting < len(order):
        raise OverflowError(f"cannot lay out {len(order)} texts: only {fitting} fit into {LONGEST} bytes")
    out = workspace.array(f"{name}.bytes", int(offsets[-1]), np.uint8)
    return offsets, out, utf8.gather.form(len(order))(data, starts, ends, flags, order, offsets, out)


def _string_array(data: Bytes, starts: Int32s, ends: Int32s, flags: Int32s) -> pa.StringArray:
    """Return texts none of which is absent as an array of Arrow's."""
    offsets, values, _ = lay_out(data, starts, ends, flags)
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(values))
