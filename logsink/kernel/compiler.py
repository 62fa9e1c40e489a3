"""numba's part: compile one function for one signature."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from logsink.kernel.cache import Files, numba_cache
from logsink.kernel.parameters import ARRAYS


def dispatcher(function: FunctionType, kinds: list[str], files: Files) -> object:
    """numba's function object with one compiled signature."""
    import numba  # 0.5 s: only who runs machine code pays
    from numba.core.cpu import CPUTargetOptions

    types: dict[str, Any] = {
        "int": numba.types.int64,
        "bool": numba.types.boolean,
        "bytes": numba.types.Bytes(numba.types.uint8, 1, "C", readonly=True),
    }
    for name, (dtype, ndim, readonly) in ARRAYS.items():
        types[name] = numba.types.Array(getattr(numba.types, dtype), ndim, "C", readonly=readonly)
    options: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy", "no_cfunc_wrapper": True}
    if hasattr(CPUTargetOptions, "_nrt"):  # numba's own affair, and perhaps called otherwise some day
        options["_nrt"] = False  # calls between kernels count references otherwise: 0.12 s of a million messages
    made: Any = numba.njit(**options)(function)
    made._cache = numba_cache(function, files)
    made.compile(tuple(types[kind] for kind in kinds))
    made.disable_compile()
    return made
