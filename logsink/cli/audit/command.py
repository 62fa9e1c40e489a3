"""``logsink audit``: find holes in the running numbers of senders, and what else went wrong on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from logsink.cli.options.settings import effective, options
from logsink.cli.startup import use_little_memory, without_pandas

_HELP = """
Find out whether anything is missing. Senders that number their messages (`logsink client-config`) are checked for holes, each
with its size and the times around it, for doubles and for messages in another order. Besides: times without a message that are
unusual for their sender, clocks that are wrong, and messages that arrived cut. At the end it says what it cannot know.

\b
  logsink audit                                  everything that is stored
  logsink audit -S yesterday -U today            one day
  logsink audit -S 1h --role web                 the last hour of the web servers
  logsink audit -o json | jq '.holes[]'          for programs

Conditions choose senders: the numbers of a sender are checked when any of its messages meets them. A copy that a client sent
again after a broken connection is counted as an explained double, which is no fault.

Exit code 0: there are no holes; 1: there are; 2: an error, or something is damaged or missing in the store; 130: interrupted.
"""


@click.command(help=_HELP)
@options("store")
@click.option("-S", "--since", "--from", "since", metavar="TIME", help="Messages of TIME and later.")
@click.option("-U", "--until", "--to", "until", metavar="TIME", help="Messages before TIME.")
@click.option("-H", "--host", multiple=True, metavar="GLOB", help="Senders with messages of a host that matches GLOB.")
@click.option("--environment", multiple=True, metavar="GLOB", help="Senders of this environment.")
@click.option("--role", multiple=True, metavar="GLOB", help="Senders of this role.")
@click.option("--deploy", multiple=True, metavar="GLOB", help="Senders of this deployment.")
@click.option("--instance", multiple=True, metavar="GLOB", help="Senders of this instance.")
@click.option(
    "-n",
    "--lines",
    "lines",
    metavar="N",
    default="40",
    help="Show N lines of each table (default 40); 0, all: no limit.",
)
@click.option("-z", "--timezone", metavar="ZONE", help="Time zone for input and output: local, UTC, Europe/Berlin.")
@click.option("--utc", is_flag=True, help="The same as -z UTC.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
@click.option("-j", "--json", "output", flag_value="json", help="The same as -o json.")
@click.option("-q", "--quiet", is_flag=True, help="Print no summary or progress on stderr.")
def command(config_file: Path | None, store: str | None, **parameters: Any) -> int:
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.audit.run import AuditRequest, run

    request = AuditRequest.of(parameters)
    use_little_memory()
    return run(config.store, request)
