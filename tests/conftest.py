"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from logsink import telemetry

# A slow machine is no bug; what is too slow is measured by benchmarks/.
hypothesis.settings.register_profile("logsink", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("logsink")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's directory."""
    return Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _own_log() -> None:
    """No test is told less because another one was told it before."""
    telemetry.start_over()
