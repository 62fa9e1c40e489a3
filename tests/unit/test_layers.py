"""The arrows of imports, and that each contract would notice a wrong one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-cache",
    ]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_imports_go_one_way(root: Path) -> None:
    result = lint_imports(root)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("store/base.py", "import logsink.journal.segment"),
        ("wire/framing.py", "import time"),
        ("parse/frames.py", "import logsink.telemetry"),
        ("journal/reader.py", "import socket"),
        ("config.py", "import click"),
        ("library.py", "import logsink.store.disk"),
        ("library.py", "import logsink.query.read.scan"),
        ("query/views/follow.py", "import logsink.query.read.scan"),
        ("receiver/receiver.py", "import logsink.net.stream"),
        ("warm.py", "import logsink.cli.main"),
    ],
)
def test_a_wrong_import_is_noticed(root: Path, tmp_path: Path, file: str, line: str) -> None:
    import shutil

    shutil.copytree(root / "logsink", tmp_path / "logsink", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    changed = tmp_path / "logsink" / file
    changed.write_text(changed.read_text() + f"\n{line}\n")
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    assert "BROKEN" in result.stdout, result.stdout + result.stderr
