"""A store in trouble while a receiver starts, and one that refuses what S3-compatible servers refuse, all over real HTTP.

The installed command, a RELP client, an S3 server behind a proxy.
"""

from __future__ import annotations

import asyncio
import socket
import urllib.error
from pathlib import Path

import pytest

from tests.support.policy import Policy
from tests.support.proxy import Action, Forward, Reply, Request, Reset, in_thread
from tests.support.receiver import Receiver, found_once, run, until
from tests.support.relp_client import RelpClient
from tests.support.s3 import BUCKET, Server

QUICK = {"journal__ack_delay": "5ms", "archive__max_age": "1s"}
FRAMES = [b"<13>1 2026-11-24T03:12:05Z web app - - - message %d" % n for n in range(50)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Starting(Receiver):
    """A receiver that is asked how it is before it is ready: its HTTP port is known before."""

    def __init__(self, store: str, directory: Path, server: Server, **settings: str) -> None:
        super().__init__(store, directory, environ=server.environment, **QUICK, **settings)
        self.listen["http"] = free_port()

    def port(self, kind: str) -> int:
        return self.listen["http"] if kind == "http" else super().port(kind)

    def starts(self) -> bool:
        """Whether it answers 503 and says what is wrong with the store."""
        try:
            status, detail = self.readiness()
        except urllib.error.URLError:
            return False
        workers = detail.get("workers")
        details = list(workers.values()) if isinstance(workers, dict) else [detail]
        return status == 503 and bool(details) and all(one["store_error"] for one in details)


async def acknowledged(receiver: Receiver) -> None:
    client = RelpClient(receiver.port("relp"), window=1000)
    await client.send(*FRAMES)
    await client.settle()
    await client.close()


TROUBLES = {
    "401": Reply(401, "Unauthorized"),
    "403 AccessDenied": Reply(403, "AccessDenied"),
    "403 SignatureDoesNotMatch": Reply(403, "SignatureDoesNotMatch"),
    "400 ExpiredToken": Reply(400, "ExpiredToken"),
    "503": Reply(503, "SlowDown"),
    "reset": Reset(),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_trouble_at_the_start_is_waited_for(trouble: str, s3_server: Server, tmp_path: Path) -> None:
    url = s3_server.fresh_url()
    with in_thread(s3_server.endpoint, lambda _: TROUBLES[trouble]) as proxy:
        receiver = Starting(url, tmp_path, s3_server.at(proxy.url))
        receiver.launch()
        try:
            await until(receiver.starts)
            assert await asyncio.to_thread(receiver.metric, "process_open_fds") > 0
            assert "the store cannot be used yet" in receiver.log
            proxy.decide = lambda _: Forward()
            await asyncio.to_thread(receiver.await_ready)
            assert (await asyncio.to_thread(receiver.readiness))[0] == 200
            await acknowledged(receiver)
        finally:
            receiver.stop()
    assert receiver.exit_code == 0, receiver.log
    found_once(url, FRAMES, s3_server.environment)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_server_that_does_not_listen_yet(workers: str, s3_server: Server, tmp_path: Path) -> None:
    """Refused connections; told to stop meanwhile it ends with 0: it has received nothing."""
    receiver = Starting(s3_server.fresh_url(), tmp_path, s3_server.at("http://127.0.0.1:1"), workers=workers)
    receiver.launch()
    try:
        await until(receiver.starts)
    finally:
        receiver.stop()
    assert receiver.exit_code == 0, receiver.log
    assert "stopped before the store could be used" in receiver.log


async def test_a_name_that_cannot_be_resolved(s3_server: Server, tmp_path: Path) -> None:
    receiver = Starting(s3_server.fresh_url(), tmp_path, s3_server.at("http://store.invalid:9000"))
    receiver.launch()
    try:
        await until(receiver.starts)
    finally:
        receiver.stop()
    assert receiver.exit_code == 0, receiver.log


def test_what_cannot_mend_itself_ends_it(s3_server: Server) -> None:
    def ended(store: str, **environ: str) -> str:
        done = run("serve", "--store", store, "--relp", "127.0.0.1:0", environ=s3_server.environment | environ)
        assert done.returncode == 2, done.stderr
        return done.stderr.decode()

    assert "create the bucket" in ended("s3://no-such-bucket/a")
    assert "AWS_ACCESS_KEY_ID" in ended(s3_server.fresh_url(), AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert "AWS_ENDPOINT_URL" in ended(s3_server.fresh_url(), AWS_ENDPOINT_URL="nonsense")
    with in_thread(s3_server.endpoint, lambda _: Reply(400, "InvalidBucketName")) as proxy:
        assert "InvalidBucketName" in ended(s3_server.fresh_url(), AWS_ENDPOINT_URL=proxy.url)


@pytest.mark.parametrize("strict", [False, True])
async def test_a_receiver_needs_a_policy_for_one_prefix_only(strict: bool, s3_server: Server, tmp_path: Path) -> None:
    """Acknowledged, archived, found, and checkpoints written, also where the policy hides what is missing."""
    url = s3_server.fresh_url()
    policy = Policy(BUCKET, url.rpartition("/")[2] + "/", strict=strict)
    with in_thread(s3_server.endpoint, policy) as proxy:
        environ = s3_server.at(proxy.url).environment
        settings = QUICK | {"maintain__checkpoint_every": "1", "maintain__every": "1s"}
        with Receiver(url, tmp_path, environ=environ, **settings) as receiver:
            await acknowledged(receiver)
            await until(lambda: receiver.metric("logsink_archive_commits_total") >= 1)
            await until(lambda: receiver.metric("logsink_checkpoints_total") >= 1)
        assert receiver.exit_code == 0, receiver.log
        assert {method for method, _ in policy.denied} == ({"HEAD"} if strict else set())
        found_once(url, FRAMES, environ)


async def test_what_is_not_permitted_is_said_with_the_policy(s3_server: Server, tmp_path: Path) -> None:
    url = s3_server.fresh_url()
    policy = Policy(BUCKET, url.rpartition("/")[2] + "/")
    policy.actions -= {"s3:PutObject", "s3:DeleteObject"}
    with in_thread(s3_server.endpoint, policy) as proxy:
        receiver = Starting(url, tmp_path, s3_server.at(proxy.url))
        receiver.launch()
        try:
            await until(receiver.starts)
            assert "not permitted s3:PutObject, s3:DeleteObject (the least policy that is enough: {" in receiver.log
            policy.actions |= {"s3:PutObject", "s3:DeleteObject"}
            await asyncio.to_thread(receiver.await_ready)
            await acknowledged(receiver)
        finally:
            receiver.stop()
    assert receiver.exit_code == 0, receiver.log


@pytest.mark.parametrize(
    ("status", "code"), [(400, "InvalidArgument"), (403, "SignatureDoesNotMatch"), (400, "InvalidDigest")]
)
async def test_a_server_that_refuses_batches_is_good_enough(
    status: int, code: str, s3_server: Server, tmp_path: Path
) -> None:
    """A receiver deletes from the start on: what it has tried. It asks for a batch once."""

    def decide(request: Request) -> Action:
        return Reply(status, code) if request.method == "POST" else Forward()

    url = s3_server.fresh_url()
    with in_thread(s3_server.endpoint, decide) as proxy:
        environ = s3_server.at(proxy.url).environment
        with Receiver(url, tmp_path, environ=environ, **QUICK) as receiver:
            await acknowledged(receiver)
        assert receiver.exit_code == 0, receiver.log
        assert receiver.log.count("each gets a request of its own") == 1
    methods = [request.method for request in proxy.requests if "/probe/" in request.target or request.method == "POST"]
    assert methods.count("POST") == 1
    assert methods.count("DELETE") == 2
    found_once(url, FRAMES, s3_server.environment)
