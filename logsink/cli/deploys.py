"""``logsink deploys``: the deploys in the order in which they came, with their instances, rows and errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logsink.cli.fleet.options import FleetRequest, fleet_options
from logsink.cli.options.settings import effective
from logsink.cli.startup import use_little_memory, without_pandas

if TYPE_CHECKING:
    from logsink.cli.fleet.asking import Asking
    from logsink.query.views import Member

_HELP = """
Show the deploys in the order in which they were first seen: their roles, when, how many instances, rows, and which share of the
rows are errors (severity err and more urgent ones); with a bar for the time from their first row to their last.
Options (--since, --role, ...) choose the rows that are looked at.

\b
  logsink deploys --role web -S 30d
  logsink deploys -n 5                           the newest five

Exit code 0: there are some; 1: there are none; 2: an error, or something is damaged or missing.
"""


@click.command(help=_HELP)
@fleet_options
def command(config_file: Path | None, store: str | None, **parameters: Any) -> int:
    request = FleetRequest.of(parameters)
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.fleet.asking import ask

    use_little_memory()
    return ask(config.store, request, _answer, cache=config.query.cache_size)


async def _answer(asking: Asking) -> int:
    """Print the answer and return the exit code."""
    from logsink.cli import report as reporting
    from logsink.query.views import FIELDS, Totals, members, of_senders

    totals = await asking.totals(of_senders(asking.filter), Totals(FIELDS))
    found = [] if totals is None else members(totals, "deploy")
    shown = sorted((one for one in found if one.key is not None), key=lambda one: (one.first, one.last, one.key))
    nameless = sum(one.rows for one in found if one.key is None)
    if nameless and not asking.request.quiet:
        reporting.say(f"{reporting.count_of(nameless, 'row')} without a deploy, left out")
    _show(asking, shown[-asking.request.limit :] if asking.request.limit else shown)
    return int(not shown)


def _show(asking: Asking, shown: list[Member]) -> None:
    import pyarrow as pa

    from logsink.cli.fleet.tables import spans_of

    instant, request = pa.timestamp("us", tz="UTC"), asking.request
    columns = {
        "deploy": pa.array([one.key for one in shown], pa.string()),
        "environment": pa.array([_list(one.seen["environment"]) for one in shown], pa.string()),
        "role": pa.array([_list(one.seen["role"]) for one in shown], pa.string()),
        "first": pa.array([one.first for one in shown], instant),
        "last": pa.array([one.last for one in shown], instant),
        "instances": pa.array([len(one.instances) for one in shown], pa.int64()),
        "rows": pa.array([one.rows for one in shown], pa.int64()),
        "errors": pa.array([one.errors for one in shown], pa.int64()),
        "error_percent": pa.array([100 * one.errors / one.rows for one in shown], pa.float64()),
    }
    if shown or request.output != "table":
        bars = spans_of([(one.first, one.last) for one in shown])
        asking.show(pa.table(columns), bars, spare=("environment", "errors", "last"))


def _list(values: set[str]) -> str | None:
    """Return values as one text; None where there are none."""
    return ", ".join(sorted(values)) or None
