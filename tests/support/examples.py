"""How many examples of a costly property are tried: some in every run, many times as many in ``make faults``."""

from __future__ import annotations

import os

_TIMES = int(os.environ.get("EXAMPLES", "1"))


def examples(some: int) -> int:
    """So many, times ``EXAMPLES`` in the environment. They are others in every run."""
    return some * _TIMES
