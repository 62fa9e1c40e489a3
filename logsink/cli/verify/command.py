"""``logsink verify``: check that everything that a store should hold is there and unchanged."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from logsink.cli.options.reading import text_or_json_option
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
@click.option(
    "--ledger",
    metavar="FILE",
    help="Compare the ledger in FILE, or at s3://bucket/key, with the rows of its date, and nothing else.",
)
@text_or_json_option
@click.option("-q", "--quiet", is_flag=True, help="Show no progress on stderr.")
def command(
    config_file: Path | None,
    store: str | None,
    deep: bool,
    since: datetime.datetime | None,
    ledger: str | None,
    output: str,
    quiet: bool,
) -> int:
    """Check that everything is there and unchanged.

    Reads the journal, the table's log and the end of each data file, and compares all of them. Prints each damaged or missing
    object with its rows and the remedy, and what was recorded as lost earlier. Changes nothing, needs only the right to read,
    and may run beside receivers at any time.

    Without --deep, one or two small reads are made for each data file. They find a file that is missing, cut or replaced, and
    not a changed byte in its middle, which --deep and every query that reads it find.

    With --ledger, reads the data files of one date whole and computes the digests of their rows anew: a ledger that you kept
    elsewhere proves that no row of that date was changed, taken or added since (docs/evidence.md).

    Exit code 0: everything is there; 2: something is damaged, or an error.

    \b
    Examples:
      logsink verify --store s3://my-logs/prod
      logsink verify --deep --since 2026-11-01
      logsink verify -o json | jq '.damages[].key'
      logsink verify --ledger 2026-11-01.json
    """
    config = effective(config_file, {"store": store})
    without_pandas()
    if ledger is not None:
        if deep or since:
            raise click.UsageError("--ledger goes without --deep and --since: it reads all of its date")
        from logsink.cli.verify.ledger import run as compare

        return compare(config, ledger, output=output, quiet=quiet)
    from logsink.cli.verify.run import run

    return run(config, deep=deep, since=since.date() if since else None, output=output, quiet=quiet)
