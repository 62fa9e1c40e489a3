"""``logsink audit`` of what RELP clients have sent to two receivers, of which one is killed and started again."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from logsink.cli.client_config.request import Request, Target
from logsink.cli.client_config.rsyslog import configuration
from tests.support.receiver import Receiver, query, run
from tests.support.relp_client import RelpClient
from tests.support.rsyslog import Rsyslog

BATCH = 250
"""Messages after which something happens."""

LOST = {(0, 100, 100), (0, 777, 790), (1, 1501, 1540), (3, 2, 2)}
"""Boot, first and last number of messages that are never sent."""


def frames(boot: int, first: int, last: int) -> list[bytes]:
    """Messages of a boot, but for those that are lost."""
    text = b'<13>1 2026-11-22T03:%02d:%02dZ web-%d app - - [deploy@32473 instance="i-%d" boot="b%d" seq="%d"] message'
    lost = {n for of, low, high in LOST if of == boot for n in range(low, high + 1)}
    numbers = [n for n in range(first, last + 1) if n not in lost]
    return [text % (n // 60 % 60, n % 60, boot // 2, boot // 2, boot, n) for n in numbers]


def audit(store: str) -> tuple[int, dict[str, Any]]:
    done = run("audit", "--store", store, "-j", "-q")
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("batches", [8, 100])
async def test_only_what_was_never_sent_is_missing(tmp_path: Path, batches: int) -> None:
    """Restarts of clients, sessions that change over, that break with messages under way, and receivers that are killed.

    Each session comes from an address of its own. Otherwise a receiver would take a client that comes back within a second for
    one that has been nowhere else, as rsyslog's rebind does, and would not flag what it sends again.
    """
    url = f"file://{tmp_path}/store"
    receivers = [Receiver(url, tmp_path / f"receiver{n}") for n in range(2)]
    for receiver in receivers:
        receiver.__enter__()
    resent, addresses = 0, (f"127.0.0.{n}" for n in range(2, 250))
    try:
        for boot in range(4):
            client = RelpClient(receivers[boot % 2].port("relp"), window=200, source=next(addresses))
            for batch in range(batches):
                await client.send(*frames(boot, batch * BATCH + 1, (batch + 1) * BATCH))
                if batch % 4 == 1:  # to the other receiver, in good order
                    await client.close()
                    resent += client.resent
                    client = RelpClient(receivers[batch // 4 % 2].port("relp"), window=200, source=next(addresses))
                elif batch % 4 == 3:  # torn off, with messages under way, and on to the other
                    client.drop(reset=True)
                    client.port, client.source = receivers[(batch // 4 + 1) % 2].port("relp"), next(addresses)
            if boot in (1, 2):  # killed while it has messages, and a new one in its place
                receivers[boot % 2].kill()
                receivers[boot % 2] = Receiver(url, tmp_path / f"receiver{boot}again")
                receivers[boot % 2].__enter__()
                client.port, client.source = receivers[boot % 2].port("relp"), next(addresses)
            await client.settle()
            await client.close()
            resent += client.resent
        assert resent, "nothing was sent again: the test shows nothing"
    finally:
        for receiver in receivers:
            receiver.stop()
    code, found = audit(url)
    assert {(int(hole["boot"][1:]), hole["first"], hole["last"]) for hole in found["holes"]} == LOST
    assert code == 1
    assert all(hole["before"] and hole["after"] for hole in found["holes"])
    assert [boot["numbers"] for boot in found["boots"]] == [len(frames(n, 1, batches * BATCH)) for n in range(4)]
    assert [boot["unexplained"] for boot in found["boots"]] == [0] * 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rebind", "kill", "both"])
def test_rsyslogd_with_our_configuration(tmp_path: Path, kind: str) -> None:
    """Two lives of rsyslogd; connections made anew after each 700th message; a receiver killed with messages under way.

    Neither loses a message. Both together do: omrelp (8.2302) forgets what was not acknowledged when the receiver dies while it
    waits for the end of a session that it makes anew. The audit says what is missing, to the number.
    """
    url, each, lives = f"file://{tmp_path}/store", 4000, 2
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = configuration(Request(Target("127.0.0.1", port))).replace('"/var/spool/rsyslog"', f'"{tmp_path}"')
    for usual, small in (
        ('rebindInterval="100000"', 'rebindInterval="700"' if kind != "kill" else ""),
        ('action.resumeInterval="5"', 'action.resumeInterval="1"'),
    ):
        assert usual in text
        text = text.replace(usual, small)
    lines = [b"<13>Jan  5 10:00:00 web1 app: message %d" % number for number in range(each)]
    for life in range(lives):
        receiver = Receiver(url, tmp_path / f"receiver{life}")
        receiver.listen["relp"] = port
        with receiver, Rsyslog(tmp_path, text, template="logsink-relp") as rsyslog:
            rsyslog.send(lines[: each // 2])
            receiver.wait_for("logsink_frames_total", each // 4)
            receiver.kill() if kind != "rebind" else receiver.stop()
            rsyslog.send(lines[each // 2 :])
            rsyslog.wait(each)
            again = Receiver(url, tmp_path / f"receiver{life}again")
            again.listen["relp"] = port
            with again:
                again.wait_for("logsink_frames_total", each // 2)
                rsyslog.stop()
    code, found = audit(url)
    missing = {(boot, n) for boot, numbers in stored(url).items() for n in set(range(1, each + 1)) - numbers}
    assert missing == {(hole["boot"], n) for hole in found["holes"] for n in range(hole["first"], hole["last"] + 1)}
    assert code == int(bool(missing))
    assert kind == "both" or not missing
    assert [boot["unexplained"] for boot in found["boots"]] == [0] * lives


def stored(url: str) -> dict[str, set[int]]:
    """The numbers of each boot that a query finds."""
    numbers: dict[str, set[int]] = {}
    for line in query(url, "-n", "0", "-o", "json").splitlines():
        pair = re.search(r'boot="([^"]+)" seq="(\d+)"', json.loads(line)["structured_data"])
        assert pair
        numbers.setdefault(pair[1], set()).add(int(pair[2]))
    return numbers
