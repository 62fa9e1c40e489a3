"""``logsink maintain``: the upkeep of a store, beside receivers or without any."""

from __future__ import annotations

from pathlib import Path

import click

from logsink.cli.options.settings import effective, options
from logsink.cli.startup import without_pandas


@click.command()
@options("store")
@click.option("--once", is_flag=True, help="Do what is due now, all of it, and exit.")
@click.option("--dry-run", is_flag=True, help="Say what is due now, and do nothing.")
def command(config_file: Path | None, store: str | None, once: bool, dry_run: bool) -> int:
    """Do the upkeep of a store: archive what receivers that are gone have left, take out dates past maintain.retention, write
    checkpoints, delete data files that are no longer needed, and merge small ones.

    Every receiver does the same while it runs. This is for a store without receivers, for one whose receivers should have
    their processor for themselves, and for finding out what would be done. Any number of them may run at the same time.

    Prints a line for everything that was done. Without --once it goes on until SIGTERM or SIGINT. Exit code 0: done; 2: an
    error, or something could not be done.

    \b
    Examples:
      logsink maintain --once --store s3://my-logs/prod
      logsink maintain --dry-run
    """
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.maintain.run import maintained

    return maintained(config, once=once, dry_run=dry_run)
