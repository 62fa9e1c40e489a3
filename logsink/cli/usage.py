"""``logsink usage``: who sends how much, how much of the store that takes, and what that costs a month."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logsink.cli import completion
from logsink.cli.fleet.options import FleetRequest, fleet_options
from logsink.cli.options.settings import effective
from logsink.cli.startup import use_little_memory, without_pandas
from logsink.errors import ArgumentError

if TYPE_CHECKING:
    import pyarrow as pa

    from logsink.cli.fleet.asking import Asking

DAY = "day"
"""What ``--by`` calls the day (UTC) of the messages' time."""

_UNCOUNTABLE = ("time", "received", "nth", "flags", "raw", "wire", "message", "structured_data")
"""Columns with nearly as many values as there are rows, and flags, of which a row has any number."""

_GIB = 1 << 30

_HELP = """
Show who sends how much: rows, bytes of messages and structured data (not of headers), about how many bytes of the store they
take, their share, and dollars a month for keeping them at the price of a GiB in the setting query.storage_price. The
largest come first; with `day`, in order of days (UTC). Options (--since, -H, ...) choose the rows that are looked at.

\b
  logsink usage --by app,role -S 30d
  logsink usage --by day,host -H 'web-*' -o csv

Exit code 0: there is something; 1: there is nothing; 2: an error, or something is damaged or missing.
"""


@click.command(help=_HELP)
@click.option(
    "--by",
    metavar="NAMES",
    default="app",
    show_default=True,
    shell_complete=completion.columns,
    help="What a line stands for: app,role,host,day or other columns.",
)
@fleet_options
def command(config_file: Path | None, store: str | None, **parameters: Any) -> int:
    names = _names(parameters["by"])
    request = FleetRequest.of(parameters)
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.fleet.asking import ask

    use_little_memory()
    price = config.query.storage_price
    return ask(config.store, request, lambda asking: _answer(asking, names, price), cache=config.query.cache_size)


def _names(text: str) -> list[str]:
    """Return the columns that ``--by`` names. ``ArgumentError`` if there is no such column, or it is named twice."""
    from logsink.cli.options.output import column_of

    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names):
        raise ArgumentError(f"cannot count by {text!r}", hint="name each column once")
    for name in names:
        if name.startswith(".") or name in _UNCOUNTABLE:
            raise ArgumentError(f"cannot count by {name!r}", hint="name columns such as app, role, host, deploy, day")
        if name != DAY:
            column_of(name)
    return names


async def _answer(asking: Asking, names: Sequence[str], price: float) -> int:
    """Print the answer and return the exit code."""
    from logsink.query.views import Totals

    fields = [name for name in names if name != DAY]
    totals = await asking.totals(asking.filter, Totals(fields, days=DAY in names))
    if totals is None or not totals.num_rows:
        return 1
    share = await _stored_share(asking, totals)
    _show(asking, _priced(totals, names, share, price), price)
    return 0


async def _stored_share(asking: Asking, totals: pa.Table) -> float:
    """Return how many bytes of the store a byte of messages takes: of those of the range of time, whoever sent them."""
    import pyarrow.compute as pc

    from logsink.query import Filter
    from logsink.query.read import stored_bytes
    from logsink.query.views import Totals

    within = Filter(tuple(one for one in asking.filter.conditions if one.column == "time"))
    if len(within.conditions) < len(asking.filter.conditions):
        everything = await asking.totals(within, Totals())
        totals = totals if everything is None else everything
    raw = pc.sum(totals.column("bytes")).as_py()
    return stored_bytes(asking.plan, within) / raw if raw and asking.plan is not None else 0.0


def _priced(totals: pa.Table, names: Sequence[str], share: float, price: float) -> pa.Table:
    """Return the table that is shown, in its order."""
    import numpy as np
    import pyarrow as pa

    order = [(DAY, "ascending")] if DAY in names else []
    totals = totals.sort_by([*order, ("bytes", "descending"), *((name, "ascending") for name in names if name != DAY)])
    raw = totals.column("bytes").to_numpy()
    stored = raw * share
    columns = {name: totals.column(name) for name in names}
    if DAY in names:
        columns[DAY] = columns[DAY].cast(pa.date32())
    return pa.table(
        {
            **columns,
            "rows": totals.column("rows"),
            "bytes": totals.column("bytes"),
            "stored": pa.array(np.rint(stored).astype(np.int64)),
            "percent": pa.array(100 * raw / max(1, raw.sum())),
            "dollars": pa.array(stored / _GIB * price),
        }
    )


def _show(asking: Asking, table: pa.Table, price: float) -> None:
    import pyarrow.compute as pc

    from logsink.cli import report as reporting
    from logsink.cli.fleet.tables import bars_of

    request = asking.request
    shown = table.slice(0, request.limit)
    asking.show(shown, bars_of(shown.column("bytes").to_pylist()), spare=("stored", "rows"))
    if request.quiet:
        return
    if shown.num_rows < table.num_rows:
        reporting.say(f"only the first {shown.num_rows:,} of {table.num_rows:,} are shown; -n all shows all")
    raw, stored, dollars = (pc.sum(table.column(name)).as_py() for name in ("bytes", "stored", "dollars"))
    reporting.say(
        f"{reporting.size(raw)} of messages take about {reporting.size(stored)} of the store: ${dollars:,.2f} a month, at "
        f"${price:g} for a GiB (query.storage_price)"
    )
