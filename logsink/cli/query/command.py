"""``logsink query``: search logs. What searches is imported when the verb runs, so that ``--help`` comes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from logsink.cli.options.context import context_options
from logsink.cli.options.limits import lines_option
from logsink.cli.options.output import output_options
from logsink.cli.options.reading import no_cache_option
from logsink.cli.options.sections import Sectioned
from logsink.cli.options.settings import effective, options
from logsink.cli.options.summaries import summary_options
from logsink.cli.options.terms import pattern_options, term_options, with_json
from logsink.cli.query.exclusions import check
from logsink.cli.query.request import QueryRequest
from logsink.cli.startup import use_little_memory, without_pandas
from logsink.errors import ArgumentError

_HELP = """
Search logs. PATTERN is text that the message contains, case-sensitive; of several patterns, one must match. Without a pattern,
every message matches. Prints the newest 1000 matches, oldest first, unless -n says otherwise.

\b
  logsink query timeout --since 1h               messages with "timeout" in the last hour
  logsink query -p err -H 'web-*' -S today       errors of all web servers since midnight
  logsink query -w 3fa9c1d2e8                    an id as a whole word: an index finds it in years of logs
  logsink query -E 'port 8[0-9]{3}' -n all       all messages that match a regular expression
  logsink query -S '2026-11-22 03:10' -U 03:20   a time range: from 03:10 until before 03:20
  logsink query -u sshd -o json -n 50 -r         the newest 50 of sshd as JSON, newest first
  logsink query -p err -B 5 -S 03:10 -U 03:15    errors, each with the five lines before it
  logsink query -f -H 'web-*' -p warning         new warnings of all web servers as they arrive
  logsink query --deploy d-7 --sd request=4711   one request of one deploy
  logsink query --json 'status>=500' --top .path JSON or logfmt messages: the paths that fail most
  logsink query -S 1d -p err --patterns -n 20    the most frequent kinds of errors since yesterday
  logsink query -S today --hist 1h --by severity the number of messages in each hour, by severity

Options that take a GLOB or a NAME may be repeated: a row must match one of them. It must match every --sd, --flag and --json.
A glob has * ? [a-z], and ! before it excludes what matches.

Times: 15m, 1h30m or '2 days ago', now, today, 'yesterday 3:10', 2026-11-28, '2026-11-28 03:10', 3:10, 'Nov 28 14:58', as
syslog, web servers, journalctl and RFC 3339 write them (Z, +01:00, CET), seconds or milliseconds since 1970.

Exit code 0: something was found; 1: nothing; 2: an error, or something is damaged or missing; 130: interrupted.
"""


@click.command(cls=Sectioned, help=_HELP)
@pattern_options
@options("store")
@term_options
@context_options
@lines_option("Newest N rows (default 1000), first N of a summary; 0, all: no limit.")
@click.option(
    "--sort",
    type=click.Choice(("time", "received")),
    default="time",
    help="Order by the time in the message, or of its arrival.",
)
@click.option("-r", "--reverse", is_flag=True, help="Newest first.")
@click.option(
    "-f", "--follow", is_flag=True, help="Show new rows as they are stored, after -n older ones (default 10)."
)
@click.option("--tail", is_flag=True, help="The same as --follow.")
@click.option("--after-cursor", metavar="CURSOR", help="Show rows that were stored after CURSOR.")
@click.option(
    "--cursor-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Continue after the cursor in FILE, and save the new one in it.",
)
@click.option("--show-cursor", is_flag=True, help="Print the cursor on stderr at the end.")
@output_options
@click.option("--dedupe", is_flag=True, help="Hide probable copies, which RELP clients send after a broken connection.")
@summary_options
@click.option("--connect", metavar="URL", help="Have the Spark Connect server at URL read the archive: sc://host:port.")
@click.option("--explain", is_flag=True, help="Print what would be read, and do not read it.")
@click.option("--no-pager", is_flag=True, help="Print to the terminal without a pager.")
@no_cache_option
@click.option("-q", "--quiet", is_flag=True, help="Print no summary, hints or progress on stderr.")
def command(config_file: Path | None, store: str | None, **parameters: Any) -> int:
    parameters = with_json(parameters)
    _refuse_mistakes(config_file, parameters)
    request = QueryRequest.of(parameters)
    check(request)
    config = effective(config_file, {"store": store})
    if request.connect is None:
        without_pandas()
    from logsink.cli.query.run import run

    use_little_memory()
    return run(config.store, request, cache=0 if request.no_cache else config.query.cache_size)


def _refuse_mistakes(config_file: Path | None, parameters: dict[str, Any]) -> None:
    """Raise ``ArgumentError`` for options that have another meaning in other programs, where that was probably meant."""
    number = next((pattern for pattern in parameters["pattern"] if pattern.isdigit()), None)
    if parameters["tail"] and number is not None:
        raise ArgumentError(
            f"cannot tell what {number} is for: --tail takes no number, and {number} would be searched for",
            hint=f"-n {number} shows the newest {number}, -f -n {number} follows them, --follow {number} searches for it",
        )
    if config_file is not None and not config_file.exists():
        raise ArgumentError(
            f"cannot find settings file {str(config_file)!r}, which -c names",
            hint="--count counts rows",
        )
