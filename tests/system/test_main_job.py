"""The main job, end to end: a real rsyslogd, the installed command, a local directory and an S3 server over HTTP."""

from __future__ import annotations

import collections
import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.proxy import Action, Forward, Reply, Request, in_thread
from tests.support.receiver import Receiver, query, query_frames, run
from tests.support.rsyslog import FORWARD, SYSLOG23, TRADITIONAL, Rsyslog, relp, tcp, udp
from tests.support.s3 import Server, s3_server

__all__ = ["s3_server"]

LINES = 30_000


def mixed_lines(count: int, name: str) -> Iterator[bytes]:
    """Messages of several kinds: short, long, empty, not ASCII, not UTF-8, with structured data, with control characters."""
    rnd = random.Random(name)
    bodies = (
        lambda i: b"connection from 10.0.%d.%d port %d" % (i % 250, i % 99, rnd.randrange(65536)),
        lambda i: b"x" * rnd.randrange(1, 900),
        lambda i: "größe über 9000 → ok ✓ %d".encode() % i,
        lambda i: b"latin \xe4\xf6\xfc %d" % i,
        lambda i: b"tab\there and \x1b[31mcolour\x1b[0m %d" % i,
        lambda i: b'{"json": true, "n": %d, "path": "C:\\\\x"}' % i,
    )
    for i in range(count):
        host, app = b"%b-%d" % (name.encode(), i % 40), rnd.choice((b"sshd", b"nginx", b"kernel", b"app.worker"))
        stamp = b"2026-11-%02dT%02d:%02d:%02d.%06dZ" % (20 + i % 3, i % 24, i % 60, i // 7 % 60, i % 1_000_000)
        body = rnd.choice(bodies)(i)
        if i % 3:
            sd = b'[deploy@32473 environment="prod" deploy="d-%d"]' % (i % 5) if i % 2 else b"-"
            yield b"<%d>1 %s %s %s %d - %s %s" % (i % 192, stamp, host, app, i % 9999, sd, body)
        else:
            yield b"<%d>%s %s %s[%d]: %s" % (i % 192, stamp, host, app, i % 9999, body)


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """A store's URL, and the environment to reach it."""
    if request.param == "file":
        return f"file://{tmp_path}/store", {}
    server: Server = request.getfixturevalue("s3_server")
    return server.fresh_url(), server.environment


ACTIONS = {
    "tcp_octet": (lambda port: tcp(port, octet_counted=True), "tcp", FORWARD, None, LINES),
    "tcp_lf": (tcp, "tcp", SYSLOG23, None, LINES),
    "tcp_lf_traditional": (tcp, "tcp", TRADITIONAL, None, LINES // 5),
    "relp": (relp, "relp", FORWARD, None, LINES),
    "udp": (udp, "udp", FORWARD, 5000, LINES // 5),
}


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.slow)], ids=["some", "many"])
def test_everything_rsyslog_forwards_is_found_once_byte_for_byte(
    times: int, store: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    """By one receiver, from a rsyslogd for each way of sending."""
    url, environ = store
    count = times * sum(lines for *_, lines in ACTIONS.values())
    with Receiver(url, tmp_path / "serve", environ=environ, archive__max_age="2s") as receiver:
        with contextlib.ExitStack() as running:
            senders = []
            for kind, (action, listener, template, rate, lines) in ACTIONS.items():
                (tmp_path / kind).mkdir()
                one = Rsyslog(tmp_path / kind, action(receiver.port(listener)), template=template, rate=rate)
                senders.append(running.enter_context(one))
                one.send(mixed_lines(times * lines, kind))
            for one, (*_, lines) in zip(senders, ACTIONS.values(), strict=True):
                one.wait(times * lines)
        receiver.wait_for("logsink_frames_total", count)
        receiver.wait_for("logsink_journal_segments_total", 1)  # from here on a query sees at least its frames
        during = query_frames(url, environ=environ)
        assert receiver.process is not None
        loaded = receiver.loaded(receiver.process.pid)
        assert "/pyarrow/" in loaded
        assert "/pandas/" not in loaded
    assert receiver.exit_code == 0, receiver.log
    sent = collections.Counter(frame for one in senders for frame in one.frames)
    assert sent.total() == count
    after = collections.Counter(query_frames(url, environ=environ))
    assert after == sent
    unseen = sent - collections.Counter(during)
    assert not collections.Counter(during) - sent
    assert unseen.total() < count


def test_a_relp_client_never_keeps_its_window_in_one_segment(tmp_path: Path) -> None:
    """See ``logsink.net.relp.SEGMENT``: loopback's own segments are 64 KiB, 128 frames with their heads 8 KiB at the least."""
    with (
        Receiver(f"file://{tmp_path}/store", tmp_path / "serve") as receiver,
        socket.create_connection(("127.0.0.1", receiver.port("relp"))) as sock,
    ):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 128 * 64


def test_it_starts_although_the_store_fails_now_and_then(s3_server: Server, tmp_path: Path) -> None:
    requests = 0

    def fate(request: Request) -> Action:
        nonlocal requests
        requests += 1
        return Reply(503, "SlowDown") if requests in (2, 12, 22, 25) else Forward()

    with (
        in_thread(s3_server.endpoint, fate) as proxy,
        Receiver(s3_server.fresh_url(), tmp_path / "serve", environ=s3_server.at(proxy.url).environment) as receiver,
    ):
        assert receiver.port("tcp")
    assert receiver.exit_code == 0, receiver.log
    assert requests > 25


def test_a_drain_under_load_and_a_new_receiver_lose_and_double_nothing(tmp_path: Path) -> None:
    """What was read before the drain, and what the peer still sends until it sees the end, is there once."""
    url = f"file://{tmp_path}/store"
    lines = [
        b"<13>1 2026-11-22T03:12:05.%06dZ web-1 load 1 - - message %d" % (i % 1_000_000, i) for i in range(300_000)
    ]
    sent = []

    def send(receiver: Receiver, share: list[bytes], started: threading.Event) -> None:
        with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
            for i in range(0, len(share), 500):
                sock.setblocking(False)
                try:
                    if sock.recv(1) == b"":
                        break
                except BlockingIOError:
                    pass
                sock.setblocking(True)
                sock.sendall(b"\n".join(share[i : i + 500]) + b"\n")
                sent.extend(share[i : i + 500])
                if i > 20_000:
                    started.set()
            started.set()

    rest = lines
    for life in range(3):
        with Receiver(url, tmp_path / f"serve-{life}", archive__max_age="1s") as receiver:
            started, before = threading.Event(), len(sent)
            sender = threading.Thread(target=send, args=(receiver, rest, started))
            sender.start()
            started.wait()
            if life < 2:
                assert receiver.stop() == 0, receiver.log
            sender.join()
            rest = rest[len(sent) - before :]
        assert receiver.exit_code == 0, receiver.log
    assert len(sent) == len(lines)
    assert collections.Counter(query_frames(url)) == collections.Counter(sent)


def test_a_line_is_found_within_two_seconds(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    with Receiver(url, tmp_path / "serve") as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
            sock.sendall(b"<13>Nov 22 03:12:05 web-1 test: hello-logsink\n")
        receiver.wait_for("logsink_journal_segments_total", 1)
        assert b"hello-logsink" in query(url, "hello-logsink")
        assert receiver.metric("logsink_archive_commits_total") == 0  # it was the journal that was read


ERRORS = {
    "no store": (
        ["query", "--store", "file:///nonexistent/store"],
        "cannot find a logsink store at file:///nonexistent/store",
    ),
    "wrong url": (["query", "--store", "gopher://x/y"], "gopher"),
    "bad time": (["query", "--since", "yesterdayish"], "yesterdayish"),
    "bad regex": (["query", "-E", "(unclosed"], "(unclosed"),
    "bad priority": (["query", "-p", "loud"], "loud"),
    "unreachable": (["query", "--store", "s3://logs/x"], "127.0.0.1:9"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_one_line_and_exit_2(case: str, tmp_path: Path) -> None:
    arguments, says = ERRORS[case]
    environ = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    done = run(
        *arguments, environ=environ | {"LOGSINK_STORE": f"file://{tmp_path}", "AWS_EC2_METADATA_DISABLED": "true"}
    )
    error = done.stderr.decode()
    assert done.returncode == 2, error
    assert done.stdout == b""
    assert error.startswith("logsink: ")
    assert says in error
    assert len(error.splitlines()) == 1, error


def test_bad_credentials_are_one_line_and_exit_2(s3_server: Server) -> None:
    if s3_server.name == "moto":
        pytest.skip("moto checks no credentials")
    wrong = s3_server.environment | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    done = run("query", "--store", s3_server.fresh_url(), environ=wrong)
    error = done.stderr.decode()
    assert done.returncode == 2, error
    assert len(error.splitlines()) == 1, error
    assert "SignatureDoesNotMatch" in error or "credentials" in error.lower()
