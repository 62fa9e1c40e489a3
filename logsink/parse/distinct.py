"""Dictionaries in the making: the kernels of ``codes`` with the tables they need, which grow."""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logsink.kernel import MASK
from logsink.parse import codes, text
from logsink.parse.workspace import Workspace

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Number = TypeVar("Number", np.int32, np.int64)
Octets = npt.NDArray[np.uint8]

SEED: Final = hash("logsink") & MASK
"""Python chooses it anew for each process."""

_SLOTS = 1024
LONGEST = 2**31 - 1


class Texts:
    """The distinct texts of one column: row by row their codes, and then the texts."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.count = np.zeros(1, np.int64)
        self._workspace = workspace
        self._name = name
        self._starts: Int32s = np.zeros(0, np.int32)
        self._ends: Int32s = np.zeros(0, np.int32)
        self._hashes: Int64s = np.zeros(0, np.int64)
        self._size(_SLOTS)

    def _size(self, slots: int) -> None:
        self._table: Int32s = self._workspace.array(f"{self._name}.table.{slots}", slots, np.int32)
        self._table.fill(-1)
        self._starts = self._larger("starts", self._starts, slots // 2)
        self._ends = self._larger("ends", self._ends, slots // 2)
        self._hashes = self._larger("hashes", self._hashes, slots // 2)
        known = int(self.count[0])
        codes.rehash.form(known)(self._hashes, known, self._table)

    def _larger(self, kind: str, old: npt.NDArray[Number], size: int) -> npt.NDArray[Number]:
        new = self._workspace.array(f"{self._name}.{kind}.{size}", size, old.dtype)
        new[: len(old)] = old
        return new

    def encode(self, data: Octets, spans: Int32s, field: int, out: Int32s) -> None:
        """Codes of ``field`` of each row of ``spans``, places in ``data``, into ``out``; -1 where there is none."""
        run = codes.encode.form(len(out))
        row = 0
        while True:
            row = run(
                data, spans, field, row, out, self._table, self._starts, self._ends, self._hashes, self.count, SEED
            )
            if row == len(out):
                return
            self._size(2 * len(self._table))

    @property
    def places(self) -> tuple[Int32s, Int32s]:
        """Starts and ends of the texts, by code."""
        known = int(self.count[0])
        return self._starts[:known], self._ends[:known]

    def values(self, data: Octets, clean: bool) -> tuple[pa.StringArray, Int32s | None]:
        """The texts by code, U+FFFD for what is not UTF-8; and, where that made texts equal, new codes by old code.

        ``clean``: it is known that there is none.
        """
        starts, ends = self.places
        flags = self._workspace.array(f"{self._name}.flags", len(starts), np.int32)
        flags.fill(0)
        if clean or not text.mark_spans.form(len(starts))(data, starts, ends, flags):
            return string_array(*gathered(data, starts, ends, flags)), None
        offsets, replaced, _ = gathered(data, starts, ends, flags)
        again = Texts(self._workspace, f"{self._name}.replaced")
        renumbered = np.empty(len(starts), np.int32)
        again.encode(replaced, np.stack([offsets[:-1], offsets[1:]], axis=1), 0, renumbered)
        return again.values(replaced, True)[0], renumbered


class Numbers:
    """The distinct integers, 0 excepted, of one column: row by row their codes."""

    def __init__(self) -> None:
        self.count = np.zeros(1, np.int64)
        self._distinct = np.zeros(0, np.int64)
        self._size(_SLOTS)

    def _size(self, slots: int) -> None:
        self._table = np.full(slots, -1, np.int32)
        self._distinct = (
            np.resize(self._distinct, slots // 2) if len(self._distinct) else np.zeros(slots // 2, np.int64)
        )
        known = int(self.count[0])
        codes.renumber.form(known)(self._distinct, known, self._table, SEED)

    def encode(self, values: Int64s, out: Int32s) -> Int64s:
        """Codes of ``values`` into ``out``, -1 for 0; the values that were new, in the order of their codes."""
        before = int(self.count[0])
        run = codes.number.form(len(out))
        row = 0
        while True:
            row = run(values, row, out, self._table, self._distinct, self.count, SEED)
            if row == len(out):
                return self._distinct[before : int(self.count[0])]
            self._size(2 * len(self._table))


def gathered(
    data: Octets,
    starts: Int32s,
    ends: Int32s,
    flags: Int32s,
    order: Int64s | None = None,
    workspace: Workspace | None = None,
    name: str = "",
) -> tuple[Int32s, Octets, int]:
    """Texts ``data[starts[i]:ends[i]]`` of rows ``order`` end to end: offsets, bytes, and how many are present (start
    >= 0).

    Those flagged NOT_UTF8 with replacements. In memory of ``workspace`` under ``name``, or of their own.
    """
    workspace = workspace or Workspace()
    if order is None:
        order = np.arange(len(starts))
    offsets = workspace.array(f"{name}.offsets", len(order) + 1, np.int32)
    fitting = text.measure.form(len(order))(data, starts, ends, flags, order, offsets, LONGEST)
    if fitting < len(order):
        raise OverflowError(f"cannot lay out {len(order)} texts: only {fitting} fit into {LONGEST} bytes")
    out = workspace.array(f"{name}.bytes", int(offsets[-1]), np.uint8)
    return offsets, out, text.gather.form(len(order))(data, starts, ends, flags, order, offsets, out)


def string_array(offsets: Int32s, values: Octets, _: int = 0) -> pa.StringArray:
    """Arrow's view of texts end to end, none of them absent."""
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(values))
