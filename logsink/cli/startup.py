"""What a short command can do without: parts of imports, and memory that lies idle."""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

import click

from logsink.cli.later import Given, Later, functions, nothing

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""``M_TRIM_THRESHOLD`` and so on of glibc's malloc.h."""

_PROSE = ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars", "pyarrow.vendored.docscrape")
"""Modules that write documentation and do nothing else, or read it: 0.02 s."""

_ABSENT = ("pandas", "pyarrow._azurefs", "pyarrow._gcsfs", "pyarrow._hdfs", "pyarrow._s3fs")
"""What pyarrow does without where it is not installed. Its first conversion of anything would import pandas, for 0.4 s."""

_NAMED = ("utf8_zero_fill", "utf8_zfill")
"""A function that ``pyarrow.compute`` itself names when it has made them all, and what it calls it, too."""

_CALLED = {"and_": "and", "or_": "or", "utf8_zfill": "utf8_zero_fill"}
"""What functions are called in Python, and by Arrow."""


class _Finder(Later):
    """Finds nothing that is absent, no prose, and later what can wait."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        if fullname in _ABSENT:
            raise ModuleNotFoundError("not wanted here", name=fullname)
        if fullname in _PROSE:
            loader: Any = self
            return ModuleSpec(fullname, loader)
        return super().find_spec(fullname, path, target)

    def create_module(self, spec: ModuleSpec) -> None:
        """An empty one."""

    def exec_module(self, module: ModuleType) -> None:
        """It stays empty, but for what pyarrow calls in it: no parameter of anything is described."""
        module.NumpyDocString = lambda text: {"Parameters": ()}  # type: ignore[attr-defined]


def _types(load: Callable[[], Any]) -> dict[str, Any]:
    numpy: Any = importlib.import_module("numpy._core.multiarray")
    return {"NDArray": numpy.ndarray[tuple[Any, ...], numpy.dtype[TypeVar("Scalar")]]}


def _no_authorities(load: Callable[[], Any]) -> dict[str, Any]:
    """Certificates for Arrow's file systems of clouds, which are absent."""
    return {"get_default_verify_paths": lambda: SimpleNamespace(cafile=None, capath=None)}


_LATER: Mapping[str, Given] = {
    "asyncio.sslproto": nothing,
    "llvmlite.binding": nothing,
    "numpy._typing": _types,
    "numpy.linalg": functions("eigvals", "inv", "lstsq", "matrix_power"),
    "numpy.typing": _types,
    "ssl": _no_authorities,
}
"""Modules of which all want the same, and few the rest: hundreds of types for annotations, 0.015 s, and TLS, 0.01 s."""


class _Unlisted:
    """Arrow's registry of functions, and none is listed; what the module names nevertheless is there."""

    def list_functions(self) -> tuple[str, ...]:
        vars(sys.modules["pyarrow.compute"]).update(dict.fromkeys(_NAMED))
        return ()


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
    finder = _Finder(_LATER)
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
        core.function_registry = _Unlisted
        try:
            compute: Any = importlib.import_module("pyarrow.compute")
        finally:
            core.function_registry = every
        make = compute._wrap_function
        for name in _NAMED:
            delattr(compute, name)
    except Exception:  # noqa: BLE001  whatever another version does otherwise: who imports it next gets it as it is
        sys.modules.pop("pyarrow.compute", None)
        return

    def made(name: str) -> Any:
        try:
            function = make(name, every().get_function(_CALLED.get(name, name)))
        except LookupError:
            raise AttributeError(f"module 'pyarrow.compute' has no attribute {name!r}", name=name) from None
        setattr(compute, name, function)
        return function

    compute.function_registry = every
    compute._make_signature = lambda *about: None  # nobody asks, and inspect takes 0.008 s
    compute.__getattr__ = made


def without_pandas() -> None:
    """Import pyarrow and have it know that there is no pandas, which a receiver needs for nothing: the first conversion of
    anything would import it, for 0.2 s of the first message's way and 57 MB. Not where pyarrow is not ours alone.
    """
    if {"pandas", "pyarrow"} & sys.modules.keys():
        return
    finder = _Finder({})
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa

        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


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
