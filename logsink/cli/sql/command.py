"""``logsink sql``: SQL over the archive, on DuckDB here or by a Spark Connect server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from logsink.cli.options.output import FormatName
from logsink.cli.options.settings import effective, options
from logsink.cli.options.terms import term_options
from logsink.cli.sql.request import SqlRequest
from logsink.cli.startup import without_pandas
from logsink.query.output import OF_TABLES

_HELP = """
Run one SQL statement over logs, which are the table `logs`. Options (--since, -H, ...) choose the rows that are read, and so
does its WHERE on time, received, date, host, app and severity: the fewer rows, the faster. The statement can read nothing but
`logs`, and cannot write.

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
@term_options
@click.option(
    "-o",
    "--output",
    type=FormatName(OF_TABLES),
    default="table",
    show_default=True,
    help="Format of the output.",
)
@click.option("-j", "--json", "output", flag_value="json", help="The same as -o json.")
@click.option("-q", "--quiet", is_flag=True, help="Print no summary on stderr.")
@click.option("--connect", metavar="URL", help="Run on the Spark Connect server at URL: sc://host:port.")
def command(config_file: Path | None, store: str | None, statement: str, **parameters: Any) -> int:
    request = SqlRequest.of(statement, parameters)
    config = effective(config_file, {"store": store})
    if request.connect is not None:
        from logsink.cli.sql.spark import by_spark

        return by_spark(config.store, request, request.connect)
    without_pandas()
    from logsink.cli.sql.run import by_duckdb

    return by_duckdb(config.store, request)
