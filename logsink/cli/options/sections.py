"""The options of ``logsink query`` in ``--help``: by what they are for. One that no section names comes at the end."""

from __future__ import annotations

import click

SECTIONS = {
    "Text and fields in the message": ("grep", "regex", "fixed", "word", "ignore_case", "invert_match", "json"),
    "Time": ("since", "until", "around", "timezone", "utc"),
    "Where it comes from, and how urgent it is": (
        *("host", "app", "priority", "facility", "procid", "msgid", "sd", "flag"),
        *("sender", "identity", "transport", "environment", "role", "deploy", "instance"),
    ),
    "How many, and in which order": ("lines", "sort", "reverse", "dedupe"),
    "Following": ("follow", "tail", "after_cursor", "cursor_file", "show_cursor"),
    "Lines around a match": ("after_context", "before_context", "context", "context_by", "multiline", "continues"),
    "Sums instead of rows": ("count", "stats", "hist", "by", "top", "values", "patterns"),
    "Output": ("output", "fields", "framing", "spreadsheet", "color", "marks", "no_pager", "quiet"),
}
"""Title -> names of parameters, in the order of ``--help``."""


class Sectioned(click.Command):
    """A command whose options are shown in ``SECTIONS``."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        left = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for title, names in SECTIONS.items():
            _write(ctx, formatter, title, [param for name in names for param in left if param.name == name])
            left = [param for param in left if param.name not in names]
        _write(ctx, formatter, "Other options", left)


def _write(ctx: click.Context, formatter: click.HelpFormatter, title: str, params: list[click.Option]) -> None:
    records = [record for param in params if (record := param.get_help_record(ctx)) is not None]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)
