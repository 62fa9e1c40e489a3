"""``@kernel``: a function in two forms, machine code and plain Python; and which of them runs."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast

import numpy as np

from logsink.kernel.cache import Files
from logsink.kernel.compiler import dispatcher
from logsink.kernel.parameters import ARRAYS, SCALARS

P = ParamSpec("P")
R = TypeVar("R")

FEW: Final = 2000
"""Rows that the plain form handles in the time in which machine code is loaded: 0.03 ms of parsing each, against 0.07 s."""

_every: list[Kernel[Any, Any]] = []
COMPILING: Final = threading.RLock()


class Kernel(Generic[P, R]):
    """A function in two forms: calling it runs machine code, calling ``py`` the same source without numba.

    Both take numpy arrays (the compiled form no ``bytes``: use ``numpy.frombuffer``) and give equal results. Safe to
    call from several threads; the compiled form does not hold the GIL.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        self.function: Final = cast(FunctionType, function)
        self.__doc__ = function.__doc__
        self.__name__ = self.function.__name__
        self._compiled: Callable[P, R] | None = None
        self._loaded: Callable[P, R] | None = None
        self._plain: Callable[P, R] | None = None
        self._plain_rows = 0
        self._known = ""
        _every.append(self)

    def __repr__(self) -> str:
        return f"<kernel {self.function.__module__}.{self.__name__}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return (self._compiled or self._loaded or self._load() or self.compile())(*args, **kwargs)

    def py(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The kernel without numba. Elements of arrays are Python integers in it."""
        run = self._plain or self.plain()
        viewed = [memoryview(cast(Any, a)) if isinstance(a, np.ndarray) else a for a in args]
        return run(*cast(Any, viewed), **kwargs)

    def form(self, rows: int, few: int = FEW) -> Callable[P, R]:
        """Return the form that handles ``rows`` more rows sooner, by ``pays``."""
        return self if self.pays(rows, few) else self.py

    def pays(self, rows: int, few: int = FEW) -> bool:
        """Whether to run machine code for ``rows`` more rows: it is loaded, or was asked for more than ``few`` rows by now.

        So a command that handles few rows never waits for machine code, and one that handles many waits once. Where numba
        is imported already, as it is in a receiver, machine code always runs.
        """
        if self._compiled or self._loaded or "numba" in sys.modules:
            return True
        self._plain_rows += rows
        return self._plain_rows > few

    def plain(self) -> Callable[P, R]:
        """The source as it stands, calling the plain forms of other kernels; takes anything that can be indexed."""
        if self._plain is None:
            self._plain = cast(Callable[P, R], self._bound(lambda callee: callee.plain()))
        return self._plain

    def compile(self) -> Callable[P, R]:
        """The machine code by way of numba, compiled or loaded from the cache now if it was not before: the fastest to call."""
        with COMPILING:
            if self._compiled is None:
                function = self._bound(lambda callee: callee.compile())
                self._compiled = cast(Callable[P, R], dispatcher(function, self._signature(), self._files()))
        return self._compiled

    def _load(self) -> Callable[P, R] | None:
        """The machine code without numba, where it is kept and numba is not there already."""
        if "numba" in sys.modules:
            return None
        with COMPILING:
            if self._loaded is None:
                self._loaded = self._files().load()
        return self._loaded

    def _bound(self, form: Callable[[Kernel[..., Any]], object]) -> FunctionType:
        """A copy of the function whose calls go to the given form of other kernels."""
        source = self.function
        names = {"__name__": source.__module__, "__builtins__": source.__globals__["__builtins__"]}
        for name, value in self._named():
            names[name] = form(value) if isinstance(value, Kernel) else value
        copy = FunctionType(source.__code__, names, source.__name__, source.__defaults__)
        copy.__qualname__ = source.__qualname__
        return copy

    def _named(self) -> Iterator[tuple[str, Any]]:
        """The module's names that the code uses, with their values."""
        code = self.function.__code__
        return ((n, self.function.__globals__[n]) for n in code.co_names if n in self.function.__globals__)

    def _files(self) -> Files:
        source = self.function
        found = (
            os.path.join(os.path.dirname(source.__code__.co_filename), "__pycache__"),
            os.path.expandvars("$XDG_CACHE_HOME/logsink/kernels"),
            os.path.expanduser("~/.cache/logsink/kernels"),
        )
        directories = tuple(filter(os.path.isabs, found))  # relative: no source, no such variable, or no home
        name = f"{source.__module__}.{self.__name__}-{self._digest()}.{sys.implementation.cache_tag}-2"
        parameters = {
            each: ARRAYS.get(kind, kind)
            for each, kind in zip(source.__code__.co_varnames, self._signature(), strict=False)
        }
        return Files(directories, name, parameters, str(source.__annotations__.get("return")))

    def _signature(self) -> list[str]:
        """Names of the parameters' types, in order."""
        code = self.function.__code__
        annotations = self.function.__annotations__
        kinds = [str(annotations.get(name)) for name in code.co_varnames[: code.co_argcount]]
        for name, kind in zip(code.co_varnames, kinds, strict=False):
            if kind not in ARRAYS and kind not in SCALARS:
                names = ", ".join((*SCALARS, *ARRAYS))
                raise TypeError(f"cannot compile {self!r}: parameter {name} is annotated {kind}, not one of {names}")
        return kinds

    def _digest(self) -> str:
        """Changes with anything that the machine code depends on, numba's version and the processor excepted."""
        if self._known:
            return self._known
        seen = hashlib.sha256(repr(self._signature()).encode())
        for part in _facts(self.function.__code__):
            seen.update(part.encode())
        for name, value in self._named():
            if not isinstance(value, Kernel | int | bytes | tuple):
                raise TypeError(f"cannot compile {self!r}: it names {name}, which is neither a kernel nor a constant")
            seen.update(f"{name}={value._digest() if isinstance(value, Kernel) else repr(value)}".encode())
        self._known = seen.hexdigest()[:16]
        return self._known


def kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """Make a kernel of a function, by the law above; nothing is compiled yet."""
    return Kernel(function)


def compile_all(*modules: ModuleType) -> int:
    """Compile (or load from the cache) every kernel of these modules, or of all modules imported so far; how many there are."""
    names = tuple(module.__name__ for module in modules) or ("logsink.",)
    found = [one for one in _every if one.function.__module__.startswith(names)]
    for one in found:
        one.compile()
    return len(found)


def _facts(code: CodeType) -> Iterator[str]:
    yield repr((code.co_code, code.co_consts, code.co_names, code.co_varnames))
