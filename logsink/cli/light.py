"""What a short command can do without: parts of imports, and memory that lies idle."""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""``M_TRIM_THRESHOLD`` and so on of glibc's malloc.h."""

_PROSE = ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars")
"""Modules that write documentation and do nothing else: 0.013 s."""

_NAMED = ("utf8_zero_fill",)
"""Functions that ``pyarrow.compute`` itself names when it has made them all."""

_KEYWORDS = {"and_": "and", "or_": "or"}
"""What functions are called in Python, and by Arrow."""


class _Finder:
    """Finds no pandas, which pyarrow imports at its first conversion of anything, for 0.4 s and nothing, and no prose.

    A finder and a loader without the base classes of importlib.abc, whose import takes 0.005 s.
    """

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname == "pandas":
            raise ModuleNotFoundError("not wanted here", name=fullname)
        loader: Any = self
        return ModuleSpec(fullname, loader) if fullname in _PROSE else None

    def create_module(self, spec: ModuleSpec) -> None:
        """An empty one."""

    def exec_module(self, module: ModuleType) -> None:
        """It stays empty."""


class _Few:
    """Arrow's registry of functions, and only few are listed."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def list_functions(self) -> tuple[str, ...]:
        return _NAMED

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)


@contextmanager
def light_imports() -> Iterator[None]:
    """numpy and pyarrow in a third less time, unless the process had one of these or pandas before: not ours alone then."""
    if {"numpy", "pandas", "pyarrow"} & sys.modules.keys():
        yield
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        _compute()
        yield
    finally:
        sys.meta_path.remove(finder)


def _compute() -> None:
    """Import ``pyarrow.compute``. Of 0.07 s that takes, 0.055 go into making 300 functions with signatures and documentation:
    here each is made when it is first asked for. Where pyarrow is not as it is known to be, it does as it always does.
    """
    try:
        core: Any = importlib.import_module("pyarrow._compute")
        every = core.function_registry
        core.function_registry = lambda: _Few(every())
        try:
            compute: Any = importlib.import_module("pyarrow.compute")
        finally:
            core.function_registry = every
        make = compute._wrap_function
    except Exception:  # noqa: BLE001  whatever another version does otherwise: who imports it next gets it as it is
        sys.modules.pop("pyarrow.compute", None)
        return

    def made(name: str) -> Any:
        try:
            function = make(name, every().get_function(_KEYWORDS.get(name, name)))
        except LookupError:
            raise AttributeError(f"module 'pyarrow.compute' has no attribute {name!r}", name=name) from None
        setattr(compute, name, function)
        return function

    compute.function_registry = every
    compute.__getattr__ = made


def without_idle_memory() -> None:
    """Have Arrow use malloc, with two arenas that keep some memory for the next buffers, and large buffers apart from them.

    All rows as JSON take 440 to 490 MB so, 480 to 510 with thresholds that malloc finds by itself, and more with Arrow's
    allocator, in the same time. Where malloc cannot be told, nothing changes.
    """
    import pyarrow as pa

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and mallopt(_ARENA_MAX, 2):
        mallopt(_MMAP_THRESHOLD, 4 << 20)
        mallopt(_TRIM_THRESHOLD, 32 << 20)
        pa.set_memory_pool(pa.system_memory_pool())
