"""Threads of lower priority, for work that nobody waits for.

A sender waits for its acknowledgement; nobody waits for a round of the archive or for compaction.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

NICENESS: Final = 10
"""Added to the niceness of a background thread. Where all cores are busy it gets a tenth of what a receiving thread gets."""


def background_thread(name: str) -> ThreadPoolExecutor:
    """Return an executor with one thread that gives way to the other threads of the process.

    Only Linux knows a priority for each thread; elsewhere it is an ordinary thread.
    """
    return ThreadPoolExecutor(1, name, initializer=_lower_priority)


def _lower_priority() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # a sandbox may forbid it, and the work can be done all the same
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
