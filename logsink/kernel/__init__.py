"""``@kernel``: loops over bytes and arrays, compiled by numba at their first call, or run as they are by ``.py``.

The law of kernels. A kernel is a function of arrays and integers; it allocates nothing, raises nothing, and calls only
other kernels that its module imported by name. Its parameters are annotated with the names below and nothing else, so
there is exactly one compiled form of it, whatever is passed: a read-only array where a kernel only reads is no second
form. Module constants it names (int, bytes, tuples) are frozen into it. Integers have 64 bits and wrap silently when
compiled but not in ``.py``: what may pass 63 bits is masked with ``MASK`` right away, which gives the same in both.
What allocates is not compiled: references are not counted, which would take longer than most calls (``_dispatcher``).

numba is imported by the first compiled call, never by importing this module, and not even then where the machine code is kept
as ``machine`` keeps it: a command that makes a few calls starts in half the time. Who makes many calls ``compile``s first.
For a few hundred rows ``.py`` is faster than either.

The machine code is cached beside the module (``__pycache__``), or where that cannot be written, in the user's cache
directory, or nowhere; both places are read, so that a cache shipped with a read-only installation is used as it is. A
cache file's name carries a digest of the kernel's code, of every constant it names and, recursively, of every kernel it
calls: a change in another file cannot leave a stale one behind.
"""

from logsink.kernel.decorator import FEW, Kernel, compile_all, kernel
from logsink.kernel.intrinsics import both, copy, either, word
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
    "kernel",
    "word",
]
