"""``logsink diff``: compare what two deploys, or two times, have logged."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from logsink.cli.options.limits import lines_option
from logsink.cli.options.reading import json_option, no_cache_option, quiet_option, text_or_json_option
from logsink.cli.options.settings import effective, options
from logsink.cli.options.terms import term_options
from logsink.cli.startup import use_little_memory, without_pandas

_HELP = """
Compare what two deploys, or two times, have logged: kinds of messages that are new, gone, more or less frequent than the
other kinds let expect. A kind is what is left of a message without numbers, ids, addresses and names, and its application.
Errors come first, each change with an example, the instances that have it, and a query that shows its messages.

\b
  logsink diff --deploy 2026-11-23.1 2026-11-24.2         what the second deploy says that the first did not
  logsink diff --deploy d-7 d-8 --role web -p warning     warnings and errors of the web servers of both
  logsink diff --before 03:04 -S 02:30 -U 04:00           before and after 03:04
  logsink diff --before '2 hours ago'                     the last two hours, and the two before
  logsink diff -S 03:00 -U 04:00 --versus 'yesterday 3:00'   this hour, and the same one of yesterday
  logsink diff --deploy d-7 d-8 --fail-on new-errors      for pipelines: exit code 1 when there are new errors

With --before, TIME parts the range of -S and -U; without -S, the time before is as long as the time after. With --versus, TIME
begins a range as long as that of -S and -U. What differs by no more than chance is not shown, and neither is what one instance
of many shows alone: --all shows that.

Exit code 0: the sides were compared; 1: --fail-on has found something; 2: an error, or something is damaged or missing; 130:
interrupted.
"""


@click.command(help=_HELP)
@options("store")
@click.option("--deploy", nargs=2, metavar="A B", help="Compare deploy B with deploy A (globs).")
@click.option("--before", metavar="TIME", help="Compare messages of TIME and later with those before TIME.")
@click.option(
    "--versus",
    metavar="TIME",
    help="Compare the range from -S to -U (default: now) with one as long that begins at TIME.",
)
@partial(term_options, without="deploy")
@lines_option("Show N changes at most (default 40); 0, all: no limit.", "40")
@click.option("--all", "every", is_flag=True, help="Also show changes that one instance of many shows alone.")
@click.option(
    "--fail-on", type=click.Choice(["new-errors"]), help="Exit with 1 when the second side has new kinds of errors."
)
@text_or_json_option
@json_option
@no_cache_option
@quiet_option
def command(config_file: Path | None, store: str | None, **parameters: Any) -> int:
    from logsink.cli.diff.sides import DiffRequest

    given = (("-c", config_file), ("--store", store))
    place = tuple(text for option, value in given if value is not None for text in (option, str(value)))
    request = replace(DiffRequest.of(parameters), place=place)
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.diff.run import run

    use_little_memory()
    return run(config.store, request, cache=0 if request.no_cache else config.query.cache_size)
