"""Serves HTTP for machines: ``/metrics`` (Prometheus), ``/healthz`` (it runs), ``/readyz`` (it can make logs durable).

::

    accepted -> request line and headers, at most HEAD bytes within ``opening``  -> answer, within ``answering``  -> closed
                too many connections: the one that has waited longest for its headers gives way

One request a connection. A client that sends anything else than a GET or HEAD is answered with what was wrong, counted, and
never named in more than a few lines of the log.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple, cast

import orjson
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from logsink import telemetry
from logsink.kinds import Address
from logsink.net.accepting import Acceptor, half_close

HTTP_CONNECTIONS: Final = 64
"""Connections at a time: a Prometheus or two, the checks of a load balancer, people."""

HEAD: Final = 16 << 10
"""Bytes of a request line and its headers at most."""

OPENING: Final = 10.0
"""Seconds within which the headers must have come."""

ANSWERING: Final = 30.0
"""Seconds within which the answer must have been made and taken."""

_REQUEST = re.compile(rb"([!-~]+) ([!-~]+) HTTP/1\.[01]\r?\n")
_TEXT = "text/plain; charset=utf-8"


class Readiness(NamedTuple):
    """Whether a process is ready, and in ``detail`` why or why not, as values that JSON has."""

    ready: bool
    detail: dict[str, object]


class Report(NamedTuple):
    """Readiness and metrics of a process."""

    readiness: Readiness
    metrics: list[Metric]


class Answer(NamedTuple):
    """A response, without its headers."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    kind: str = _TEXT

    def encoded(self, *, bodiless: bool) -> bytes:
        """Return the response as bytes, without its body where that is not asked for (HEAD)."""
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\nContent-Type: {self.kind}\r\n"
            f"Content-Length: {len(self.body)}\r\nConnection: close\r\n"
        ) + ("Allow: GET, HEAD\r\n" if self.status is HTTPStatus.METHOD_NOT_ALLOWED else "")
        return head.encode("ascii") + b"\r\n" + (b"" if bodiless else self.body)


class Request(NamedTuple):
    """Method and path of a request; ``path`` has no query."""

    method: str
    path: str


def read_request(data: bytes) -> Request | HTTPStatus | None:
    """Return the request at the beginning of ``data``, why it cannot be answered, or None while its headers are incomplete."""
    end = re.search(rb"\r?\n\r?\n", data)
    if len(data) > HEAD and (end is None or end.start() > HEAD):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    line = _REQUEST.match(data)
    if line is None and b"\n" in data:
        return HTTPStatus.BAD_REQUEST
    if line is None or end is None:
        return None
    return Request(line[1].decode("ascii"), line[2].decode("ascii").partition("?")[0])


class Http:
    """The three endpoints. ``report`` is called for each request that needs it, with True for ``/readyz``."""

    def __init__(
        self,
        report: Callable[[bool], Awaitable[Report]],
        *,
        connections: int = HTTP_CONNECTIONS,
        opening: float = OPENING,
        answering: float = ANSWERING,
    ) -> None:
        self._report, self._most = report, connections
        self.opening, self.answering = opening, answering
        self._acceptors: list[Acceptor] = []
        self._open: dict[Exchange, None] = {}
        """Connections, the oldest first."""

    def listen(self, sockets: Sequence[socket.socket]) -> str:
        """Accept connections of these listening sockets, and return the address of the first."""
        self._acceptors += [Acceptor("http", sock, self._connect) for sock in sockets]
        at = str(Address(*sockets[0].getsockname()[:2]))
        telemetry.LISTENING.log(address=at, transport="http")
        return at

    def close(self) -> None:
        """Accept nothing more, and close what is open."""
        for acceptor in self._acceptors:
            acceptor.close()
        for exchange in list(self._open):
            exchange.abort()

    def leave(self, exchange: Exchange) -> None:
        """Forget a connection that is closed."""
        self._open.pop(exchange, None)

    async def answer(self, request: Request) -> Answer:
        """Return the response to a request."""
        if request.method not in ("GET", "HEAD"):
            return Answer(b"only GET and HEAD\n", HTTPStatus.METHOD_NOT_ALLOWED)
        match request.path:
            case "/metrics":
                registry = CollectorRegistry()
                registry.register(_Collected((await self._report(False)).metrics))
                return Answer(generate_latest(registry), kind=CONTENT_TYPE_LATEST)
            case "/healthz":
                return Answer(b"ok\n")
            case "/readyz":
                ready, detail = (await self._report(True)).readiness
                status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
                return Answer(
                    orjson.dumps({"ready": ready} | detail) + b"\n", status, "application/json; charset=utf-8"
                )
        return Answer(b"there are /metrics, /healthz and /readyz\n", HTTPStatus.NOT_FOUND)

    def _connect(self, sender: str | None) -> Exchange | None:
        if len(self._open) >= self._most:
            waiting = next((one for one in self._open if not one.busy), None)
            if waiting is None:
                telemetry.REFUSED.labels("http").inc()
                telemetry.REFUSED_FULL.log(sender=sender, limit=self._most)
                return None
            waiting.reject(
                "connections", f"{self._most} connections are open, and it keeps one without asking for anything"
            )
            self.leave(waiting)
        exchange = Exchange(self, sender)
        self._open[exchange] = None
        return exchange


class Exchange(asyncio.Protocol):
    """One connection: a request, its answer, the end."""

    def __init__(self, http: Http, sender: str | None) -> None:
        self._asked = self._sent = self._heard = False
        """Whether the request is complete; the answer was given to the system; the client has ended."""
        self._http, self._sender = http, sender
        self._loop = asyncio.get_running_loop()
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self._work: asyncio.Task[None] | None = None
        self._aborted = False
        self._deadline = self._loop.call_later(http.opening, self._late)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._aborted:
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self._asked:
            return  # what comes with or after the request is read, or closing would take the answer back
        self._data += data
        request = read_request(self._data)
        if request is None:
            return
        self._asked, self._data = True, b""
        self._deadline.cancel()
        self._deadline = self._loop.call_later(self._http.answering, self.abort)
        if isinstance(request, Request):
            self._work = self._loop.create_task(self._answer(request))
            return
        self._count("request", f"what it sent is no HTTP request ({request.value} {request.phrase})")
        self._send(Answer(f"{request.phrase}\n".encode(), request), bodiless=False)

    def eof_received(self) -> bool:
        self._heard = True
        return self._asked and not self._sent  # a client may half-close after its request

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        if self._work:
            self._work.cancel()
        self._http.leave(self)

    @property
    def busy(self) -> bool:
        """Whether an answer is being made."""
        return self._asked and not self._sent

    def abort(self) -> None:
        """Close at once."""
        self._aborted = True
        if self._transport:
            self._transport.abort()

    def reject(self, kind: str, reason: str) -> None:
        """Close at once, count it, and say why."""
        self._count(kind, reason)
        self.abort()

    def _late(self) -> None:
        self.reject("request_timeout", f"it did not send its request within {self._http.opening:g} s")

    def _count(self, kind: str, reason: str) -> None:
        telemetry.REJECTED.labels("http", kind).inc()
        telemetry.REJECTION.log(transport="http", sender=self._sender, kind=kind, reason=reason)

    async def _answer(self, request: Request) -> None:
        try:
            answer = await self._http.answer(request)
        except Exception as error:  # noqa: BLE001  the client is told, and the log
            telemetry.CRASHED.log(where=f"http {request.path}", error=error, trace=error)
            answer = Answer(b"", HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(answer, bodiless=request.method == "HEAD")

    def _send(self, answer: Answer, *, bodiless: bool) -> None:
        """Answer, and close once the client has: to close on what was not read would take the answer back."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(answer.encoded(bodiless=bodiless))
            self._sent = True
            if self._heard:
                self._transport.close()
            else:
                half_close(self._transport)


class _Collected(Collector):
    """Metrics that were collected already, without the series for when each began: the process says that once."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)
        for one in self._metrics:
            one.samples = [sample for sample in one.samples if not sample.name.endswith("_created")]

    def collect(self) -> Iterable[Metric]:
        return self._metrics
