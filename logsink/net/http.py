"""HTTP for machines: ``/metrics`` (Prometheus), ``/healthz`` (the process lives), ``/readyz`` (it can make logs durable)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from logsink import telemetry
from logsink.kinds import Address
from logsink.net.listening import cannot_listen


class Readiness(NamedTuple):
    """``ready``, and why or why not, as JSON-able values."""

    ready: bool
    detail: dict[str, object]


class Report(NamedTuple):
    """What a process tells of itself."""

    readiness: Readiness
    metrics: list[Metric]


class Http:
    """The three endpoints, of what ``report`` tells whenever one is asked."""

    def __init__(self, report: Callable[[], Awaitable[Report]]) -> None:
        self._report = report
        self._runner: web.AppRunner | None = None

    async def listen(self, address: Address) -> str:
        """Open ``address``; where that is, the port that the system chose in it. ``ConfigError``: it cannot be had."""
        app = web.Application()
        app.add_routes(
            [web.get("/metrics", self._metrics), web.get("/healthz", self._healthz), web.get("/readyz", self._readyz)]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, address.host, address.port, reuse_port=True)
        try:
            await site.start()
        except OSError as error:
            raise cannot_listen("http", address, error) from error
        at = str(Address(*self._runner.addresses[0][:2]))
        telemetry.LISTENING.log(address=at, transport="http")
        return at

    async def close(self) -> None:
        """Answer no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        registry = CollectorRegistry()
        registry.register(_Collected((await self._report()).metrics))
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        ready, detail = (await self._report()).readiness
        body = orjson.dumps({"ready": ready} | detail) + b"\n"
        return web.Response(body=body, status=200 if ready else 503, content_type="application/json")


class _Collected(Collector):
    """Metrics that were collected already, without the series for when each began: the process says that once."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)
        for one in self._metrics:
            one.samples = [sample for sample in one.samples if not sample.name.endswith("_created")]

    def collect(self) -> Iterable[Metric]:
        return self._metrics
