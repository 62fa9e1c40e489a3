"""``logsink repair``: mend what is damaged, and record what is lost."""

from __future__ import annotations

from pathlib import Path

import click

from logsink.cli.options.settings import effective, options
from logsink.cli.startup import without_pandas


@click.command()
@options("store")
@click.option("--apply", is_flag=True, help="Do what is printed otherwise.")
@click.option("--quick", is_flag=True, help="Read only the ends of data files: rows damaged within one are not found.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress on stderr.")
def command(config_file: Path | None, store: str | None, apply: bool, quick: bool, quiet: bool) -> int:
    """Mend what is damaged, and record what is lost.

    Prints what there is to do; with --apply, does it, and then checks the store as `logsink verify` does. Every row that is
    intact somewhere in the store is found once afterwards: the table's log is written anew from the data files, damaged files
    are replaced by others that hold the same rows, and rows are made again from the journal. What is gone is recorded as lost;
    queries do not name it any more, and `logsink verify` still lists it.

    So first put back what you have copies of. Nothing is deleted: damaged objects that are replaced go to quarantine/. It may
    be interrupted and run again, and run beside receivers.

    Exit code 0: nothing is damaged, or not any more; 2: something is damaged, or an error.

    \b
    Examples:
      logsink repair --store s3://my-logs/prod
      logsink repair --apply --store s3://my-logs/prod
    """
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.repair.run import run

    return run(config, apply=apply, quick=quick, quiet=quiet)
