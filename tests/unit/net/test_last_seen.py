"""When senders were last heard of: the metric, and its bounds."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from logsink import telemetry
from logsink.kinds import Address
from logsink.net import last_seen
from logsink.net.last_seen import FORGOTTEN, LastSeen
from logsink.net.tcp import TcpConnection
from logsink.net.udp import UdpListener
from tests.support.bench import close, make


@pytest.fixture(autouse=True)
def _none_before() -> Iterator[None]:
    telemetry.SENDER_LAST_SEEN.clear()
    yield
    telemetry.SENDER_LAST_SEEN.clear()


def told() -> dict[str, float]:
    (family,) = telemetry.SENDER_LAST_SEEN.collect()
    return {sample.labels["sender"]: sample.value for sample in family.samples}


def untold() -> float:
    (family,) = telemetry.SENDERS_UNTOLD.collect()
    return next(sample.value for sample in family.samples if sample.name.endswith("_total"))


def test_each_sender_has_the_time_of_its_last_frames() -> None:
    seen = LastSeen()
    for sender, now in (("10.0.0.1", 100.0), ("10.0.0.2", 101.0), ("10.0.0.1", 102.5), (None, 103.0)):
        seen.see(sender, now)
    assert told() == {}
    seen.tell(110.0)
    assert told() == {"10.0.0.1": 102.5, "10.0.0.2": 101.0}


def test_what_others_have_kept_is_asked_for() -> None:
    seen = LastSeen()
    seen.ask(lambda: seen.see("10.0.0.3", 105.0))
    seen.tell(110.0)
    assert told() == {"10.0.0.3": 105.0}


def test_a_sender_is_forgotten_after_a_day() -> None:
    seen = LastSeen()
    seen.see("10.0.0.1", 100.0)
    seen.see("10.0.0.2", 101.0)
    seen.tell(100.0 + FORGOTTEN)
    assert told() == {"10.0.0.1": 100.0, "10.0.0.2": 101.0}
    seen.tell(100.5 + FORGOTTEN)
    assert told() == {"10.0.0.2": 101.0}


def test_senders_beyond_the_limit_are_counted_and_push_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_seen, "MOST", 2)
    seen, before = LastSeen(), untold()
    for number in range(5):
        seen.see(f"10.0.0.{number}", 100.0 + number)
    seen.see("10.0.0.0", 200.0)
    seen.tell(200.0)
    assert told() == {"10.0.0.0": 200.0, "10.0.0.1": 101.0}
    assert untold() - before == 3
    seen.tell(150.0 + FORGOTTEN)
    seen.see("10.0.0.4", 150.0 + FORGOTTEN)
    seen.tell(150.0 + FORGOTTEN)
    assert set(told()) == {"10.0.0.0", "10.0.0.4"}


async def test_listeners_tell_of_their_senders() -> None:
    bench, began = await make(), time.time()
    listener = await UdpListener.bound(bench.intake, Address("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.2", 0))
        sender.sendto(b"<13>one", listener.socket.getsockname())
    async with asyncio.timeout(20):
        while len(await bench.rows()) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
    _, writer = await asyncio.open_connection("127.0.0.1", await bench.listen(TcpConnection))
    writer.write(b"<13>two\n")
    writer.write_eof()
    async with asyncio.timeout(20):
        while len(await bench.rows()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    writer.close()
    bench.intake.last_seen.tell()
    assert set(told()) == {"127.0.0.1", "127.0.0.2"}
    assert began <= told()["127.0.0.2"] <= time.time()
    bench.intake.last_seen.tell(time.time() + FORGOTTEN + 60)
    assert told() == {}
    listener.close()
    await close(bench)
