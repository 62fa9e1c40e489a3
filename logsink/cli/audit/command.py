"""``logsink audit``: find holes in the running numbers of senders, and what else went wrong on the way."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from logsink.cli.options.limits import lines_option
from logsink.cli.options.reading import json_option, no_cache_option, quiet_option, text_or_json_option
from logsink.cli.options.settings import effective, options
from logsink.cli.options.terms import glob_options, range_options, zone_options
from logsink.cli.startup import use_little_memory, without_pandas

COLUMNS: Final = ("host", "environment", "role", "deploy", "instance")
"""Columns by which senders are chosen."""

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
@range_options
@partial(glob_options, columns=COLUMNS)
@zone_options
@lines_option("Show N lines of each table (default 40); 0, all: no limit.", "40")
@text_or_json_option
@json_option
@no_cache_option
@quiet_option
def command(config_file: Path | None, store: str | None, **parameters: Any) -> int:
    config = effective(config_file, {"store": store})
    without_pandas()
    from logsink.cli.audit.run import AuditRequest, run

    request = AuditRequest.of(parameters)
    use_little_memory()
    return run(config.store, request, cache=0 if request.no_cache else config.query.cache_size)
