"""The store ``s3://bucket/prefix``: objects of an S3 bucket, by single-part requests of aiobotocore.

Credentials, region and endpoint come from the ordinary AWS chain: environment, ~/.aws, web identity, instance metadata.
``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` names another server, which is then addressed by path.

Nothing is tried again here: the retries of botocore and aiohttp are off, because a conditional put whose first reply was lost
would be refused on account of its own object. ``retry`` tries again where that is right.

Private names of others, each with the test that fails when it changes (seen to work with aiobotocore 3.10 and aiohttp 3.14):
``AIOHTTPSession._get_session`` and ``ClientSession._retry_connection`` (tests/unit/store/test_s3.py,
``test_nothing_is_tried_again``).
"""

from __future__ import annotations

import asyncio
import datetime
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from botocore.exceptions import ClientError
from botocore.handlers import add_expect_header

from logsink import telemetry
from logsink.errors import NotFound, Refused, Withheld
from logsink.place import Bucket, has_credentials
from logsink.store.base import Bytes, Entry, Store, check_key, check_prefix, check_range, is_key
from logsink.store.probe import PREFIX, prove
from logsink.store.s3_errors import (
    CREDENTIAL_CODES,
    DENIALS,
    FAILURES,
    code_of,
    least_policy,
    passes,
    status_of,
    translated,
)

CONNECTIONS = 32
"""Most connections to the server, and so most requests at the same time; others wait for a connection."""

CONNECT_TIMEOUT = 5.0
"""Most seconds until a connection is established."""

READ_TIMEOUT = 30.0
"""Most seconds without a byte from the server; S3's slowest replies take a few to begin."""

REGION = "us-east-1"
"""The region when none is configured: the default of other servers; S3 itself redirects to the bucket's region."""

PAGE = 1000
"""Most keys of one request that lists or deletes: the protocol's limit."""

CONFLICTS = 4
"""Most tries of a conditional put that meets another one under way (status 409), before an error is raised."""

WHOLE = 1 << 20
"""Most bytes of a body that is sent in one piece; a longer one is sent in parts, so that other tasks run in between."""

RENEW = 20.0
"""Least seconds between two clients made because the server rejects the credentials."""

_REMEDY = (
    "use a server that honours conditional writes: Amazon S3, Cloudflare R2, Ceph RGW, MinIO since 2024, versitygw since 1.8; "
    "nothing in front of it may drop the header If-None-Match"
)


class S3Store(Store):
    """Objects of one bucket below one prefix. Connects at the first call.

    ``endpoint`` overrides the configured one. ``page``: keys that one request of a listing asks for.
    """

    def __init__(
        self,
        place: Bucket,
        *,
        endpoint: str | None = None,
        page: int = PAGE,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = place.url
        self._bucket = place.bucket
        self._prefix = place.prefix
        self._page = page
        self._batches = True
        self._clients = _Clients(endpoint, connect_timeout, read_timeout, clock)

    async def put(self, key: str, body: Bytes) -> None:
        async with self._calling("put", check_key(key)) as client:
            await client.put_object(**self._object(key), Body=_sendable(body))

    async def put_absent(self, key: str, body: Bytes) -> bool:
        return await self._put_absent(key, body)

    async def put_locked(self, key: str, body: Bytes, *, until: float) -> bool:
        retained = datetime.datetime.fromtimestamp(until, datetime.UTC)
        return await self._put_absent(
            key, body, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=retained, ChecksumAlgorithm="SHA256"
        )

    async def _put_absent(self, key: str, body: Bytes, **more: object) -> bool:
        async with self._calling("put", check_key(key)) as client:
            for left in reversed(range(CONFLICTS)):
                try:
                    await client.put_object(**self._object(key), Body=_sendable(body), IfNoneMatch="*", **more)
                    return True
                except ClientError as error:
                    if status_of(error) in (412, 304):  # MinIO said 304 until 2024
                        return False
                    if status_of(error) != 409 or not left:
                        raise
                if await self._listed(client, key):
                    return False
        raise AssertionError("unreachable")

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_range(start, end)
        header = _range_header(start, end)
        async with self._calling("get", check_key(key)) as client:
            try:
                reply = await client.get_object(**self._object(key), **header)
            except ClientError as error:
                if status_of(error) == 416:
                    return b""
                if code_of(error) in DENIALS and not await self._listed(client, key):
                    raise NotFound(f"cannot get s3://{self._bucket}/{self._prefix}{key}: no such object") from error
                raise
            async with reply["Body"] as stream:
                body: bytes = await stream.read()
        if reply["ResponseMetadata"]["HTTPStatusCode"] == 206:
            return body if end is None else body[: max(0, end - start)]
        return body[start:end]

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        place: dict[str, Any] = {"StartAfter": self._prefix + after} if after else {}
        more = True
        while more:
            async with self._calling("list", check_prefix(prefix)) as client:
                page = await client.list_objects_v2(
                    Bucket=self._bucket, Prefix=self._prefix + prefix, MaxKeys=self._page, **place
                )
            contents = page.get("Contents", [])
            for item in contents:
                key = item["Key"].removeprefix(self._prefix)
                if is_key(key):
                    yield Entry(key, item["Size"], item["LastModified"].timestamp(), item.get("ETag", ""))
            more = page.get("IsTruncated", False)
            # Go on after the last key: unlike a continuation token, that does not expire.
            place = {"StartAfter": contents[-1]["Key"]} if contents else _token(page)

    async def delete(self, keys: Iterable[str]) -> None:
        rest = iter(tuple(map(check_key, keys)))
        while some := tuple(islice(rest, PAGE)):
            refusal: ClientError | None = None
            if self._batches:
                async with self._calling("delete", some[0]) as client:
                    refusal = await self._delete_batch(client, some)
            if not self._batches or refusal is not None:
                await self._delete_singly(some)
                if self._batches:
                    self._batches = False  # the server refused the batch request, but not the deletion
                    telemetry.SINGLE_DELETES.log(error=refusal)

    async def exists(self) -> bool:
        async with self._calling("list", "") as client:
            page = await client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        return bool(page.get("Contents"))

    async def now(self) -> float:
        async with self._calling("ask the time of", "") as client:
            try:
                reply = await client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if status_of(error) == 404:
                    hint = "create the bucket, or look at the credentials"
                    cause = f"cannot ask the time of {self.url}: no such bucket {self._bucket}"
                    raise Refused(cause, hint=hint) from None
                # A policy for one prefix forbids this request, but the refusal has a Date header too.
                if passes(error):
                    raise
                reply = error.response
        date = reply["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
        try:
            return parsedate_to_datetime(date).timestamp()
        except ValueError:
            cause = f"cannot ask the time of {self.url}: its reply has {f'the date {date!r}' if date else 'no date'}"
            raise Refused(cause, hint="a proxy in front of the store must pass on the header Date") from None

    async def probe(self) -> None:
        await self._check_rights()
        await prove(self, _REMEDY)

    async def aclose(self) -> None:
        await self._clients.aclose()

    @asynccontextmanager
    async def _calling(self, verb: str, key: str) -> AsyncIterator[Any]:
        """Yield a client for a few requests, and turn their errors into ``StoreError``."""
        client = None
        try:
            client = await self._clients.get()
            yield client
        except FAILURES as error:
            if isinstance(error, ClientError) and code_of(error) in CREDENTIAL_CODES:
                self._clients.doubt(client)
            raise translated(error, verb, f"s3://{self._bucket}/{self._prefix}{key}") from error

    async def _check_rights(self) -> None:
        """Try each action that a receiver needs. Raises ``Withheld`` with all that are not permitted and a sufficient policy.

        All receivers use the same key for this, so that only one object is left where deleting is not permitted.
        """
        key = f"{PREFIX}rights"
        needs: dict[str, Callable[[], Awaitable[object]]] = {
            "s3:ListBucket": self.exists,
            "s3:PutObject": lambda: self.put(key, b""),
            "s3:GetObject": lambda: self.get(key),
            "s3:DeleteObject": lambda: self.delete([key]),
        }
        denied = []
        for action, call in needs.items():
            try:
                await call()
            except NotFound:
                continue  # another receiver that is starting has deleted it
            except Withheld as error:
                if not (isinstance(error.__cause__, ClientError) and code_of(error.__cause__) in DENIALS):
                    raise
                denied.append(action)
        if denied:
            hint = f"the least policy that is enough: {least_policy(self._bucket, self._prefix)}"
            raise Withheld(f"cannot use {self.url}: its credentials are not permitted {', '.join(denied)}", hint=hint)

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    async def _listed(self, client: Any, key: str) -> bool:
        """Return whether an object is stored under ``key``, from a listing; raises where listing is not permitted.

        For a missing object, S3 answers 403 to whoever may not list the bucket without a prefix.
        """
        page = await client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix + key, MaxKeys=1)
        return any(item["Key"] == self._prefix + key for item in page.get("Contents", []))

    async def _delete_batch(self, client: Any, keys: tuple[str, ...]) -> ClientError | None:
        """Delete with one request; return the error when the server refuses it, as a whole or for some keys, else None.

        Servers other than S3, and proxies, refuse such a request for many reasons: an unknown checksum, a signature, the
        method.
        """
        objects = [{"Key": self._prefix + key} for key in keys]
        try:
            reply = await client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
        except ClientError as error:
            if passes(error) or status_of(error) == 404 or not 400 <= status_of(error) <= 501:
                raise
            return error
        for failed in reply.get("Errors", []):
            if failed.get("Code") != "NoSuchKey":
                refusal = ClientError({"Error": failed, "ResponseMetadata": {"HTTPStatusCode": 400}}, "DeleteObjects")
                if passes(refusal):
                    raise refusal
                return refusal
        return None

    async def _delete_singly(self, keys: tuple[str, ...]) -> None:
        rest = iter(keys)
        while some := tuple(islice(rest, CONNECTIONS)):
            done = await asyncio.gather(*map(self._delete_one, some), return_exceptions=True)
            for error in done:
                if isinstance(error, BaseException):
                    raise error

    async def _delete_one(self, key: str) -> None:
        try:
            async with self._calling("delete", key) as client:
                await client.delete_object(**self._object(key))
        except NotFound:
            return  # S3 itself says 204; other servers may not


class _Clients:
    """The client in use, which is replaced when the server rejects its credentials, so that renewed ones are read."""

    def __init__(
        self, endpoint: str | None, connect_timeout: float, read_timeout: float, clock: Callable[[], float]
    ) -> None:
        self._endpoint = endpoint
        self._config = AioConfig(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": 1},
            http_session_cls=_OneTry,
            # Newer defaults send trailing checksums that many servers do not know; the signature covers the body's SHA-256.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            parameter_validation=False,
            user_agent_extra="logsink",
        )
        self._clock = clock
        self._lock = asyncio.Lock()
        self._client: Any = None
        self._made = 0.0
        self._stacks: list[AsyncExitStack] = []
        self._closed = False

    async def get(self) -> Any:
        if self._client is None:
            async with self._lock:
                if self._client is None:
                    await self._make()
        return self._client

    def doubt(self, client: Any) -> None:
        """Have the next call read the credentials again, because the server rejects them; at most every ``RENEW`` seconds."""
        if client is self._client and self._clock() - self._made >= RENEW:
            self._client = None

    async def aclose(self) -> None:
        self._closed = True
        while self._stacks:
            await self._stacks.pop().aclose()

    async def _make(self) -> None:
        if self._closed:
            raise RuntimeError("the store is closed")
        while len(self._stacks) > 1:  # the last client may still have requests under way; those before it have none
            await self._stacks.pop(0).aclose()
        session = get_session()
        region = session.get_config_variable("region") or REGION
        stack = AsyncExitStack()
        client = await stack.enter_async_context(
            session.create_client("s3", region_name=region, endpoint_url=self._endpoint, config=self._config)
        )
        if has_credentials(client.meta.endpoint_url):
            await stack.aclose()
            raise Refused(
                "cannot use AWS_ENDPOINT_URL, which is not shown: it has a user, a password or parameters in it",
                hint="leave them out; the server takes AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        # With "Expect: 100-continue", each body waits for a reply to its headers: a second round trip for each put.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        self._stacks.append(stack)
        self._made = self._clock()
        self._client = client


class _OneTry(AIOHTTPSession):  # type: ignore[misc]  # it has no types
    """A session of aiobotocore without aiohttp's own retries.

    aiohttp sends PUT, GET and DELETE a second time when a connection breaks, and has no public option against it.
    """

    async def _get_session(self, proxy_url: str | None) -> Any:
        session = await super()._get_session(proxy_url)
        session._retry_connection = False
        return session


class _View(io.BytesIO):
    """A readable file over memory, without a copy."""

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self._view = view
        self._at = 0

    def read(self, size: int | None = -1, /) -> Any:
        end = len(self._view) if size is None or size < 0 else min(self._at + size, len(self._view))
        start, self._at = self._at, end
        return self._view[start:end]

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = offset + (0, self._at, len(self._view))[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def getbuffer(self) -> memoryview:
        return self._view[:]


def _sendable(body: Bytes) -> bytes | _View:
    view = memoryview(body).cast("B")
    return bytes(body) if len(view) <= WHOLE else _View(view)


def _range_header(start: int, end: int | None) -> dict[str, str]:
    if start == 0 and end is None:
        return {}
    if start < 0:
        return {"Range": f"bytes={start}"}
    # HTTP has no empty range: ask for one byte, so that a missing object is noticed.
    return {"Range": f"bytes={start}-{'' if end is None else max(start, end - 1)}"}


def _token(page: dict[str, Any]) -> dict[str, Any]:
    token = page.get("NextContinuationToken")
    return {"ContinuationToken": token} if token else {}
