"""What a short command can do without: parts of imports, and memory that lies idle."""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

import click

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""``M_TRIM_THRESHOLD`` and so on of glibc's malloc.h."""

_PROSE = ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars", "pyarrow.vendored.docscrape")
"""Modules that write documentation and do nothing else, or read it: 0.02 s."""

_ABSENT = ("pandas", "pyarrow._azurefs", "pyarrow._gcsfs", "pyarrow._hdfs", "pyarrow._s3fs")
"""What pyarrow does without where it is not installed. Its first conversion of anything would import pandas, for 0.4 s."""

_NAMED = ("utf8_zero_fill",)
"""Functions that ``pyarrow.compute`` itself names when it has made them all."""

_KEYWORDS = {"and_": "and", "or_": "or"}
"""What functions are called in Python, and by Arrow."""


class _Finder:
    """Finds nothing that is absent, no prose, and the first of what comes later.

    A finder and a loader without the base classes of importlib.abc, whose import takes 0.005 s.
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        if fullname in _ABSENT:
            raise ModuleNotFoundError("not wanted here", name=fullname)
        loader: Any = self
        if fullname in _PROSE:
            return ModuleSpec(fullname, loader)
        if fullname in _LATER and (spec := PathFinder.find_spec(fullname, path)) and spec.loader:
            loader = _First(spec.loader)
            spec.loader = loader
            return spec
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """An empty one."""

    def exec_module(self, module: ModuleType) -> None:
        """It stays empty, but for what pyarrow calls in it: no parameter of anything is described."""
        module.NumpyDocString = lambda text: {"Parameters": ()}  # type: ignore[attr-defined]


class _First:
    """Loads a module for what all want of it at once; everything else when it is asked for."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> None:
        """As any other."""

    def exec_module(self, module: Any) -> None:
        def rest(name: str) -> Any:
            del module.__getattr__
            self._loader.exec_module(module)
            return getattr(module, name)

        vars(module).update(_LATER[module.__name__](), __getattr__=rest)


def _types() -> dict[str, Any]:
    numpy: Any = importlib.import_module("numpy._core.multiarray")
    return {"NDArray": numpy.ndarray[tuple[Any, ...], numpy.dtype[TypeVar("Scalar")]]}


def _no_authorities() -> dict[str, Any]:
    """Certificates for Arrow's file systems of clouds, which are absent."""
    return {"get_default_verify_paths": lambda: SimpleNamespace(cafile=None, capath=None)}


_LATER: dict[str, Callable[[], dict[str, Any]]] = {
    "asyncio.sslproto": dict,
    "numpy._typing": _types,
    "numpy.typing": _types,
    "ssl": _no_authorities,
}
"""Modules of which all want the same, and few the rest: hundreds of types for annotations, 0.015 s, and TLS, 0.01 s."""


class _Few:
    """Arrow's registry of functions, and only few are listed."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def list_functions(self) -> tuple[str, ...]:
        return _NAMED

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)


class Command(click.Command):
    """Looks for ``-H`` among short options. click does so when no long one is called so, and what is spelled like it is known:
    six options take 0.006 s then.
    """

    def make_parser(self, ctx: click.Context) -> Any:
        """click's own, which goes by the number of dashes. Another version's, of other parts, is left as it is."""
        parser: Any = super().make_parser(ctx)
        with suppress(AttributeError):
            long, short, prefixes = parser._process_opts, parser._match_short_opt, parser._opt_prefixes
            parser._process_opts = lambda arg, state: (long if arg[:2] in prefixes else short)(arg, state)
        return parser


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
