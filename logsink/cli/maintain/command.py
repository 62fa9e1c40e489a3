"""``logsink maintain``: upkeep of a store, beside receivers or without any."""

from __future__ import annotations

from pathlib import Path

import click

from logsink.cli.options.settings import effective, options
from logsink.cli.startup import without_pandas


@click.command()
@options("store")
@click.option("--once", is_flag=True, help="Do everything that is due now, and exit.")
@click.option(
    "--dry-run", is_flag=True, help="Print what is due now, but for the index and the table's log, and do nothing."
)
@click.option("--index", is_flag=True, help="Index all data files that have no index yet, and exit.")
def command(config_file: Path | None, store: str | None, once: bool, dry_run: bool, index: bool) -> int:
    """Compact, expire and clean up a store.

    Archives the journal of receivers that are gone, removes dates older than maintain.retention, writes checkpoints, deletes
    data files that are no longer needed, merges small ones and indexes what it merges. Prints a line for everything done.

    Receivers do the same while they run. Run this for a store without receivers, to take the work off receivers, or to see
    what is due. Several may run at the same time. Without --once it runs until SIGTERM or SIGINT.

    --index is for archives from before maintain.index: it reads every data file that has no index, the newest first. You may
    interrupt it and start it again: it goes on where it was.

    Names what is damaged or missing. While the table's log is damaged, it changes nothing. `logsink verify` finds everything.

    Exit code 0: done; 2: an error, something could not be done, or something is damaged or missing.

    \b
    Examples:
      logsink maintain --once --store s3://my-logs/prod
      logsink maintain --dry-run
      logsink maintain --index
    """
    if index and (once or dry_run):
        raise click.UsageError(f"--index goes without {'--once' if once else '--dry-run'}: it does nothing else")
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.maintain.run import run

    return run(config, once=once, dry_run=dry_run, index=index)
