"""What a short command can do without: imports, and memory that lies idle."""

from __future__ import annotations

import ctypes
import importlib.abc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ARENA_MAX = -8
"""``M_ARENA_MAX`` of glibc's malloc.h."""


class _NoPandas(importlib.abc.MetaPathFinder):
    """pyarrow imports pandas at its first conversion of anything, where there is one; that costs 0.4 s and is for nothing."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("not wanted here", name=fullname)


@contextmanager
def without_pandas() -> Iterator[None]:
    """No pandas in here, unless the process had it, or pyarrow, before: it is not ours alone then."""
    if {"pandas", "pyarrow"} & sys.modules.keys():
        yield
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def without_idle_memory() -> None:
    """Have Arrow use malloc, with two arenas. All rows as JSON take 385 MB so, and 470 with Arrow's own, in the same time.

    Where malloc cannot be told how many arenas to have, nothing changes.
    """
    import pyarrow as pa

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and mallopt(_ARENA_MAX, 2):
        pa.set_memory_pool(pa.system_memory_pool())
