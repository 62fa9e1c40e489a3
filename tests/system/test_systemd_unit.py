"""The unit for systemd: systemd accepts it, rates it well, and operations.md shows what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from logsink.net import KINDS
from tests.support.receiver import COMMAND

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "logsink.service"
EXPOSURE = 20
"""Most of systemd's exposure level, in tenths, that the unit may have."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is installed here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    made = tmp_path / "logsink.service"
    made.write_text(UNIT.read_text().replace("/opt/logsink/bin/logsink", COMMAND[0]))
    return made


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def test_systemd_accepts_it(unit: Path) -> None:
    done = analyze("verify", str(unit))
    assert done.returncode == 0, done.stderr
    assert "logsink.service" not in done.stderr


def test_systemd_accepts_its_sockets(unit: Path) -> None:
    for socket in sorted((ROOT / "systemd").glob("*.socket")):
        copy = unit.with_name(socket.name)
        copy.write_text(socket.read_text())
        done = analyze("verify", str(copy))
        assert (done.returncode, socket.name in done.stderr) == (0, False), done.stderr


def test_there_is_a_socket_for_each_kind_of_listener() -> None:
    for kind in KINDS:
        text = (ROOT / "systemd" / f"logsink-{kind.replace('_', '-')}.socket").read_text()
        assert f"\nFileDescriptorName={kind}\n" in text
        assert ("\nListenDatagram=" if kind == "udp" else "\nListenStream=") in text


def test_systemd_rates_it_well(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(unit))
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot rate a file")
    assert done.returncode == 0, done.stdout


def test_operations_shows_lines_of_the_unit() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    section = text.partition("**As a systemd unit,**")[2]
    shown = re.search(r"```ini\n(.*?)```", section, re.DOTALL)
    assert shown is not None
    lines = [line for line in shown[1].splitlines() if line and not line.startswith("[")]
    assert set(lines) <= set(UNIT.read_text().splitlines())
    for needed in ("StartLimitIntervalSec=0", "RestartSec=2", "UMask=0027", "Environment=LOGSINK_CREATE=never"):
        assert needed in lines
