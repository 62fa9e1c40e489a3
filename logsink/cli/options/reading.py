"""Options of verbs that read a store: the user's cache, and what is printed besides the answer."""

from __future__ import annotations

import click

no_cache_option = click.option(
    "--no-cache", is_flag=True, help="Neither use nor fill the user's cache of the log and index of S3."
)

quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print no summary or progress on stderr.")

json_option = click.option("-j", "--json", "output", flag_value="json", help="The same as -o json.")
