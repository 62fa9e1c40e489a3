"""``logsink verify``: check that everything that a store should hold is there and unchanged."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from logsink.cli.options.settings import effective, options
from logsink.cli.startup import without_pandas


@click.command()
@options("store")
@click.option("--deep", is_flag=True, help="Read every data file whole, and check each byte and row.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Leave out data files of rows received before DATE (UTC).",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress on stderr.")
def command(
    config_file: Path | None,
    store: str | None,
    deep: bool,
    since: datetime.datetime | None,
    output: str,
    quiet: bool,
) -> int:
    """Check that everything is there and unchanged.

    Reads the journal, the table's log and the end of each data file, and compares all of them. Prints each damaged or missing
    object with its rows and the remedy, and what was recorded as lost earlier. Changes nothing, needs only the right to read,
    and may run beside receivers at any time.

    Without --deep, one or two small reads are made for each data file. They find a file that is missing, cut or replaced, and
    not a changed byte in its middle, which --deep and every query that reads it find.

    Exit code 0: everything is there; 2: something is damaged, or an error.

    \b
    Examples:
      logsink verify --store s3://my-logs/prod
      logsink verify --deep --since 2026-11-01
      logsink verify -o json | jq '.damages[].key'
    """
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.verify.run import run

    return run(config, deep=deep, since=since.date() if since else None, json=output == "json", quiet=quiet)
