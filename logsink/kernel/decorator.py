"""A kernel: a function in two forms, machine code and plain Python; and the choice of the one that runs."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast

import numpy as np

from logsink.kernel import native
from logsink.kernel.cache import Files, files
from logsink.kernel.compiler import Signature, machine_code, native_kind
from logsink.kernel.parameters import ARRAYS, SCALARS

P = ParamSpec("P")
R = TypeVar("R")

FEW: Final = 2000
"""Rows that the plain form handles in the time in which machine code is loaded: 0.03 ms of parsing each, against 0.07 s."""

COMPILING: Final = threading.RLock()
"""Held while a kernel's machine code is compiled or loaded."""

_every: list[Kernel[Any, Any]] = []


class Kernel(Generic[P, R]):
    """A function in two forms: calling it runs machine code, calling ``py`` the same source without numba.

    Both take numpy arrays (the compiled form no ``bytes``: use ``numpy.frombuffer``) and give equal results. Several
    threads may call a kernel at once; the compiled form does not hold the GIL.
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
        """Run the plain form. Elements of arrays are Python integers in it."""
        run = self._plain or self.plain()
        viewed = [memoryview(cast(Any, a)) if isinstance(a, np.ndarray) else a for a in args]
        return run(*cast(Any, viewed), **kwargs)

    def form(self, rows: int, few: int = FEW) -> Callable[P, R]:
        """Return the form to run for ``rows`` more rows: machine code where it ``pays``, else plain Python."""
        return self if self.pays(rows, few) else self.py

    def pays(self, rows: int, few: int = FEW) -> bool:
        """Return whether machine code is to run for ``rows`` more rows.

        It runs where it is loaded, where numba is imported already (as it is in a receiver), and once this kernel was to
        handle more than ``few`` rows in all. So a command with few rows never waits for machine code, one with many once.
        """
        if self._compiled or self._loaded or "numba" in sys.modules:
            return True
        self._plain_rows += rows
        return self._plain_rows > few

    def plain(self) -> Callable[P, R]:
        """Return the source as it stands, calling the plain forms of other kernels. It takes anything that can be indexed."""
        if self._plain is None:
            self._plain = cast(Callable[P, R], self._bound(lambda callee: callee.plain()))
        return self._plain

    def compile(self) -> Callable[P, R]:
        """Return machine code that numba calls, compiled now where none is kept. Its calls are the fastest."""
        with COMPILING:
            if self._compiled is None:
                function = self._bound(lambda callee: callee.compile())
                made, kept_now = machine_code(function, self._signature(), self._files())
                self._compiled = cast(Callable[P, R], made)
                if kept_now:
                    _compile_canaries()
        return self._compiled

    def kept(self, target: native.Target) -> Callable[P, R] | None:
        """Return the machine code that is kept for this target, to be called without numba; None where there is none."""
        signature = self._signature()
        for content in self._files().read(native_kind(target)):
            with contextlib.suppress(ValueError):
                code = native.Code.unpacked(content)
                return native.load(code, self.__name__, signature.parameters, signature.result)
        return None

    def _load(self) -> Callable[P, R] | None:
        """Return kept machine code, where numba is not imported already and the canaries do as they must."""
        if "numba" in sys.modules:
            return None
        with COMPILING:
            if self._loaded is None:
                for target in native.runnable():
                    if self._loaded is None and (kept := self.kept(target)) and _trusted(target):
                        self._loaded = kept
        return self._loaded

    def _bound(self, form: Callable[[Kernel[..., Any]], object]) -> FunctionType:
        """Return a copy of the function that calls the given form of other kernels."""
        source = self.function
        names = {"__name__": source.__module__, "__builtins__": source.__globals__["__builtins__"]}
        for name, value in self._named():
            names[name] = form(value) if isinstance(value, Kernel) else value
        copy = FunctionType(source.__code__, names, source.__name__, source.__defaults__)
        copy.__qualname__ = source.__qualname__
        return copy

    def _named(self) -> Iterator[tuple[str, Any]]:
        """Return the module's names that the code uses, with their values."""
        code = self.function.__code__
        return ((n, self.function.__globals__[n]) for n in code.co_names if n in self.function.__globals__)

    def _files(self) -> Files:
        source = self.function
        return files(source.__code__.co_filename, f"{source.__module__}.{self.__name__}-{self._digest()}")

    def _signature(self) -> Signature:
        """Return the signature that the annotations say. ``TypeError``: an annotation is none of a kernel's."""
        code, annotations = self.function.__code__, self.function.__annotations__
        names = code.co_varnames[: code.co_argcount]
        kinds = tuple(str(annotations.get(name)) for name in names)
        for name, kind in zip(names, kinds, strict=True):
            if kind not in ARRAYS and kind not in SCALARS:
                known = ", ".join((*SCALARS, *ARRAYS))
                raise TypeError(f"cannot compile {self!r}: parameter {name} is annotated {kind}, not one of {known}")
        return Signature(names, kinds, str(annotations.get("return")))

    def _digest(self) -> str:
        """Return a digest of all that machine code depends on besides numba, LLVM and the target."""
        if self._known:
            return self._known
        seen = hashlib.sha256(repr(self._signature().annotations).encode())
        for part in _facts(self.function.__code__):
            seen.update(part.encode())
        for name, value in self._named():
            if not isinstance(value, Kernel | int | bytes | tuple):
                raise TypeError(f"cannot compile {self!r}: it names {name}, which is neither a kernel nor a constant")
            seen.update(f"{name}={value._digest() if isinstance(value, Kernel) else repr(value)}".encode())
        self._known = seen.hexdigest()[:16]
        return self._known


def kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """Make a kernel of a function that keeps the room's law. Nothing is compiled yet."""
    return Kernel(function)


def compile_all(*modules: ModuleType) -> int:
    """Compile every kernel of these modules, or of all modules imported so far; return how many there are."""
    names = tuple(module.__name__ for module in modules) or ("logsink.",)
    found = [one for one in _every if one.function.__module__.startswith(names)]
    for one in found:
        one.compile()
    return len(found)


def _facts(code: CodeType) -> Iterator[str]:
    yield repr((code.co_code, code.co_consts, code.co_names, code.co_varnames))


def _compile_canaries() -> None:
    from logsink.kernel.canary import CANARIES  # they are kernels themselves

    for one in CANARIES:
        one.compile()


@cache
def _trusted(target: native.Target) -> bool:
    """Return whether the canaries answer as they must, so that kept machine code for this target may be called.

    Where they do not, the log says so. Where their machine code is not kept, they are compiled for the next process.
    """
    from logsink.kernel.canary import holds

    answer = holds(target)
    if answer is None:
        _compile_canaries()
    elif not answer:
        from logsink.telemetry import MACHINE_CODE_REFUSED  # 0.05 s: imported only to speak

        MACHINE_CODE_REFUSED.log()
    return bool(answer)
