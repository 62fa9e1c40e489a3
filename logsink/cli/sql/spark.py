"""A run of ``logsink sql --connect``: a Spark Connect server reads the table and runs the statement."""

from __future__ import annotations

import asyncio
import re
import warnings
from contextlib import closing

import pyarrow as pa

from logsink.archive import ROOT, damaged_files
from logsink.cli import report as reporting
from logsink.cli.options.terms import filter_of
from logsink.cli.sql.request import SqlRequest
from logsink.cli.sql.run import show
from logsink.damage import Damage
from logsink.errors import ArgumentError, ConfigError, LogsinkError, Unavailable
from logsink.query import Filter
from logsink.query.read import make_plan
from logsink.store import open_store

ANSWER = 5.0
"""Seconds within which a Spark Connect server must answer."""

_GRPC = re.compile(r'^<.*\n(?:.*\n)*?\s*details = "(.*)"')
"""Matches the error of a failed gRPC call; the error of a failed statement is what Spark said."""


def by_spark(url: str, request: SqlRequest, server: str) -> int:
    """Run the statement on the Spark Connect server with the URL ``server``; return the exit code.

    Spark reads the table itself, so that it does not see rows that are still in the journal only, and believes what it reads.
    """
    if filter_of(request.terms, request.zone) != Filter():
        raise ArgumentError("cannot use conditions with --connect", hint="write them as WHERE in the statement")
    try:
        with warnings.catch_warnings():  # the client warns of versions of pandas, which a user can do nothing about
            warnings.simplefilter("ignore")
            code = _on_spark(url, request, server)
    finally:
        damaged = _name_damage(url)
    return 2 if damaged else code


def _name_damage(url: str) -> bool:
    """Say what is damaged or missing, as far as that shows without reading rows; return whether anything is.

    Spark would say at most that it cannot read something. A store that only the Spark server can reach is not looked at.
    """
    try:
        found = asyncio.run(_damage(url))
    except LogsinkError as error:
        reporting.say(f"the store was not checked for damage: {error}")
        return False
    reporting.damage(found)
    return bool(found)


async def _damage(url: str) -> list[Damage]:
    async with open_store(url) as store:
        sizes = {entry.key: entry.size async for entry in store.list(f"{ROOT}date=")}
        plan = await make_plan(store, Filter())
        return [*plan.damage, *await damaged_files(store, plan.snapshot, sizes)]


def _on_spark(url: str, request: SqlRequest, server: str) -> int:
    try:
        from grpc import FutureTimeoutError, channel_ready_future  # type: ignore[import-untyped]
        from pyspark.sql import SparkSession
        from pyspark.sql.connect.client import DefaultChannelBuilder
    except ImportError as error:
        raise ConfigError(
            "cannot reach Spark: its client is not installed", hint="pip install 'logsink[spark]'"
        ) from error
    try:
        with closing(DefaultChannelBuilder(server).toChannel()) as channel:
            channel_ready_future(channel).result(timeout=ANSWER)
        session = SparkSession.builder.remote(server).getOrCreate()
    except FutureTimeoutError as error:
        hint = "check that a Spark Connect server runs there and that this machine may connect"
        raise Unavailable(f"cannot reach {server}: no answer within {ANSWER:g} s", hint=hint) from error
    except Exception as error:
        raise Unavailable(f"cannot reach {server}: {str(error).splitlines()[0]}") from error
    try:
        session.read.format("delta").load(f"{url}/logs").createOrReplaceTempView("logs")
        found = session.sql(request.statement).toArrow()
    except Exception as error:
        transport = _GRPC.search(str(error))
        if transport:
            raise Unavailable(f"cannot use {server} as a Spark Connect server: {transport[1]}") from error
        raise ArgumentError(f"cannot run this SQL: {str(error).splitlines()[0]}") from error
    finally:
        session.stop()
    rows = show(pa.RecordBatchReader.from_batches(found.schema, iter(found.to_batches())), request.output)
    return 0 if rows else 1
