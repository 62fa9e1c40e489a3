"""The room says with which versions of numba and llvmlite it was seen to work, and no other can be installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import logsink.kernel


@pytest.mark.parametrize("package", ["numba", "llvmlite"])
def test_declared_versions_are_those_that_were_tried(root: Path, package: str) -> None:
    stated = re.search(rf"{package} 0\.(\d+) to\s+0\.(\d+)", logsink.kernel.__doc__ or "")
    assert stated
    first, last = map(int, stated.groups())
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"{package}>=0.{first},<0.{last + 1}" in declared
