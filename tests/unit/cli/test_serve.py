"""What `logsink serve` makes of signals."""

from __future__ import annotations

import pytest

from logsink.cli.serve import Signals


class Running:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stop(self, why: str) -> None:
        self.told.append(why)

    def hurry(self) -> None:
        self.told.append("hurry")


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([0.0], ["SIGTERM"]),
        ([5.0, 5.0], ["SIGTERM"]),
        ([5.0, 5.2, 5.999], ["SIGTERM"]),
        ([5.0, 6.0], ["SIGTERM", "hurry"]),
        ([5.0, 5.0, 7.0], ["SIGTERM", "hurry"]),
    ],
)
def test_signals_within_a_second_are_one(times: list[float], told: list[str]) -> None:
    running, now = Running(), iter(times)
    signals = Signals(running, lambda: next(now))  # type: ignore[arg-type]
    for _ in times:
        signals.take("SIGTERM")
    assert running.told == told


def test_a_terminal_that_is_closed_drains_and_otherwise_sighup_does_nothing() -> None:
    running = Running()
    signals = Signals(running, lambda: 5.0)  # type: ignore[arg-type]
    signals.hang_up(terminal=False)
    assert running.told == []
    signals.hang_up(terminal=True)
    assert running.told == ["SIGHUP"]
