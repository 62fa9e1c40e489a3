"""What every test may ask for."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from logsink import telemetry
from tests.support.forms import running

# A slow machine is no bug; what is too slow is measured by benchmarks/.
hypothesis.settings.register_profile("logsink", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("logsink")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's directory."""
    return Path(__file__).parents[1]


@pytest.fixture(params=[True, False], ids=["compiled", "plain"])
def either_form(request: pytest.FixtureRequest) -> Iterator[None]:
    """Kernels run as machine code, and in a second test as plain Python."""
    with running(compiled=request.param):
        yield


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """No test is told less because another one was told it before, or ran a command that logs errors only."""
    telemetry.reset()
    logger = logging.getLogger("logsink")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """No test leaves its handlers of signals to the next ones, which could neither be interrupted nor interrupt anything."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before
