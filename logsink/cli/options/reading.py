"""Options of verbs that look at something: the form of their answer, what is printed besides it, and the user's cache."""

from __future__ import annotations

import click

no_cache_option = click.option(
    "--no-cache", is_flag=True, help="Neither use nor fill the user's cache of the log and index of S3."
)

quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print no summary or progress on stderr.")

json_option = click.option("-j", "--json", "output", flag_value="json", help="The same as -o json.")

text_or_json_option = click.option(
    *("-o", "--output"),
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="Format of the output.",
)
