"""What `logsink serve` makes of signals, and what it refuses before it makes a store."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from logsink.cli.main import main
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


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--ready-file", "missing/ready"], {}, "cannot write --ready-file missing/ready: No such file or directory"),
        ([], {"LOGSINK_LEDGER__OBJECT_LOCK": "1d"}, "cannot use ledger.object_lock with file://"),
        ([], {"LOGSINK_LEDGER__SIGN_KEY": "missing.pem"}, "cannot read ledger.sign_key missing.pem"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_made(
    arguments: list[str], environ: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["serve", "--store", "store", "--tcp", "127.0.0.1:0", *arguments]
    result = CliRunner().invoke(main, command, env={"HOME": str(tmp_path)} | environ)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith(f"logsink: {said}")
    assert list(tmp_path.iterdir()) == []
