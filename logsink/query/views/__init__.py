"""Views of the rows that a query finds, other than the matches themselves in order.

- ``context``: rows that belong to a match by a rule (``rules``) though they do not match, from its stream (``streams``)
- ``around``: rows before and after a time, or near each match in time
- ``follow``: rows that are stored from a cursor (``cursor``) on
- ``summary``: counts by values and by message pattern (``patterns``), ``histogram`` by time, both made of ``counting``;
  ``large`` shows those that do not fit into memory
- ``totals``: rows, errors, bytes and bounds of time by values
- ``fleet``: who sent rows, who fell silent, and who said goodbye
- ``similar``: why nothing was found, and which values look like those that were asked for
- ``future_rows``: how many rows have a time in the future

A store, a query and a few numbers enter; Arrow tables leave. Nothing here writes to a store, prints, or decides how a table is
shown. A new kind of sum is a class in ``summary``, a new rule for the rows around a match is a class in ``rules``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform import lazy

if TYPE_CHECKING:
    from logsink.query.views.around import AroundMatches, AroundTime, around_matches, around_time
    from logsink.query.views.context import GAP, with_context
    from logsink.query.views.cursor import Cursor
    from logsink.query.views.fleet import (
        FIELDS,
        GOODBYE,
        HERE,
        OWN_APPS,
        VANISHED,
        Endings,
        Member,
        members,
        of_senders,
        rows_of,
    )
    from logsink.query.views.follow import Follower
    from logsink.query.views.future_rows import FutureRows
    from logsink.query.views.histogram import Histogram
    from logsink.query.views.large import LargeSum
    from logsink.query.views.patterns import to_patterns
    from logsink.query.views.rules import CONTINUES, Neighbours, Record, Rule
    from logsink.query.views.similar import MissingValue, archive_times, in_other_case, missing_values
    from logsink.query.views.summary import Counts, Patterns, Summary, Values
    from logsink.query.views.totals import MEASURED, Totals

__getattr__ = lazy.exports(
    __name__,
    {
        "around": (
            "AroundMatches",
            "AroundTime",
            "around_matches",
            "around_time",
        ),
        "context": (
            "GAP",
            "with_context",
        ),
        "fleet": (
            *("FIELDS", "GOODBYE", "HERE", "OWN_APPS", "VANISHED"),
            *("Endings", "Member", "members", "of_senders", "rows_of"),
        ),
        "follow": (
            "Cursor",
            "Follower",
        ),
        "future_rows": ("FutureRows",),
        "histogram": ("Histogram",),
        "large": ("LargeSum",),
        "patterns": ("to_patterns",),
        "rules": (
            "CONTINUES",
            "Neighbours",
            "Record",
            "Rule",
        ),
        "similar": (
            "MissingValue",
            "archive_times",
            "in_other_case",
            "missing_values",
        ),
        "summary": (
            "Counts",
            "Patterns",
            "Summary",
            "Values",
        ),
        "totals": (
            "MEASURED",
            "Totals",
        ),
    },
)

__all__ = [
    "CONTINUES",
    "FIELDS",
    "GAP",
    "GOODBYE",
    "HERE",
    "MEASURED",
    "OWN_APPS",
    "VANISHED",
    "AroundMatches",
    "AroundTime",
    "Counts",
    "Cursor",
    "Endings",
    "Follower",
    "FutureRows",
    "Histogram",
    "LargeSum",
    "Member",
    "MissingValue",
    "Neighbours",
    "Patterns",
    "Record",
    "Rule",
    "Summary",
    "Totals",
    "Values",
    "archive_times",
    "around_matches",
    "around_time",
    "in_other_case",
    "members",
    "missing_values",
    "of_senders",
    "rows_of",
    "to_patterns",
    "with_context",
]
