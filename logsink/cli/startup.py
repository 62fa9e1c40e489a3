"""What the process of a command does to start, end and use memory as a short-lived program should.

Nothing of the standard library or of a dependency is replaced here: modules are left out by the interpreter's own means.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

_YOUNG_OBJECTS = 200_000
"""Objects made before Python looks for garbage: more than the start of a query makes, a tenth of which it is with 700."""


def prepare() -> None:
    """Prepare the process of one command, before it imports anything large."""
    gc.set_threshold(_YOUNG_OBJECTS)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads for matrices, which no command has


def without_pandas() -> None:
    """Import pyarrow, and let it find that pandas is not there, unless this process has imported either already.

    pyarrow imports pandas, where it is installed, for its first conversion of anything: 0.4 s and 57 MB that no verb needs.
    It looks once, so that ``import pandas`` works as ever when this returns.
    """
    if {"pandas", "pyarrow"} & sys.modules.keys():
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        import pyarrow as pa

        for _ in range(
            2
        ):  # first pyarrow's Cython looks, which takes None for a module without a version, then its C++
            with suppress(AttributeError):
                pa.array([0])
    finally:
        del sys.modules["pandas"]


def use_little_memory() -> None:
    """Have malloc use two arenas that keep some memory for the next buffers, and map large buffers on their own.

    That is for what Python and numpy allocate: with an arena for each thread, each would keep memory of its own. Arrow stays
    with its own allocator. From glibc's malloc it would take aligned buffers, and of those that were freed glibc finds again
    only larger ones (https://sourceware.org/bugzilla/show_bug.cgi?id=14581): a sum took 0.5 MB more for each row group that it
    read, and 1.5 times the CPU seconds.
    """
    from logsink.platform import malloc

    malloc.configure(arenas=2, mmap_threshold=4 << 20, trim_threshold=32 << 20)
