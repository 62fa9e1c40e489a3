"""What a question asks for: the grammar of times, globs, severities and members, and the filter that they become.

``SearchTerms`` holds the terms as their asker wrote them, ``to_filter`` says what they mean: a ``Filter``, which is a set of
conditions on single columns. ``Query`` adds which columns of the rows are returned, in which order, and how many.

Text, numbers and Arrow arrays enter. Nothing here reads a store, a file, the clock or the environment, and nothing knows how
rows are found: the rooms that read ask a condition which values meet it, what bounds of a column say about it, which bytes
every value that meets it contains, and which keys it has in the index. A new condition on rows is a class in ``conditions``,
``members`` or ``parameters``; a new search term is a field in ``terms`` and a few lines in ``interpret``.

Exports are imported at first use: ``terms``, ``times`` and ``severities`` do not load pyarrow, so that a command can show its
``--help`` and a shell can complete its options without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform import lazy

if TYPE_CHECKING:
    from logsink.query.request.clocks import EARLIEST, LATEST
    from logsink.query.request.conditions import (
        Between,
        ExactlyOneOf,
        Flagged,
        Holds,
        InSpans,
        Not,
        OneOf,
        OneOfNumbers,
        instant_text,
    )
    from logsink.query.request.filters import EVERYTHING, UNKNOWN, Bounds, Condition, Filter, Needles, Verdict
    from logsink.query.request.globs import literal_prefix, literal_texts
    from logsink.query.request.interpret import to_filter
    from logsink.query.request.keys import Key, Keys, Requirement
    from logsink.query.request.members import (
        Members,
        MemberTest,
        Path,
        add_member_columns,
        is_member,
        numbers_of,
        source_columns,
    )
    from logsink.query.request.parameters import Parameter
    from logsink.query.request.query import Query
    from logsink.query.request.severities import FACILITIES, SEVERITIES, parse_facility, parse_priority
    from logsink.query.request.terms import GLOB_COLUMNS, REPEATED_TERMS, TERM_NAMES, SearchTerms
    from logsink.query.request.times import parse_time

__getattr__ = lazy.exports(
    __name__,
    {
        "conditions": (
            "Between",
            "ExactlyOneOf",
            "Flagged",
            "Holds",
            "InSpans",
            "Not",
            "OneOf",
            "OneOfNumbers",
            "instant_text",
        ),
        "filters": (
            "EVERYTHING",
            "UNKNOWN",
            "Bounds",
            "Condition",
            "Filter",
            "Needles",
            "Verdict",
        ),
        "clocks": ("EARLIEST", "LATEST"),
        "globs": ("literal_prefix", "literal_texts"),
        "interpret": ("to_filter",),
        "keys": ("Key", "Keys", "Requirement"),
        "members": (
            "Members",
            "MemberTest",
            "Path",
            "add_member_columns",
            "is_member",
            "numbers_of",
            "source_columns",
        ),
        "parameters": ("Parameter",),
        "query": ("Query",),
        "severities": (
            "FACILITIES",
            "SEVERITIES",
            "parse_facility",
            "parse_priority",
        ),
        "terms": (
            "GLOB_COLUMNS",
            "REPEATED_TERMS",
            "TERM_NAMES",
            "SearchTerms",
        ),
        "times": ("parse_time",),
    },
)

__all__ = [
    "EARLIEST",
    "EVERYTHING",
    "FACILITIES",
    "GLOB_COLUMNS",
    "LATEST",
    "REPEATED_TERMS",
    "SEVERITIES",
    "TERM_NAMES",
    "UNKNOWN",
    "Between",
    "Bounds",
    "Condition",
    "ExactlyOneOf",
    "Filter",
    "Flagged",
    "Holds",
    "InSpans",
    "Key",
    "Keys",
    "MemberTest",
    "Members",
    "Needles",
    "Not",
    "OneOf",
    "OneOfNumbers",
    "Parameter",
    "Path",
    "Query",
    "Requirement",
    "SearchTerms",
    "Verdict",
    "add_member_columns",
    "instant_text",
    "is_member",
    "literal_prefix",
    "literal_texts",
    "numbers_of",
    "parse_facility",
    "parse_priority",
    "parse_time",
    "source_columns",
    "to_filter",
]
