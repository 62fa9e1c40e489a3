"""Sections of options in ``logsink query --help``."""

from __future__ import annotations

import click

SECTIONS = {
    "Message": ("grep", "regex", "fixed", "word", "ignore_case", "invert_match", "json"),
    "Time": ("since", "until", "around", "timezone", "utc"),
    "Origin and severity": (
        *("host", "app", "priority", "facility", "procid", "msgid", "sd", "flag"),
        *("sender", "identity", "transport", "environment", "role", "deploy", "instance"),
    ),
    "Number and order": ("lines", "sort", "reverse", "dedupe"),
    "Following": ("follow", "tail", "after_cursor", "cursor_file", "show_cursor"),
    "Context of a match": ("after_context", "before_context", "context", "context_by", "multiline", "continues"),
    "Summaries": ("count", "stats", "hist", "by", "top", "values", "patterns"),
    "Output": ("output", "fields", "framing", "spreadsheet", "color", "marks", "no_pager", "quiet"),
}
"""Title of each section and the names of its parameters, in the order of ``--help``. Other options come last."""


class Sectioned(click.Command):
    """A command whose help lists its options by ``SECTIONS``."""

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
