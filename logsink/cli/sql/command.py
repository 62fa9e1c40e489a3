"""``logsink sql``: SQL over the archive, on DuckDB here or by a Spark Connect server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from logsink.cli.options.output import FormatName
from logsink.cli.options.settings import effective, options
from logsink.cli.options.terms import conditions
from logsink.cli.options.zones import zone_of
from logsink.cli.startup import without_pandas
from logsink.query.output import OF_TABLES

_HELP = """
Run SQL over the archive: one statement, in which the rows are the table `logs`. Conditions (--since, -H, ...) choose the rows
that are read, and so does its WHERE on time, received, date, host, app and severity; the more they leave out, the faster it is.
SQL can read nothing but `logs`, and writes nothing.

\b
  logsink sql 'SELECT app, count(*) AS n FROM logs GROUP BY app ORDER BY n DESC'
  logsink sql -S 1h -H 'web-*' 'SELECT host, avg(length(message)) FROM logs GROUP BY host'
  logsink sql -o parquet 'SELECT * FROM logs WHERE severity <= 3' > errors.parquet
  logsink sql --connect sc://spark:15002 'SELECT date, count(*) FROM logs GROUP BY date'

Columns: those of `logsink query -o json`, wire, raw, and date (UTC, of received). Times are in the zone of -z.
Exit code 0: there are rows; 1: none; 2: an error.
"""


@click.command(help=_HELP)
@click.argument("statement", metavar="SQL")
@options("store")
@conditions
@click.option(
    "-o",
    "--output",
    type=FormatName(OF_TABLES),
    default="table",
    show_default=True,
    help="Format of the output.",
)
@click.option("-j", "--json", "output", flag_value="json", help="The same as -o json.")
@click.option("-q", "--quiet", is_flag=True, help="No summary on stderr.")
@click.option("--connect", metavar="URL", help="A Spark Connect server that reads the store itself: sc://host:port.")
def command(config_file: Path | None, store: str | None, statement: str, **given: Any) -> int:
    zone = zone_of(given["timezone"], utc=given["utc"])
    config = effective(config_file, {"store": store})
    if given["connect"]:
        from logsink.cli.sql.spark import by_spark

        return by_spark(config.store, statement, given, zone)
    without_pandas()
    from logsink.cli.sql.run import by_duckdb

    return by_duckdb(config.store, statement, given, zone)
