"""Programs that tests drive and that pip cannot install: skip without them, except in CI, where their absence is a failure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

_TOOLS = Path(__file__).parents[2] / ".tools" / "bin"
_PLACES = os.pathsep.join(
    [str(_TOOLS), os.environ.get("PATH", ""), "/usr/sbin", "/sbin", str(Path.home() / "go" / "bin")]
)


def require(program: str) -> str:
    """Path of ``program``. Without it the test is skipped; with ``CI=true`` in the environment it fails."""
    found = shutil.which(program, path=_PLACES)
    return found or missing(f"{program} is not installed (`make test` installs it where it can)")


def missing(reason: str) -> str:
    """End the test because ``reason``: failed in CI, skipped elsewhere. Never returns; the type pleases ``x or missing()``."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must not skip: {reason}")
    pytest.skip(reason)
