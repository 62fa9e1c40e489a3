"""A clock that counts the time in which the machine was suspended, too."""

from __future__ import annotations

import time


def awake() -> float:
    """Return the seconds since the machine started, those in which it was suspended included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
