"""How glibc's malloc keeps memory: arenas and thresholds, set with ``mallopt``."""

from __future__ import annotations

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""``M_ARENA_MAX`` of glibc's ``malloc.h``, as the two above."""


def configure(*, arenas: int, mmap_threshold: int, trim_threshold: int) -> bool:
    """Return whether malloc was told to use so many ``arenas``, and thresholds in bytes: no other C library has ``mallopt``.

    mmap_threshold   larger allocations are mapped on their own, and returned to the system when they are freed
    trim_threshold   bytes at the end of the heap that are kept for the next allocations
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or not mallopt(_ARENA_MAX, arenas):
        return False
    mallopt(_MMAP_THRESHOLD, mmap_threshold)
    mallopt(_TRIM_THRESHOLD, trim_threshold)
    return True
