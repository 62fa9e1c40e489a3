"""``logsink hosts``: who sends logs, who has fallen silent, and what they said last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from logsink.cli.fleet.options import FleetRequest, fleet_options
from logsink.cli.options.settings import effective
from logsink.cli.startup import use_little_memory, without_pandas
from logsink.errors import ArgumentError

KEYS = ("instance", "host", "sender", "role", "deploy")
"""Values of ``--by``."""

SILENCE = "10m"
"""Default of ``--silent``: a sender without a row for this long is silent."""

_HELP = """
Show who sent logs: environment, role, deploy, the first and the last row, rows, bytes, errors, and whether they are still
here. A sender with no row for 10 minutes (--silent) is silent. Its state is "goodbye" if a shutdown was logged in its last
two minutes, else "vanished", or "silent" with --silent. The newest come last. Options (--since, -H, ...) choose the rows
that are looked at; rows of logsink itself (apps logsink and logsink-doctor) are left out, unless --app asks for them.

\b
  logsink hosts -S 1d                            the instances of the last day
  logsink hosts -S 1d --vanished --last-words 5  those that vanished, and what they said last
  logsink hosts --by role --silent 10m           roles that say nothing any more: for a monitor
  logsink hosts --by host -u backup --silent 25h hosts without a backup since yesterday

Exit code 0: there are some; 1: there are none. With --silent or --vanished 0: there are none; 1: there are some.
2: an error, or something is damaged or missing.
"""


@click.command(help=_HELP)
@click.option("--by", type=click.Choice(KEYS), default="instance", show_default=True, help="What a line stands for.")
@click.option("--silent", metavar="SPAN", help="Show only those that have sent nothing for SPAN (10m, 2h).")
@click.option("--vanished", is_flag=True, help="Show only those that fell silent and said no goodbye.")
@click.option("--last-words", type=click.IntRange(1, 1000), metavar="N", help="Show the last N messages of each, too.")
@fleet_options
def command(config_file: Path | None, store: str | None, **parameters: Any) -> int:
    from logsink.kinds import parse_span

    request, silent = FleetRequest.of(parameters), parameters["silent"]
    if parameters["last_words"] and request.output == "csv":
        raise ArgumentError("cannot write last words as csv", hint="--last-words goes with -o table and -o json")
    silence = round(parse_span(silent or SILENCE) * 1_000_000)
    if silence <= 0:
        raise ArgumentError(f"cannot look for a silence of {silent!r}", hint="write 10m, 2h or '1 day'")
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.fleet.asking import ask
    from logsink.cli.hosts.run import Hosts

    use_little_memory()
    hosts = Hosts(
        by=parameters["by"],
        silence=silence,
        silent=silent,
        vanished=parameters["vanished"],
        last_words=parameters["last_words"] or 0,
    )
    return ask(config.store, request, hosts.answer, cache=config.query.cache_size)
