"""HTTP for machines: ``/metrics`` (Prometheus), ``/healthz`` (the process lives), ``/readyz`` (it can make logs durable)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from logsink import telemetry


class Readiness(NamedTuple):
    """``ready``, and why or why not, as JSON-able values."""

    ready: bool
    detail: dict[str, object]


def application(readiness: Callable[[], Readiness], refresh: Callable[[], None]) -> web.Application:
    """The three endpoints. ``refresh`` brings gauges up to date before they are read."""

    async def metrics(_: web.Request) -> web.Response:
        refresh()
        return web.Response(body=generate_latest(telemetry.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        ready, detail = readiness()
        body = orjson.dumps({"ready": ready} | detail) + b"\n"
        return web.Response(body=body, status=200 if ready else 503, content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    return app
