"""Memory that outlives one parse: at full speed the first touch of fresh pages would take as long as parsing does."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt


class Workspace:
    """Named arrays that are handed out again and again.

    For one parse at a time: what one was given the next one overwrites.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, npt.NDArray[np.uint8]] = {}

    def array(self, name: str, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array of this shape, with any contents.

        The one handed out under this name before is no longer valid.
        """
        kind = np.dtype(dtype)
        size = (shape if isinstance(shape, int) else prod(shape)) * kind.itemsize
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[name] = np.empty(size + size // 4 + 64, np.uint8)
        return buffer[:size].view(kind).reshape(shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the workspace holds."""
        return sum(len(buffer) for buffer in self._buffers.values())
