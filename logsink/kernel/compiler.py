"""numba's part: compile one function for one signature, or take the result from a file."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from types import FunctionType
from typing import Any, NamedTuple, cast

from logsink.kernel import native
from logsink.kernel.cache import Files
from logsink.kernel.parameters import ARRAYS, Kind


class Signature(NamedTuple):
    """What a kernel takes and returns.

    annotations    names of the parameters' types, in order
    result         annotation of the result
    """

    names: tuple[str, ...]
    annotations: tuple[str, ...]
    result: str

    @property
    def parameters(self) -> Mapping[str, Kind]:
        """Parameter -> what it accepts."""
        return {name: ARRAYS.get(kind, kind) for name, kind in zip(self.names, self.annotations, strict=True)}


def native_kind(target: native.Target) -> str:
    """Return the kind of files that ``native`` loads."""
    return f"{native.stamp(target)}.o"


def machine_code(function: FunctionType, signature: Signature, files: Files) -> tuple[Any, bool]:
    """Return numba's function object with this one signature, and whether it was compiled and kept just now."""
    import numba  # 0.5 s: only who runs machine code pays
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.cpu import CPUTargetOptions

    options: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy", "no_cfunc_wrapper": True}
    if hasattr(CPUTargetOptions, "_nrt"):
        options["_nrt"] = False  # calls between kernels count references otherwise: 0.12 s of a million messages
    made: Any = numba.njit(**options)(function)
    types = _types()
    arguments = tuple(types[kind] for kind in signature.annotations)
    target, kept = _configured(), False
    with global_compiler_lock:
        if not _restored(made, files, f"{native.stamp(target)}.numba"):
            made.compile(arguments)
            kept = _keep(made.overloads[arguments], signature, files, target)
    made.disable_compile()
    return made, kept


def _types() -> dict[str, Any]:
    """Annotation -> numba's type."""
    from numba import types

    scalars = {"int": types.int64, "bool": types.boolean, "bytes": types.Bytes(types.uint8, 1, "C", readonly=True)}
    arrays = {
        name: types.Array(getattr(types, kind.dtype), kind.ndim, "C", readonly=kind.readonly)
        for name, kind in ARRAYS.items()
    }
    return scalars | arrays


def _configured() -> native.Target:
    """Return the target that numba compiles for: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES, this processor without them."""
    from numba.core import config

    here, settings = native.host(), cast(Any, config)
    return native.Target(
        here.cpu if settings.CPU_NAME is None else settings.CPU_NAME,
        here.features if settings.CPU_FEATURES is None else settings.CPU_FEATURES,
    )


def _restored(made: Any, files: Files, kind: str) -> bool:
    """Give numba's function object the machine code that is kept in a file; return whether there is one."""
    from numba.core import compiler

    context = made.targetctx
    context.refresh()
    for content in files.read(kind):
        try:
            result = cast(Any, compiler.CompileResult)._rebuild(context, *pickle.loads(content))
        except Exception:  # noqa: BLE001  a file that numba cannot read is no reason to stop: compile
            continue
        context.insert_user_function(result.entry_point, result.fndesc, [result.library])
        made.add_overload(result)
        return True
    return False


def _keep(result: Any, signature: Signature, files: Files, target: native.Target) -> bool:
    """Write the machine code to files, for numba and for ``native``; return whether there is a place for them."""
    from numba.core import serialize

    code = _native_code(result, signature)
    if not files.write(f"{native.stamp(target)}.numba", cast(Any, serialize).dumps(result._reduce())):
        return False
    return code is None or files.write(native_kind(target), code.packed())


def _native_code(result: Any, signature: Signature) -> native.Code | None:
    """Return what numba compiled, if ``native`` calls such functions."""
    symbol, library = result.fndesc.llvm_func_name, result.library
    found = [str(argument.type) for argument in library.get_function(symbol).arguments]
    expected = native.convention([*signature.parameters.values()], signature.result)
    if expected != found:
        return None
    externals = re.findall(r"^declare .*?@([\w.$]+)\(", library.get_llvm_str(), re.MULTILINE)
    named = tuple(name for name in externals if not name.startswith("llvm."))
    _, _, (body, _) = library.serialize_using_object_code()
    return native.Code(symbol, named, body)
