"""Machine code that is loaded and called without numba: 0.07 s for all of parsing, where importing numba takes 0.5 s.

numba compiles a kernel to an object file. This module links that file with llvmlite alone and calls the function in it through
``ctypes`` by numba's native calling convention. A call with four arrays costs 11 us, numba's own dispatcher takes
0.3 us: this way is for commands that make few calls.

    int32 function(result *, exception **, arguments...)
    array      memory info *, parent *, items, item size, data *, shape..., strides...      (64 bits each)
    int        int64
    bool       int8
    result     int64 for int, int8 for bool, unused for None

numba does not promise this convention. ``compiler`` keeps no file whose function has other LLVM types (``convention``),
and ``canary`` calls kernels that tell arguments of equal type apart before any other file is used.
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
"""Names of numba's helpers begin so. Only the wrapper around the function calls them, and nothing calls the wrapper."""

_RESULTS: Final = {"int": ctypes.c_int64, "bool": ctypes.c_int8, "None": ctypes.c_int64}

_linking = threading.Lock()
_linked: list[Any] = []  # keeps machine code in memory


class Target(NamedTuple):
    """The processor that machine code is made for: its name and its features (``+avx2,-sse4a,...``) as LLVM writes them."""

    cpu: str
    features: str


GENERIC: Final = Target("generic", "")
"""Any processor of this architecture: what NUMBA_CPU_NAME=generic stands for."""


class Code(NamedTuple):
    """A compiled function: its name in ``body`` (an object file), and the names that are to be found elsewhere."""

    symbol: str
    externals: tuple[str, ...]
    body: bytes

    def packed(self) -> bytes:
        """Return the content of a file."""
        return json.dumps([self.symbol, self.externals]).encode() + b"\n" + self.body

    @classmethod
    def unpacked(cls, content: bytes) -> Code:
        """Return the code in a file's content. ``ValueError``: it has another layout."""
        head, _, body = content.partition(b"\n")
        try:
            symbol, externals = json.loads(head)
            return cls(symbol, tuple(externals), body)
        except TypeError as error:
            raise ValueError("not machine code") from error


def convention(kinds: Sequence[Kind], result: str) -> list[str] | None:
    """Return the LLVM types of the parameters of such a function; None where this module does not call such functions."""
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
def host() -> Target:
    """Return the processor that this process runs on."""
    targets = _llvm("targets")
    return Target(targets.get_host_cpu_name(), targets.get_host_cpu_features().flatten())


def runnable() -> tuple[Target, ...]:
    """Return the targets whose machine code this processor can run, the fastest first."""
    return (host(), GENERIC)


@cache
def stamp(target: Target) -> str:
    """Return a digest of all that machine code depends on besides its source: numba, LLVM, the target. '' without numba."""
    import llvmlite

    numba = find_spec("numba")
    if numba is None or numba.origin is None:
        return ""
    with open(os.path.join(os.path.dirname(numba.origin), "_version.py"), "rb") as file:
        version = file.read()
    facts = (version, llvmlite.__version__, _llvm("targets").get_process_triple(), *target)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def load(code: Code, name: str, parameters: Mapping[str, Kind], result: str) -> Callable[..., Any]:
    """Return the function, to be called as the kernel's source would be. ``ValueError``: it cannot be linked here."""
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
    """Return the numbers that are passed for an array. ``TypeError``: it is not of this kind."""
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
    """Link the code, and return the address of its function, which is valid as long as the process lives."""
    library = _llvm("orcjit").JITLibraryBuilder().add_object_img(code.body).export_symbol(code.symbol)
    process = ctypes.pythonapi  # finds the names of all that is loaded, the C library included
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
    """Import one module of llvmlite's binding; where the package itself loads lazily, the others stay unloaded."""
    import_module("llvmlite.binding.ffi")  # all parts take it from the package: have it there
    return import_module(f"llvmlite.binding.{part}")
