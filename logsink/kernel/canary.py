"""Kernels that prove how numba's machine code is called, before a process calls any other kept machine code by itself.

numba promises no calling convention. Each canary gets arguments of the same type that differ in value, so that two that are
swapped, an array's shape read from its strides, or a result of another width give another answer than plain Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from logsink.kernel.decorator import Kernel, kernel
from logsink.kernel.native import Target
from logsink.kernel.parameters import I32, Bytes, Grid32, ReadI8, ReadI64

_BOUND: Final = 64
"""Elements that a canary touches at most: a length that is read from the wrong place must do no harm."""


@kernel
def weigh(
    data: Bytes, small: ReadI8, wide: ReadI64, other: ReadI64, grid: Grid32, one: int, two: int, flag: bool
) -> int:
    """Return a number that every argument changes in its own way; number the cells of ``grid``."""
    rows, columns = min(grid.shape[0], _BOUND), min(grid.shape[1], _BOUND)
    for i in range(rows):
        for k in range(columns):
            grid[i, k] = 100 * i + k
    total: int = 1_000_003 * rows + 10_007 * columns + one - 3 * two + (1 << 40 if flag else 0)
    for p in range(min(len(data), _BOUND)):
        total += 5 * data[p] * (p + 1)
    for p in range(min(len(small), _BOUND)):
        total += 7 * small[p] * (p + 1)
    for p in range(min(len(wide), _BOUND)):
        total += 11 * wide[p]
    for p in range(min(len(other), _BOUND)):
        total -= 13 * other[p]
    return total


@kernel
def less(one: int, flag: bool, two: int, other: bool) -> bool:
    """Return whether ``one < two``, or with only the first of the flags ``one > two``."""
    return one > two if flag and not other else one < two


@kernel
def fill(first: I32, second: I32, value: int) -> None:
    """Number two arrays, one upwards from ``value``, one downwards."""
    for p in range(min(len(first), _BOUND)):
        first[p] = value + p
    for p in range(min(len(second), _BOUND)):
        second[p] = value - p


CANARIES: Final[tuple[Kernel[..., Any], ...]] = (weigh, less, fill)


def holds(target: Target) -> bool | None:
    """Return whether kept machine code for this target does what plain Python does; None: a canary's code is not kept."""
    kept = [found for found in (one.kept(target) for one in CANARIES) if found is not None]
    if len(kept) < len(CANARIES):
        return None
    try:
        return _answers(kept) == _answers([one.py for one in CANARIES])
    except (RuntimeError, TypeError):  # ``native`` cannot pass the arguments, or the function says that it failed
        return False


def _answers(forms: Sequence[Callable[..., Any]]) -> list[object]:
    weighing, comparing, filling = forms
    room = np.zeros((_BOUND, _BOUND), np.int32)  # a grid of the wrong shape stays within it
    grid = room.reshape(-1)[: 3 * 5].reshape(3, 5)
    data, small = np.frombuffer(b"canary", np.uint8), np.array([-1, 2, -3], np.int8)
    wide, other = np.array([1 << 50, -7], np.int64), np.array([9, 8, 7, 6], np.int64)
    first, second = np.zeros(_BOUND, np.int32), np.zeros(_BOUND, np.int32)
    return [
        *(weighing(data, small, wide, other, grid, 17, -(1 << 33), flag) for flag in (False, True)),
        weighing(data[:0], small[:1], wide[:0], other[:1], grid[:0], one=1, two=2, flag=False),
        *(comparing(1, flag, 2, other) for flag in (False, True) for other in (False, True)),
        filling(first[:7], second[:5], -4),
        *(array.tolist() for array in (room, first, second)),
    ]
