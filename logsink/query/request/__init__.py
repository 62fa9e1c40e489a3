"""What a question asks for: the grammar of times, globs, severities and members, and the filter that they become.

``SearchTerms`` holds the terms as their asker wrote them, ``to_filter`` says what they mean: a ``Filter``, which is a set of
conditions on single columns. ``Query`` adds which columns of the rows are returned, in which order, and how many.

Text, numbers and Arrow arrays enter; nothing here reads a store, a file, the clock or the environment. A new condition on rows
is a class in ``conditions``; a new search term is a field in ``terms`` and a few lines in ``interpret``.

Exports are imported at first use: ``terms``, ``times`` and ``severities`` do not load pyarrow, so that a command can show its
``--help`` and a shell can complete its options without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform import lazy

if TYPE_CHECKING:
    from logsink.query.request.interpret import to_filter
    from logsink.query.request.terms import GLOB_COLUMNS, REPEATED_TERMS, TERM_NAMES, SearchTerms

__getattr__ = lazy.exports(
    __name__,
    {
        "interpret": ("to_filter",),
        "terms": ("GLOB_COLUMNS", "REPEATED_TERMS", "TERM_NAMES", "SearchTerms"),
    },
)

__all__ = [
    "GLOB_COLUMNS",
    "REPEATED_TERMS",
    "TERM_NAMES",
    "SearchTerms",
    "to_filter",
]
