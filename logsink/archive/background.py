"""Threads for what may take longer: nobody waits for a round of the archive, a sender waits for its acknowledgement."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

LOWER: Final = 10
"""How much lower its priority is (nice). Where all cores are busy it gets a tenth of what a thread that receives gets."""


def background(name: str) -> ThreadPoolExecutor:
    """One thread that gives way to the others of the process, on Linux: elsewhere a thread has no priority of its own."""
    return ThreadPoolExecutor(1, name, initializer=_give_way)


def _give_way() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # what a sandbox forbids is no reason not to work
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + LOWER)
