"""What goes over the wire to an S3 server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from logsink.errors import NotFound, Refused, StoreError, Unavailable, Withheld
from logsink.place import Bucket
from logsink.store.base import Store
from logsink.store.s3 import CONFLICTS, RENEW, S3Store
from tests.support.policy import Policy
from tests.support.proxy import INJECTED, Action, Forward, Proxy, Reply, Request, Reset
from tests.support.s3 import ACCESS_KEY, BUCKET, Server, enter


@pytest.fixture
async def proxy(s3_environment: Server) -> AsyncIterator[Proxy]:
    async with Proxy(s3_environment.endpoint) as proxy:
        yield proxy


@pytest.fixture
async def store(s3_environment: Server, proxy: Proxy) -> AsyncIterator[S3Store]:
    prefix = s3_environment.fresh_url().rpartition("/")[2]
    async with S3Store(Bucket(BUCKET, f"{prefix}/"), endpoint=proxy.url) as store:
        yield store


async def everything(store: Store) -> list[StoreError]:
    """The error of each kind of call but ``now``; the test fails if one succeeds."""

    async def listed() -> None:
        [entry async for entry in store.list()]

    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.put("a/b", b"x"),
        lambda: store.put_absent("a/b", b"x"),
        lambda: store.get("a/b"),
        listed,
        lambda: store.delete(["a/b"]),
        store.exists,
        store.probe,
    ]
    errors = []
    for call in calls:
        with pytest.raises(StoreError) as caught:
            await call()
        errors.append(caught.value)
    return errors


async def test_a_put_is_one_request(store: S3Store, proxy: Proxy) -> None:
    for size in (0, 10, 3_000_000):
        await store.put_absent(f"a/{size}", bytes(size))
    assert len(proxy.requests) == 3
    for request, size in zip(proxy.requests, (0, 10, 3_000_000), strict=True):
        assert request.method == "PUT"
        assert request.target.startswith(f"/{BUCKET}/")  # the bucket is part of the path
        assert request.target.endswith(f"/a/{size}")
        assert request.headers["if-none-match"] == "*"
        assert request.headers["content-length"] == str(size)
        assert "expect" not in request.headers
        assert "transfer-encoding" not in request.headers
        assert len(request.headers["x-amz-content-sha256"]) == 64


async def test_nothing_is_tried_again(store: S3Store, proxy: Proxy) -> None:
    for answer in (
        Reply(503, "SlowDown"),
        Reply(500, "InternalError"),
        Reply(400, "RequestTimeout"),
        Reply(429, "x"),
        Reset(),
    ):
        proxy.decide = lambda _, answer=answer: answer  # type: ignore[misc]
        proxy.requests.clear()
        with pytest.raises(Unavailable, match=f"cannot put s3://{BUCKET}/.*/a: "):
            await store.put_absent("a", b"x")
        assert len(proxy.requests) == 1


async def test_a_conflict_is_looked_at(store: S3Store, proxy: Proxy) -> None:
    def conflicts(times: int) -> Callable[[Request], Action]:
        puts = [Reply(409, "ConditionalRequestConflict")] * times
        return lambda request: puts.pop() if request.method == "PUT" and puts else Forward()

    proxy.decide = conflicts(2)
    assert await store.put_absent("a", b"one") is True
    assert [request.method for request in proxy.requests] == ["PUT", "GET", "PUT", "GET", "PUT"]
    proxy.decide = conflicts(1)
    assert await store.put_absent("a", b"two") is False
    assert await store.get("a") == b"one"
    proxy.decide = conflicts(CONFLICTS)
    with pytest.raises(Unavailable, match="ConditionalRequestConflict"):
        await store.put_absent("b", b"x")
    with pytest.raises(NotFound):
        await store.get("b")


async def test_304_means_that_something_is_there(store: S3Store, proxy: Proxy) -> None:
    proxy.decide = lambda _: Reply(304)
    assert await store.put_absent("a", b"x") is False


async def test_a_server_that_ignores_ranges(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(monkeypatch, moto_server)  # it checks no signatures, which cover this header
    async with (
        Proxy(moto_server.endpoint, lambda _: Forward(without=("range",))) as proxy,
        S3Store(Bucket(BUCKET, "ranges/"), endpoint=proxy.url) as store,
    ):
        await store.put("a", b"0123456789")
        assert await store.get("a", 2, 5) == b"234"
        assert await store.get("a", -3) == b"789"
        assert await store.get("a", 20, 30) == b""


async def test_deleting_where_the_server_knows_no_batches(store: S3Store, proxy: Proxy) -> None:
    for key in ("a", "b", "c"):
        await store.put(key, b"")
    proxy.requests.clear()
    proxy.decide = lambda request: Reply(501, "NotImplemented") if request.method == "POST" else Forward()
    await store.delete(["a", "c", "nothing"])
    await store.delete(["nothing"])
    assert [entry.key async for entry in store.list()] == ["b"]
    assert [request.method for request in proxy.requests] == ["POST", *["DELETE"] * 4, "GET"]


REFUSALS = [
    (400, "InvalidArgument"),  # "Unsupported header 'x-amz-sdk-checksum-algorithm' received for this API call"
    (400, "InvalidDigest"),
    (400, "BadRequest"),
    (400, "MissingContentMD5"),
    (400, "InvalidRequest"),
    (400, "MalformedXML"),
    (403, "SignatureDoesNotMatch"),  # Google, for a header that its front end drops
    (403, "AccessDenied"),  # what filters requests by method
    (405, "MethodNotAllowed"),
    (411, "MissingContentLength"),
    (415, "UnsupportedMediaType"),
    (501, "NotImplemented"),
]


@pytest.mark.parametrize(("status", "code"), REFUSALS)
async def test_a_refused_batch_is_deleted_one_by_one_and_that_is_said_once(
    store: S3Store, proxy: Proxy, caplog: pytest.LogCaptureFixture, status: int, code: str
) -> None:
    for key in ("a", "b", "c"):
        await store.put(key, b"")
    proxy.requests.clear()
    proxy.decide = lambda request: Reply(status, code) if request.method == "POST" else Forward()
    await store.delete(["a", "nothing"])
    await store.delete(["b"])
    assert [entry.key async for entry in store.list()] == ["c"]
    assert [request.method for request in proxy.requests] == ["POST", "DELETE", "DELETE", "DELETE", "GET"]
    (line,) = caplog.messages
    assert "each gets a request of its own from now on: " in line
    assert code in line


async def test_a_refused_deletion_is_no_refused_batch(store: S3Store, proxy: Proxy) -> None:
    """Not permitted singly either: that is the error, and the next deletion is a batch again."""
    await store.put("a", b"")
    proxy.decide = lambda request: Reply(403, "AccessDenied") if request.method in ("POST", "DELETE") else Forward()
    with pytest.raises(Withheld, match=r"cannot delete .*/a: AccessDenied"):
        await store.delete(["a"])
    proxy.decide = lambda _: Forward()
    proxy.requests.clear()
    await store.delete(["a"])
    assert [request.method for request in proxy.requests] == ["POST"]


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (400, "RequestTimeout")])
async def test_a_batch_that_may_work_later_stays_a_batch(store: S3Store, proxy: Proxy, status: int, code: str) -> None:
    proxy.decide = lambda _: Reply(status, code)
    with pytest.raises(Unavailable, match=code):
        await store.delete(["a"])
    assert [request.method for request in proxy.requests] == ["POST"]


async def test_a_deletion_that_fails_in_part(store: S3Store, proxy: Proxy) -> None:
    """A reply with status 200 that names keys which are still there."""

    def part(code: str) -> None:
        entry = f"<Error><Key>a</Key><Code>{code}</Code><Message>m</Message></Error>"
        reply = Reply(200, body=f"<DeleteResult>{entry}</DeleteResult>".encode())
        proxy.decide = lambda request: reply if request.method == "POST" else Forward()

    await store.put("a", b"")
    for code in ("InternalError", "SlowDown"):
        part(code)
        with pytest.raises(Unavailable, match=rf"cannot delete .*/a: {code}: m"):
            await store.delete(["a"])
    part("NoSuchKey")
    await store.delete(["a"])
    assert await store.exists()
    part("NotImplemented")
    await store.delete(["a"])
    assert not await store.exists()


async def test_a_deletion_that_is_forbidden_in_part(store: S3Store, proxy: Proxy) -> None:
    entry = "<Error><Key>a</Key><Code>AccessDenied</Code><Message>m</Message></Error>"
    whole = Reply(200, body=f"<DeleteResult>{entry}</DeleteResult>".encode())
    proxy.decide = lambda request: whole if request.method == "POST" else Reply(403, "AccessDenied")
    with pytest.raises(Withheld, match="AccessDenied"):
        await store.delete(["a"])


@pytest.mark.parametrize("status", [400, 401, 403, 405, 501])
async def test_the_time_is_that_of_any_reply(store: S3Store, proxy: Proxy, status: int) -> None:
    """A policy for one prefix forbids HeadBucket; some servers do not know it."""
    proxy.decide = lambda request: Reply(status) if request.method == "HEAD" else Forward()
    assert await store.now() == INJECTED


@pytest.mark.parametrize("date", ["", "yesterday"])
async def test_a_reply_without_a_date(store: S3Store, proxy: Proxy, date: str) -> None:
    proxy.decide = lambda _: Reply(403, date=date)
    with pytest.raises(Refused, match="cannot ask the time of ") as caught:
        await store.now()
    assert "header Date" in caught.value.hint


@pytest.mark.parametrize("strict", [False, True])
async def test_a_policy_for_one_prefix_is_enough(s3_environment: Server, proxy: Proxy, strict: bool) -> None:
    """As S3 has it: with a strict one HeadBucket is refused, and so is to read what is not there."""
    prefix = s3_environment.fresh_url().rpartition("/")[2] + "/"
    proxy.decide = Policy(BUCKET, prefix, strict=strict)
    async with S3Store(Bucket(BUCKET, prefix), endpoint=proxy.url) as store:
        await store.probe()
        assert await store.now() > 0
        assert not await store.exists()
        with pytest.raises(NotFound):
            await store.get("a")
        assert await store.put_absent("a", b"x") is True
        assert await store.put_absent("a", b"y") is False
        assert await store.get("a") == b"x"
        await store.delete(["a"])
        assert [entry async for entry in store.list()] == []
    async with S3Store(Bucket(BUCKET, "elsewhere/"), endpoint=proxy.url) as other:
        with pytest.raises(Withheld):
            await other.get("a")


@pytest.mark.parametrize("denied", ["s3:ListBucket", "s3:PutObject", "s3:GetObject", "s3:DeleteObject"])
async def test_the_probe_says_what_is_not_permitted_and_the_policy(
    s3_environment: Server, proxy: Proxy, denied: str
) -> None:
    prefix = s3_environment.fresh_url().rpartition("/")[2] + "/"
    policy = Policy(BUCKET, prefix)
    policy.actions.remove(denied)
    proxy.decide = policy
    async with S3Store(Bucket(BUCKET, prefix), endpoint=proxy.url) as store:
        for _ in range(3):
            with pytest.raises(Withheld, match=rf"not permitted {denied}$") as caught:
                await store.probe()
        proxy.decide = lambda _: Forward()
        assert len([entry async for entry in store.list()]) <= 1  # what could not be deleted is not more each time
    told = json.loads(caught.value.hint.partition(": ")[2])
    assert [one["Action"] for one in told["Statement"]] == [
        ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        "s3:ListBucket",
    ]
    assert told["Statement"][0]["Resource"] == f"arn:aws:s3:::{BUCKET}/{prefix}*"
    assert told["Statement"][1]["Condition"] == {"StringLikeIfExists": {"s3:prefix": f"{prefix}*"}}


async def test_no_bucket(s3_environment: Server) -> None:
    async with S3Store(Bucket("no-such-bucket", "")) as store:
        for error in await everything(store):
            assert isinstance(error, Refused)
            assert "no-such-bucket" in str(error)
            assert "create the bucket" in error.hint


@pytest.mark.parametrize(("name", "value"), [("AWS_ACCESS_KEY_ID", "nobody"), ("AWS_SECRET_ACCESS_KEY", "wrong")])
async def test_wrong_credentials(
    s3_environment: Server, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    if s3_environment.name == "moto":
        pytest.skip("moto checks no credentials")
    monkeypatch.setenv(name, value)
    async with S3Store(Bucket(BUCKET, "x/")) as store:
        for error in await everything(store):
            assert isinstance(error, Refused)
            assert "credentials" in error.hint or "access key" in error.hint


async def test_no_credentials(s3_environment: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    async with S3Store(Bucket(BUCKET, "x/")) as store:
        for error in await everything(store):
            assert isinstance(error, Refused)
            assert "AWS_ACCESS_KEY_ID" in error.hint


async def test_credentials_are_read_anew_when_the_server_finds_fault(
    s3_environment: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "expired")

    def decide(request: Request) -> Action:
        return Reply(400, "ExpiredToken") if "=expired/" in request.headers["authorization"] else Forward()

    proxy.decide = decide
    async with S3Store(Bucket(BUCKET, "x/"), endpoint=proxy.url, clock=lambda: now[0]) as store:
        with pytest.raises(Refused, match="ExpiredToken") as caught:
            await store.put("a", b"x")
        assert "renew" in caught.value.hint
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        for waited in (RENEW - 1, 1):  # not with every call: a new client costs a tenth of a second
            now[0] += waited
            with pytest.raises(Refused):
                await store.put("a", b"x")
        await asyncio.gather(*(store.put(f"a{n}", b"x") for n in range(10)))
        assert await store.get("a9") == b"x"


async def test_an_endpoint_where_nobody_listens(s3_environment: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(monkeypatch, s3_environment.at("http://127.0.0.1:1"))
    async with S3Store(Bucket(BUCKET, "x/")) as store:
        for error in await everything(store):
            assert isinstance(error, Unavailable)
            assert "127.0.0.1:1" in str(error)
            assert "AWS_ENDPOINT_URL" in error.hint


async def test_a_server_that_never_answers(s3_environment: Server, proxy: Proxy) -> None:
    proxy.decide = lambda _: Forward(gate=asyncio.Event())
    async with S3Store(Bucket(BUCKET, "x/"), endpoint=proxy.url, read_timeout=0.05) as store:
        with pytest.raises(Unavailable, match=r"cannot get s3://logs/x/a: .*[Tt]ime"):
            await store.get("a")


async def test_an_endpoint_that_is_no_url(s3_environment: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(monkeypatch, s3_environment.at("nonsense"))
    async with S3Store(Bucket(BUCKET, "x/")) as store:
        for error in await everything(store):
            assert isinstance(error, Refused)
            assert "AWS_ENDPOINT_URL" in error.hint


async def test_a_server_that_is_no_s3(s3_environment: Server, proxy: Proxy) -> None:
    async with S3Store(Bucket(BUCKET, "x/"), endpoint=proxy.url) as store:
        proxy.decide = lambda _: Reply(502, body=b"<html>bad gateway")
        with pytest.raises(Unavailable):
            await store.get("a")
        proxy.decide = lambda _: Reply(200, body=b"<html>hello")
        with pytest.raises(Unavailable):
            [entry async for entry in store.list()]


async def test_the_probe_finds_out_a_server_that_ignores_the_condition(
    moto_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(monkeypatch, moto_server)
    async with Proxy(moto_server.endpoint) as proxy:
        proxy.decide = lambda _: Forward(without=("if-none-match",))
        async with S3Store(Bucket(BUCKET, "ignored/"), endpoint=proxy.url) as store:
            with pytest.raises(Refused, match="of 9 puts of one key with If-None-Match: \\*, 9 succeeded") as caught:
                await store.probe()
            assert "versitygw" in caught.value.hint
            assert not await store.exists()
