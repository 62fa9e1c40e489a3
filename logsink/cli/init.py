"""``logsink init``: make a store, or say what is there."""

from __future__ import annotations

from pathlib import Path

import click

from logsink.cli.options.settings import effective, options
from logsink.cli.startup import without_pandas


@click.command()
@options("store")
def command(config_file: Path | None, store: str | None) -> None:
    """Make a store, or say which store is there.

    Only where nothing is, a new store is made: a table, and store.json with the store's id. Receivers do the same by
    themselves, unless create = "never" forbids it, as for a file system that may not be mounted yet.

    Exit code 0: there is a store; 2: an error.

    \b
    Examples:
      logsink init --store file:///srv/logs/store
      logsink init -c /etc/logsink.toml
    """
    import asyncio

    config = effective(config_file, {"store": store})
    without_pandas()
    click.echo(asyncio.run(_init(config.store)))


async def _init(url: str) -> str:
    """Make the store unless there is one, and return in words what was done."""
    from logsink import telemetry
    from logsink.archive import DeltaLog, settle
    from logsink.store import open_store

    telemetry.setup(level="warning")
    async with open_store(url) as store:
        await store.probe()
        log = DeltaLog(store)
        before = await log.load()
        marker = await settle(log, create=True)
        log.refuse_damage(await log.load(), "use the table")
    if before.version < 0:
        return f"made store {marker.id} at {store.url}"
    return f"store {marker.id}, created {marker.created}, is at {store.url}; its table is at version {before.version}"
