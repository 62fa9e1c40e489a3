"""What several receivers report as one; their processes are tested in tests/system/test_workers.py."""

from __future__ import annotations

import asyncio
import signal
from multiprocessing import Pipe

import uvloop
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


def test_a_message_that_comes_in_parts_is_read_whole() -> None:
    """With uvloop, which makes what it watches non-blocking: of many senders, a report has more than a part holds."""

    async def read() -> bytes:
        ours, theirs = Pipe()
        loop = asyncio.get_running_loop()
        found: asyncio.Future[bytes] = loop.create_future()
        workers._read_whole_messages(loop, ours, lambda: found.set_result(ours.recv()))
        await asyncio.to_thread(theirs.send, bytes(1 << 20))
        message = await asyncio.wait_for(found, 60)
        loop.remove_reader(ours.fileno())
        ours.close()
        theirs.close()
        return message

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(read()) == bytes(1 << 20)


def test_signals_wait_while_they_are_blocked() -> None:
    def blocked() -> bool:
        return signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    with workers._blocked(frozenset({signal.SIGUSR2})):
        assert blocked()
    assert not blocked()


def test_how_a_process_ended() -> None:
    assert workers._ending(-9) == "signal SIGKILL"
    assert workers._ending(2) == "exit code 2"
