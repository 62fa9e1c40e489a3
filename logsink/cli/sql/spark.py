"""A run of ``logsink sql --connect``: a Spark Connect server reads the table and runs the statement."""

from __future__ import annotations

import asyncio
from typing import Any

import pyarrow as pa

from logsink.archive import ROOT, damaged_files
from logsink.cli import report as reporting
from logsink.cli.options.terms import filter_of
from logsink.cli.sql.request import SqlRequest
from logsink.cli.sql.run import show
from logsink.damage import Damage
from logsink.errors import ArgumentError, LogsinkError
from logsink.query import Filter
from logsink.query.read import make_plan
from logsink.query.spark import Session, compiled, connected
from logsink.store import open_store


def by_spark(url: str, request: SqlRequest, server: str) -> int:
    """Run the statement on the Spark Connect server with the URL ``server``; return the exit code.

    Spark reads the table itself, so that it does not see rows that are still in the journal only, and believes what it reads.
    """
    filter = filter_of(request.terms, request.zone)
    try:
        with connected(server, url) as session:
            code = _on_spark(session, request, filter)
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


def _on_spark(session: Session, request: SqlRequest, filter: Filter) -> int:
    try:
        session.use_zone(request.zone)
        _rows(session, filter).createOrReplaceTempView("logs")
        found = session.result(request.statement)
    except LogsinkError:
        raise
    except Exception as error:
        transport = session.transport_failed(error)
        if transport is not None:
            raise transport from error
        raise ArgumentError(f"cannot run this SQL: {str(error).splitlines()[0]}") from error
    rows = show(pa.RecordBatchReader.from_batches(found.schema, iter(found.to_batches())), request.output)
    return 0 if rows else 1


def _rows(session: Session, filter: Filter) -> Any:
    """Return the rows of the table that meet the conditions; nothing is read yet.

    ``ArgumentError`` for conditions that Spark cannot test exactly as logsink does.
    """
    where = compiled(filter)
    if where.rest.conditions:
        raise ArgumentError(
            f"cannot use this condition with --connect: {where.rest.conditions[0]}",
            hint="write it as WHERE in the statement, as Spark understands it, or use logsink query --connect",
        )
    return session.table() if where.where is None else session.table().filter(where.where)
