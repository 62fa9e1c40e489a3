"""``logsink query``: find what was kept. Everything heavy is imported when it runs, so that ``--help`` comes at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from logsink.cli.options.context import belonging, span_of
from logsink.cli.options.output import output_options
from logsink.cli.options.sections import Sectioned
from logsink.cli.options.settings import effective, options
from logsink.cli.options.summaries import summary_options
from logsink.cli.options.terms import conditions, patterns, with_json
from logsink.cli.options.zones import zone_of
from logsink.cli.startup import use_little_memory, without_pandas
from logsink.errors import ArgumentError

LIMITS = {"follow": "10", "top": "10", "patterns": "40", "count": "all", "stats": "all", "hist": "all", "values": "all"}
"""Default of ``-n`` with these options; 1000 without."""

_EXAMPLES = """
Find what was kept. PATTERN is text to be found in the message, case-sensitive; several are alternatives. Without any,
every message matches. The newest 1000 matches are printed, oldest first, unless -n says otherwise.

\b
  logsink query timeout --since 1h               messages with "timeout" in the last hour
  logsink query -p err -H 'web-*' -S today       errors of all web servers since midnight
  logsink query -E 'port 8[0-9]{3}' -n all       a regular expression, everything there is
  logsink query -S '2026-11-22 03:10' -U 03:20   a time range, [since, until)
  logsink query -u sshd -o json -n 50 -r         the newest 50 of sshd as JSON, newest first
  logsink query -p err -B 5 -S 03:10 -U 03:15    errors, each with the five lines before it
  logsink query -f -H 'web-*' -p warning         what comes in from now on
  logsink query --deploy d-7 --sd request=4711   of one deployment, one request
  logsink query --json 'status>=500' --top .path  JSON or logfmt messages: which paths fail
  logsink query -S 1d -p err --patterns -n 20    the most frequent kinds of errors since yesterday
  logsink query -S today --hist 1h --by severity how many in each hour

Times: 15m, 1h30m or '2 days ago', now, today, 'yesterday 3:10', 2026-11-28, '2026-11-28 03:10', 3:10, 'Nov 28 14:58', as
syslog, web servers, journalctl and RFC 3339 write them (Z, +01:00, CET), seconds or milliseconds since 1970.

Exit code 0: something was found; 1: nothing; 2: an error, or something is unreadable; 130: interrupted.
"""


@click.command(cls=Sectioned, help=_EXAMPLES)
@patterns
@options("store")
@conditions
@belonging
@click.option(
    "-n",
    "--lines",
    "--limit",
    "lines",
    metavar="N",
    help="The newest N only (1000), of a sum the first; 0 or all: all.",
)
@click.option(
    "--sort",
    type=click.Choice(("time", "received")),
    default="time",
    help="Order, and what is newest, by the messages' own time or by when they were received.",
)
@click.option("-r", "--reverse", is_flag=True, help="Newest first.")
@click.option("-f", "--follow", is_flag=True, help="Then show what comes, until interrupted; -n 10, 0: nothing old.")
@click.option("--tail", is_flag=True, help="The same as --follow.")
@click.option("--after-cursor", metavar="CURSOR", help="What was stored after the place that a cursor names.")
@click.option(
    "--cursor-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Begin after the cursor in FILE, if there is one; keep it there.",
)
@click.option("--show-cursor", is_flag=True, help="The cursor on stderr at the end.")
@output_options
@click.option(
    "--dedupe", is_flag=True, help="Hide what is probably a copy: sent again by RELP clients after a broken connection."
)
@summary_options
@click.option("--explain", is_flag=True, help="Show what would be read, and do not read it.")
@click.option("--no-pager", is_flag=True, help="Straight to the terminal.")
@click.option("-q", "--quiet", is_flag=True, help="No summary, no notices, no progress on stderr.")
def command(config_file: Path | None, store: str | None, **given: Any) -> int:
    given = with_json(given)
    _check(config_file, given)
    given["follow"] = given["follow"] or given["tail"]
    near = given["around"] is not None and span_of(given["around"]) is None
    usual = "40" if near else next((limit for option, limit in LIMITS.items() if given[option]), "1000")
    limit = limit_of(given["lines"] or usual, follow=given["follow"])
    zone = zone_of(given["timezone"], utc=given["utc"])
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.query.run import searched

    use_little_memory()
    return searched(config.store, given, zone, limit)


def limit_of(text: str, *, follow: bool = False) -> int | None:
    """What ``-n`` says: None is no limit. With ``follow`` 0 is no old line, else it is no limit."""
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ArgumentError(f"cannot read {text!r} as a number of lines", hint="write digits, or all")
    return int(text) if follow else int(text) or None


def _check(config_file: Path | None, given: Mapping[str, Any]) -> None:
    """``ArgumentError`` for options that mean something else in other programs, where that is probably meant."""
    number = next((pattern for pattern in given["pattern"] if pattern.isdigit()), None)
    if given["tail"] and number is not None:
        raise ArgumentError(
            f"cannot tell what {number} is for: --tail takes no number, and {number} would be searched for",
            hint=f"-n {number} shows the newest {number}, -f -n {number} follows them, --follow {number} searches for it",
        )
    if config_file is not None and not config_file.exists():
        raise ArgumentError(
            f"cannot find settings file {str(config_file)!r}, which -c names",
            hint="--count counts; grep's -c is not ours",
        )
    if given["spreadsheet"] and given["output"] != "csv":
        raise ArgumentError(f"cannot use --spreadsheet with -o {given['output']}", hint="write -o csv")
