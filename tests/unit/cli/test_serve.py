"""What `logsink serve` makes of signals, and what it refuses before it makes a store."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from logsink.cli.serve import Signals
from tests.support.receiver import COMMAND


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


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--ready-file", "missing/ready"], {}, "cannot write --ready-file missing/ready: No such file or directory"),
        ([], {"LOGSINK_LEDGER__OBJECT_LOCK": "1d"}, "cannot use ledger.object_lock with file://"),
        ([], {"LOGSINK_LEDGER__SIGN_KEY": "missing.pem"}, "cannot read ledger.sign_key missing.pem"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_made(
    arguments: list[str], environ: dict[str, str], said: str, tmp_path: Path
) -> None:
    """A process of its own, as a receiver takes over its signals."""
    command = [*COMMAND, "serve", "--store", "store", "--tcp", "127.0.0.1:0", *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOGSINK_")}
    done = subprocess.run(
        command,
        check=False,
        cwd=tmp_path,
        env=inherited | {"HOME": str(tmp_path)} | environ,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(f"logsink: {said}")
    assert list(tmp_path.iterdir()) == []
