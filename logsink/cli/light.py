"""Imports that a short command can do without."""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
