"""Machine code of kernels as files that are loaded and called without numba: 0.07 s for all of parsing, where numba takes 0.5.

numba compiles, and what came out is kept beside its own cache: the object file, and the name of the function in it. Loading
it takes llvmlite alone. It is called by numba's native convention through ``ctypes``, which costs some 10 us a call where
numba's own dispatcher takes 2: for commands that make few calls.

    int32 function(result *, exception **, arguments...)
    an array as     memory info *, parent *, items, item size, data *, shape..., strides...       (all 64 bits)
    an integer as   int64           a bool as    int8

Whether numba still calls so is asked before a file is written (``convention``), and a file that is not whole is not used.
What the file says of numba's helpers (``numba_...``) concerns code around the function that is never called.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

import numpy as np

from logsink.kernel.parameters import Array, Kind

_HELPERS: Final = "numba_"
_RESULTS: Final = {"int": ctypes.c_int64, "bool": ctypes.c_int8, "None": ctypes.c_int64}

_linking = threading.Lock()
_linked: list[Any] = []  # what keeps machine code where it is


class Code(NamedTuple):
    """A compiled function: its name in ``body`` (an object file), and the names that it leaves to be found elsewhere."""

    symbol: str
    externals: tuple[str, ...]
    body: bytes

    def packed(self) -> bytes:
        """As a file's contents."""
        head = json.dumps([self.symbol, self.externals, _sum(self.body)]).encode()
        return head + b"\n" + self.body

    @classmethod
    def unpacked(cls, content: bytes) -> Code:
        """``ValueError`` when it is not whole."""
        head, _, body = content.partition(b"\n")
        try:
            symbol, externals, whole = json.loads(head)
        except TypeError as error:
            raise ValueError("no head") from error
        if whole != _sum(body):
            raise ValueError("not whole")
        return cls(symbol, tuple(externals), body)


def convention(kinds: Sequence[Kind], result: str) -> list[str] | None:
    """LLVM's types of the parameters of a function with these, as this module calls it; None: it calls no such function."""
    if result not in _RESULTS:
        return None
    types = ["ptr", "ptr"]
    for kind in kinds:
        if isinstance(kind, Array):
            types += ["ptr", "ptr", "i64", "i64", "ptr", *["i64"] * (2 * kind.ndim)]
        elif kind in ("int", "bool"):
            types.append("i64" if kind == "int" else "i8")
        else:
            return None
    return types


@cache
def stamp() -> str:
    """Changes with whatever machine code depends on besides its source: numba, LLVM, the processor. '' without numba."""
    import llvmlite

    numba = find_spec("numba")
    if numba is None or numba.origin is None:
        return ""
    with open(os.path.join(os.path.dirname(numba.origin), "_version.py"), "rb") as file:
        version = file.read()
    targets = _llvm("targets")
    facts = (version, llvmlite.__version__, targets.get_host_cpu_name(), targets.get_host_cpu_features().flatten())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def load(code: Code, name: str, parameters: Mapping[str, Kind], result: str) -> Callable[..., Any]:
    """The function, to be called as its source would be. ``ValueError`` when it cannot be linked here."""
    names, kinds = list(parameters), list(parameters.values())
    types = convention(kinds, result)
    if types is None:
        raise ValueError(f"no way to call {name}")
    named = {"ptr": ctypes.c_void_p, "i64": ctypes.c_int64, "i8": ctypes.c_int8}
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, *(named[kind] for kind in types))
    function = prototype(_address(code))
    returned, nothing = _RESULTS[result], result == "None"

    def call(*args: Any, **named: Any) -> Any:
        if named:
            args += tuple(named.pop(each) for each in names[len(args) :] if each in named)
        if len(args) != len(kinds) or named:
            raise TypeError(f"cannot call {name} with {len(args)} arguments: it takes {len(kinds)}")
        flat: list[Any] = []
        for argument, kind in zip(args, kinds, strict=True):
            if isinstance(kind, Array):
                flat += _flattened(argument, kind, name)
            else:
                flat.append(argument)
        value, exception = returned(), ctypes.c_void_p()
        if function(ctypes.addressof(value), ctypes.addressof(exception), *flat):
            raise RuntimeError(f"cannot run {name}: it raised an exception")
        return None if nothing else bool(value.value) if result == "bool" else value.value

    return call


def _flattened(array: Any, kind: Array, name: str) -> list[int]:
    if not (
        isinstance(array, np.ndarray)
        and array.dtype == kind.dtype
        and array.ndim == kind.ndim
        and array.flags.c_contiguous
        and (kind.readonly or array.flags.writeable)
    ):
        raise TypeError(f"cannot call {name}: no matching definition takes {array!r} for {kind}")
    data = array.__array_interface__["data"][0]
    return [0, 0, array.size, array.itemsize, data, *array.shape, *array.strides]


def _address(code: Code) -> int:
    """Of the function, for as long as the process lives."""
    library = _llvm("orcjit").JITLibraryBuilder().add_object_img(code.body).export_symbol(code.symbol)
    process = ctypes.pythonapi  # all that is loaded, the C library too
    for external in code.externals:
        function = getattr(process, external, None)
        if function is None and not external.startswith(_HELPERS):
            raise ValueError(f"no {external} here")
        library.import_symbol(external, ctypes.cast(function or process.Py_FatalError, ctypes.c_void_p).value)
    with _linking:
        try:
            _linked.append(library.link(_engine(), str(len(_linked))))
        except RuntimeError as error:
            raise ValueError(f"cannot link {code.symbol}: {error}") from error
        return int(_linked[-1][code.symbol])


@cache
def _engine() -> Any:
    starting = _llvm("initfini")
    starting.initialize_native_target()
    starting.initialize_native_asmprinter()
    return _llvm("orcjit").create_lljit_compiler(suppress_errors=True)


def _llvm(part: str) -> Any:
    """A part of llvmlite's binding, without the others where the package itself loads later."""
    import_module("llvmlite.binding.ffi")  # all parts take it from the package: have it there
    return import_module(f"llvmlite.binding.{part}")


def _sum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
