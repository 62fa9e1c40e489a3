"""What several receivers report as one; their processes are tested in tests/system/test_workers.py."""

from __future__ import annotations

import signal

from prometheus_client import Metric

from logsink.net import Readiness, Report
from logsink.receiver import workers


def report(value: float) -> Report:
    family = Metric("logsink_frames", "Frames received.", "counter")
    family.add_sample("logsink_frames_total", {"transport": "tcp"}, value)
    return Report(Readiness(True, {}), [family])


def test_metrics_are_told_apart_by_worker() -> None:
    families = {one.name: one for one in workers._together({1: report(3.0), 2: report(4.0)})}
    found = [(sample.labels, sample.value) for sample in families["logsink_frames"].samples]
    assert found == [({"transport": "tcp", "worker": "1"}, 3.0), ({"transport": "tcp", "worker": "2"}, 4.0)]
    assert "logsink_workers_ended" in families


def test_signals_wait_while_they_are_blocked() -> None:
    def blocked() -> bool:
        return signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    with workers._blocked(frozenset({signal.SIGUSR2})):
        assert blocked()
    assert not blocked()


def test_how_a_process_ended() -> None:
    assert workers._ending(-9) == "signal SIGKILL"
    assert workers._ending(2) == "exit code 2"
