"""Several workers on the same addresses: `logsink serve --workers 2`."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from logsink import __version__
from tests.support.receiver import PATIENCE, Receiver, found_once, query, query_frames, run, until
from tests.support.relp_client import RelpClient


class Workers(Receiver):
    """A `logsink serve` with two of them."""

    def __init__(self, tmp_path: Path, **settings: str) -> None:
        super().__init__(f"file://{tmp_path}/store", tmp_path / "serve", workers="2", archive__max_age="1s", **settings)

    @property
    def pids(self) -> list[int]:
        """Its workers' processes."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    @property
    def metrics(self) -> str:
        """What /metrics says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port('http')}/metrics", timeout=PATIENCE) as reply:
            text: str = reply.read().decode()
        return text


def messages(name: str, count: int) -> list[bytes]:
    return [b"<13>1 2026-11-22T03:12:05Z web %b - - - message %d" % (name.encode(), n) for n in range(count)]


def send(port: int, lines: list[bytes], connections: int = 1) -> None:
    """Over TCP, some by each connection."""
    for n in range(connections):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"".join(line + b"\n" for line in lines[n::connections]))


def test_they_share_the_connections_and_are_one_to_the_outside(tmp_path: Path) -> None:
    sent = messages("tcp", 4000)
    with Workers(tmp_path) as receiver:
        assert receiver.process is not None
        assert receiver.process.pid == json.loads((tmp_path / "serve" / "ready.json").read_text())["pid"]
        assert len(receiver.pids) == 2
        send(receiver.port("tcp"), sent, connections=40)
        receiver.wait_for("logsink_frames_total", len(sent))
        receiver.wait_for("logsink_archive_rows_total", len(sent))
        status, detail = receiver.readiness()
        metrics = receiver.metrics
        loaded = [receiver.loaded(pid) for pid in receiver.pids]
    assert receiver.exit_code == 0, receiver.log
    assert all("/pyarrow/" in one and "/pandas/" not in one for one in loaded)
    found_once(receiver.store, sent)
    rows = [json.loads(line) for line in query(receiver.store, "-n", "0", "-o", "json").splitlines()]
    share = collections.Counter(row["receiver"] for row in rows)
    assert len(share) == 2  # of 40 connections one of two gets none once in 5 * 10^11 times
    assert status == 200
    told = {number: one["receiver"] for number, one in detail["workers"].items()}  # type: ignore[attr-defined]
    for number, name in told.items():
        assert f'logsink_frames_total{{transport="tcp",worker="{number}"}} {share[name]:.1f}' in metrics
        assert f"worker {number}: logsink " in receiver.log
    assert metrics.count("# TYPE logsink_frames_total counter") == 1
    assert f'logsink_build_info{{version="{__version__}",worker="2"}} 1.0' in metrics
    assert metrics.count("process_resident_memory_bytes{worker=") == 2
    assert "_created" not in metrics
    assert "worker 1: stopped" in receiver.log
    assert "worker 2: stopped" in receiver.log


async def test_one_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with Workers(tmp_path, journal__ack_delay="5ms") as receiver:
        clients = [RelpClient(receiver.port("relp"), window=1000) for _ in range(10)]

        async def send_all(round_: int) -> None:
            for n, client in enumerate(clients):
                await client.send(*messages(f"client-{n}", 300 * (round_ + 1))[300 * round_ :])

        await send_all(0)
        killed, other = await asyncio.to_thread(lambda: receiver.pids)
        sending = asyncio.create_task(send_all(1))
        os.kill(killed, signal.SIGKILL)
        await sending
        for client in clients:
            await client.settle()
        await until(lambda: len(receiver.pids) == 2 and receiver.metrics.count("logsink_receive_paused{") == 2)
        assert other in receiver.pids
        assert receiver.metric("logsink_workers_ended_total") == 1
        assert (await asyncio.to_thread(receiver.readiness))[0] == 200
        await send_all(2)
        for client in clients:
            await client.close()
            assert client.acknowledged == client.sent
    assert receiver.exit_code == 0, receiver.log
    assert "it ended with signal SIGKILL" in receiver.log
    sent = collections.Counter(frame for client in clients for frame in client.sent)
    found = await asyncio.to_thread(query_frames, receiver.store, "--dedupe")
    assert collections.Counter(found) == sent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_is_one_signal(number: signal.Signals, tmp_path: Path) -> None:
    """As service managers and terminals send it."""
    with Workers(tmp_path, receive__drain_timeout="10m") as receiver:
        assert receiver.process is not None
        socks = [socket.create_connection(("127.0.0.1", receiver.port("tcp"))) for _ in range(10)]
        sent = messages("late", 10)
        receiver.wait_for("logsink_connections_accepted_total", 10)
        for pid in (*receiver.pids, receiver.process.pid):
            os.kill(pid, number)
        receiver._wait(lambda: receiver.log.count("draining") == 2)
        for sock, message in zip(socks, sent, strict=True):
            sock.sendall(message + b"\n")
            sock.close()
        assert receiver.wait() == 0, receiver.log
    found_once(receiver.store, sent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_while_they_begin(number: signal.Signals, tmp_path: Path) -> None:
    receiver = Workers(tmp_path)
    process = receiver.launch()
    receiver._wait(lambda: len(receiver.pids) == 2)
    for pid in (*receiver.pids, process.pid):
        os.kill(pid, number)
    assert receiver.wait() == 0, receiver.log
    assert "Traceback" not in receiver.log
    assert receiver.log.count("stopped; everything received is stored") == 2


@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_a_terminal_sighup_loses_nothing(tmp_path: Path, workers: str) -> None:
    with Receiver(f"file://{tmp_path}/store", tmp_path, workers=workers, journal__max_delay="10s") as receiver:
        assert receiver.process is not None
        with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sender:
            sender.sendall(b"<13>1 - - a - - - one\n")
            receiver.wait_for("logsink_frames_total", 1)
            sender.sendall(b"<13>1 - - a - - - two\n")
            receiver.wait_for("logsink_frames_total", 2)
            children = Path(f"/proc/{receiver.process.pid}/task/{receiver.process.pid}/children").read_text().split()
            for pid in (*map(int, children), receiver.process.pid):
                os.kill(pid, signal.SIGHUP)
            receiver._wait(lambda: "nothing to do at SIGHUP" in receiver.log)
            sender.sendall(b"<13>1 - - a - - - three\n")
            receiver.wait_for("logsink_frames_total", 3)
    assert receiver.exit_code == 0, receiver.log
    assert len(query_frames(receiver.store)) == 3


def test_a_second_signal_cuts_the_drain_short(tmp_path: Path) -> None:
    with Workers(tmp_path, receive__drain_timeout="10m") as receiver:
        socks = [socket.create_connection(("127.0.0.1", receiver.port("tcp"))) for _ in range(10)]
        receiver.wait_for("logsink_connections_accepted_total", 10)
        receiver.again(signal.SIGTERM)
        assert receiver.exit_code == 0, receiver.log
    for sock in socks:
        sock.close()
    assert receiver.log.count("connections that were still sending") == 2


async def test_without_the_first_process_they_drain_and_end(tmp_path: Path) -> None:
    sent = messages("orphan", 1000)
    with Workers(tmp_path) as receiver:
        pids = receiver.pids
        send(receiver.port("tcp"), sent, connections=10)
        receiver.wait_for("logsink_frames_total", len(sent))
        receiver.kill()
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    found_once(receiver.store, sent)
    assert receiver.log.count("the first process is gone: draining") == 2
    assert receiver.log.count("stopped; everything received is stored") == 2


def test_what_one_of_them_cannot_do_none_does(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("serve", "--workers", "2", "--store", f"file://{tmp_path}/store", "--tcp", address)
    assert done.returncode == 2
    lines = done.stderr.decode().splitlines()
    assert lines[-1].startswith(f"logsink: cannot listen on {address} (tcp): ")
    assert sum(line.startswith("logsink: ") for line in lines) == 1


def test_signals_within_a_second_are_one(tmp_path: Path) -> None:
    """As `timeout` sends it: to the process, and at once to its group. What a sender still has is waited for."""
    with Receiver(f"file://{tmp_path}/store", tmp_path / "serve", receive__drain_timeout="10m") as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
            receiver.wait_for("logsink_connections", 1)
            receiver.send_signal(signal.SIGTERM)
            receiver.send_signal(signal.SIGINT)
            assert sock.recv(1) == b""  # it drains
            sock.sendall(b"<13>late\n")
        assert receiver.wait() == 0, receiver.log
    assert "draining" in receiver.log
    assert "still sending" not in receiver.log
    found_once(receiver.store, [b"<13>late"])


@pytest.mark.parametrize("settings", [{}, {"workers": "2"}])
def test_a_second_receiver_on_the_same_address_does_not_start(settings: dict[str, str], tmp_path: Path) -> None:
    with Receiver(f"file://{tmp_path}/store", tmp_path / "serve", **settings) as receiver:
        for kind in ("tcp", "udp", "relp", "http"):
            address = f"127.0.0.1:{receiver.port(kind)}"
            others = () if kind != "http" else ("--tcp", "127.0.0.1:0")
            for how in ((), ("--workers", "2"), ("--share-ports",)):
                done = run("serve", "--store", f"file://{tmp_path}/other", f"--{kind}", address, *others, *how)
                assert done.returncode == 2
                last = done.stderr.decode().splitlines()[-1]
                assert last.startswith(f"logsink: cannot listen on {address} ({kind}): the address is in use"), last
                assert "share_ports" in last
