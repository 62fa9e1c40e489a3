"""The clock that counts suspension."""

from __future__ import annotations

import time

from logsink.platform.clocks import awake


def test_it_runs_and_is_never_behind_the_one_that_stands_still_meanwhile() -> None:
    assert awake() <= awake()
    assert awake() >= time.monotonic() - 1
