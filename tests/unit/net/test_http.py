"""HTTP for machines: what is answered, and what clients that behave badly get."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import Metric

from logsink import telemetry
from logsink.kinds import Address
from logsink.net.http import HEAD, Http, Readiness, Report
from logsink.net.ports import bound
from tests.support.bench import until

Listen = Callable[..., int]


class Served:
    """An ``Http`` on a port of its own; ``detail`` is what it tells, ``fault`` what happens instead."""

    def __init__(self) -> None:
        self.ready, self.fault = True, None
        self.made: list[Http] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def report(self, ready: bool = False) -> Report:
        await self.gate.wait()
        if self.fault:
            raise self.fault
        return Report(Readiness(self.ready, {"why": "test"}), [Metric("logsink_test", "Of a test.", "gauge")])

    def listen(self, **limits: float) -> int:
        self.made.append(Http(self.report, **limits))  # type: ignore[arg-type]
        (sock,) = bound("http", Address("127.0.0.1", 0))
        sock.listen()
        return int(self.made[-1].listen([sock]).rpartition(":")[2])


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    yield served
    for http in served.made:
        http.close()
        await until(lambda http=http: not http._open)


async def ask(port: int, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of an answer; the connection ends with it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    return int(line.split()[1]), dict(header.split(b": ", 1) for header in headers), body


def get(path: str) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: logs\r\nAccept: */*\r\n\r\n" % path.encode()


async def test_what_there_is(served: Served) -> None:
    port = served.listen()
    assert (await ask(port, get("/healthz")))[::2] == (200, b"ok\n")
    status, headers, body = await ask(port, get("/metrics?x=1"))
    assert status == 200
    assert b"# TYPE logsink_test gauge" in body
    assert headers[b"Content-Type"].startswith(b"text/plain; version=")
    assert int(headers[b"Content-Length"]) == len(body)
    served.ready = False
    status, _, body = await ask(port, get("/readyz"))
    assert status == 503
    assert json.loads(body) == {"ready": False, "why": "test"}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/"), 404),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"HEAD /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\n\n", 200),
        (b"<13>syslog\n", 400),
        (b"\x16\x03\x01\x02\n\r\n", 400),
        (b"GET /healthz HTTP/2.0\r\n\r\n", 400),
        (b"GET /" + b"a" * HEAD, 431),
        (b"GET / HTTP/1.1\r\nCookie: " + b"a" * (1 << 20), 431),
    ],
)
async def test_what_is_answered(served: Served, request_: bytes, status: int, caplog: pytest.LogCaptureFixture) -> None:
    found, headers, body = await ask(served.listen(), request_)
    assert found == status
    assert headers[b"Connection"] == b"close"
    assert bool(body) == (not request_.startswith(b"HEAD"))
    assert (b"Allow" in headers) == (status == 405)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("step", [1, 7])
async def test_a_request_in_pieces(served: Served, step: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.listen())
    request = get("/healthz")
    for at in range(0, len(request), step):
        writer.write(request[at : at + step])
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.read()).endswith(b"ok\n")
    writer.close()


async def test_a_client_that_half_closes_is_answered(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.listen())
    served.gate.clear()
    writer.write(get("/readyz"))
    writer.write_eof()
    await until(lambda: any(one._heard for one in served.made[0]._open))
    served.gate.set()
    assert b'"ready":true' in await reader.read()
    writer.close()


async def test_a_fault_is_told_to_the_client_and_the_log(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    telemetry._LOGGER.propagate = True
    served.fault = RuntimeError("broken")  # type: ignore[assignment]
    try:
        assert (await ask(served.listen(), get("/metrics")))[0] == 500
    finally:
        telemetry._LOGGER.propagate = False
    assert "unexpected error in http /metrics: broken" in caplog.text


async def test_headers_that_do_not_come(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.listen(opening=0.01))
    writer.write(b"GET / HTTP/1.1\r\n")
    assert await reader.read() == b""
    writer.close()


async def test_of_too_many_connections_the_one_that_has_waited_longest_gives_way(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    port = served.listen(connections=3)
    half = []
    for n in range(20):
        half.append(await asyncio.open_connection("127.0.0.1", port))
        half[-1][1].write(b"GET /healthz")
        await until(lambda n=n: len(served.made[0]._open) == min(n + 1, 3))
    with caplog.at_level(logging.INFO):
        assert (await ask(port, get("/healthz")))[0] == 200
    assert len(served.made[0]._open) <= 3
    half[-1][1].write(b" HTTP/1.1\r\n\r\n")  # the newest may still ask
    assert (await half[-1][0].read()).endswith(b"ok\n")
    for _, writer in half:
        writer.close()


async def test_connections_that_are_being_answered_do_not_give_way(served: Served) -> None:
    port = served.listen(connections=2)
    served.gate.clear()
    asking = [asyncio.create_task(ask(port, get("/readyz"))) for _ in range(2)]
    await until(lambda: sum(one.busy for one in served.made[0]._open) == 2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    served.gate.set()
    assert [status for status, _, _ in await asyncio.gather(*asking)] == [200, 200]
