"""Types of a kernel's parameters: the names that its annotations use, and what each of them accepts."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

MASK: Final = (1 << 63) - 1
"""All bits of a positive 64-bit integer: what may pass them is masked with it, so that both forms give the same."""

# What a parameter may be, besides int, bool, and (as a constant) bytes. All arrays are C-contiguous.
Bytes = bytes | npt.NDArray[np.uint8]  # only read
ReadI8 = npt.NDArray[np.int8]  # only read
ReadI32 = npt.NDArray[np.int32]  # only read
ReadI64 = npt.NDArray[np.int64]  # only read
U8 = npt.NDArray[np.uint8]
I8 = npt.NDArray[np.int8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Grid32 = npt.NDArray[np.int32]  # two dimensions
ReadGrid32 = npt.NDArray[np.int32]  # two dimensions, only read


class Array(NamedTuple):
    """What an array passed as this parameter must be.

    readonly    the kernel only reads it, so that a read-only array will do
    """

    dtype: str
    ndim: int
    readonly: bool


Kind = Array | str
"""What a parameter accepts: an array, or one of ``SCALARS``."""

ARRAYS: Final = MappingProxyType(
    {
        "Bytes": Array("uint8", 1, readonly=True),
        "ReadI8": Array("int8", 1, readonly=True),
        "ReadI32": Array("int32", 1, readonly=True),
        "ReadI64": Array("int64", 1, readonly=True),
        "U8": Array("uint8", 1, readonly=False),
        "I8": Array("int8", 1, readonly=False),
        "I32": Array("int32", 1, readonly=False),
        "I64": Array("int64", 1, readonly=False),
        "Grid32": Array("int32", 2, readonly=False),
        "ReadGrid32": Array("int32", 2, readonly=True),
    }
)
"""Annotation -> the arrays that it accepts."""

SCALARS: Final = ("int", "bool", "bytes")
