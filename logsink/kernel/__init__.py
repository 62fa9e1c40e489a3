"""``@kernel``: loops over bytes and arrays, in machine code or as plain Python. Home of all that knows numba and llvmlite.

    decorator     ``Kernel``: the two forms of a function, and which of them runs
    parameters    the names that a kernel's annotations use
    intrinsics    kernels whose machine code is written by hand: ``copy``, ``word``, ``either``, ``times`` and others
    compiler      numba compiles a kernel, or restores what it compiled from a file
    cache         the files in which machine code is kept
    native        machine code called without numba
    canary        the proof that ``native`` calls it as numba would

The law of kernels. A kernel is a function of arrays and integers; it allocates nothing, raises nothing, and calls only
other kernels that its module imported by name. Its parameters are annotated with the names exported here and nothing else,
so there is exactly one compiled form of it, whatever is passed: a read-only array where a kernel only reads is no second
form. Module constants it names (int, bytes, tuples) are frozen into it. Integers have 64 bits when compiled, but not as plain
Python, and must not pass them in either: what may is computed by ``times``, ``plus`` and ``fold``, which give the same in both.
A kernel that allocates is not compiled: numba's counting of references is off, because it takes longer than most calls.

Which form runs. ``form(rows)`` is the plain one until a process has handled so many rows that loading machine code would
have been faster; a call always runs machine code, ``py`` never. Importing this room does not import numba. The first
compiled call does, and not even that where the machine code is kept in a file: ``native`` calls it then. Who makes many
calls ``compile``s the kernel first, because numba's calls are cheaper.

Where machine code is kept. Beside the module (``__pycache__``), or where that cannot be written in the user's cache
directory, or nowhere; both places are read, so that a read-only installation can bring its own. A file's name carries a
digest of the kernel's code, of every constant it names and, recursively, of every kernel it calls, so that a change in
another file leaves no stale one behind, and a digest of numba's and llvmlite's versions and of the target: the processor
that numba is configured to compile for (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES), or else the one that compiled. ``native``
calls code for this very processor, or for any one (NUMBA_CPU_NAME=generic, as in the image), and no other.

What this room uses of numba and llvmlite that their documentation does not promise, seen to work with numba 0.62 to 0.68
and llvmlite 0.45 to 0.50, which ``pyproject.toml`` declares:

    the native calling convention, drawn in ``native`` and proved by ``canary``; names that begin with ``numba_`` are helpers
        that only the wrapper around a function calls
    CompileResult: ``_reduce``, ``_rebuild``, ``fndesc``, ``library``, ``entry_point``, and of the library ``get_function``,
        ``get_llvm_str``, ``serialize_using_object_code``: machine code to a file and back
    Dispatcher: ``targetctx``, ``overloads``, ``add_overload``, ``disable_compile``, and of the target context ``refresh``,
        ``insert_user_function``: a function object with restored machine code
    the option ``_nrt``, which turns the counting of references off, and ``no_cfunc_wrapper``
    ``numba.core.config``: CPU_NAME and CPU_FEATURES; ``numba.core.serialize.dumps``; ``numba.core.compiler_lock``
    the file ``numba/_version.py``, read because importing numba for its version takes 0.5 s
    ``numba.core.cgutils.raw_memcpy``, and of the target context ``make_array``, ``get_dummy_value``, for ``intrinsics``
    ``llvmlite.binding.ffi``, ``initfini``, ``targets``, ``orcjit`` imported one by one, and ``llvmlite.ir`` for ``intrinsics``

Nothing of theirs is replaced, subclassed or assigned to.
"""

from logsink.kernel.decorator import FEW, Kernel, compile_all, kernel
from logsink.kernel.intrinsics import both, copy, either, fold, load, plus, times, word
from logsink.kernel.parameters import (
    I8,
    I32,
    I64,
    MASK,
    U8,
    Bytes,
    Grid32,
    ReadGrid32,
    ReadI8,
    ReadI32,
    ReadI64,
)

__all__ = [
    "FEW",
    "I8",
    "I32",
    "I64",
    "MASK",
    "U8",
    "Bytes",
    "Grid32",
    "Kernel",
    "ReadGrid32",
    "ReadI8",
    "ReadI32",
    "ReadI64",
    "both",
    "compile_all",
    "copy",
    "either",
    "fold",
    "kernel",
    "load",
    "plus",
    "times",
    "word",
]
