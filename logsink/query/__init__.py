"""Questions about what was kept, answered from the store alone: no server, no index, nothing but reads.

``times``, ``filters`` and ``question`` say what is wanted, ``plan`` which objects can hold it, ``datafile`` and ``tail`` read
those, ``selection`` takes rows out of what was read, ``scan`` runs it all at once, ``merge`` puts rows into order in bounded
memory, ``render`` turns them into bytes. Nothing here writes to a store, prints, or reads the environment.

::

    query = Query(Filter((OneOf("host", ("web-*",)), Holds("message", ("timeout",)))), limit=100)
    async with open_store(url) as store, aclosing(search(store, query)) as found:
        async for rows in found:          # pyarrow.Table, in order of time
            ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform import lazy

if TYPE_CHECKING:
    from logsink.query.read.answer import search
    from logsink.query.read.report import Report
    from logsink.query.read.tuning import Tuning
    from logsink.query.request.conditions import Between, Flagged, Holds, Not, OneOf, OneOfNumbers, Parameter
    from logsink.query.request.filters import Condition, Filter
    from logsink.query.request.query import Query
    from logsink.query.request.severities import parse_facility, parse_priority
    from logsink.query.request.times import parse_time
    from logsink.query.views.follow import Cursor, Follower

__getattr__ = lazy.exports(
    __name__,
    {
        "read.report": ("Report",),
        "read.answer": ("search",),
        "read.tuning": ("Tuning",),
        "request.conditions": ("Between", "Flagged", "Holds", "Not", "OneOfNumbers", "OneOf", "Parameter"),
        "request.filters": ("Condition", "Filter"),
        "request.query": ("Query",),
        "request.severities": ("parse_facility", "parse_priority"),
        "request.times": ("parse_time",),
        "views.follow": ("Follower", "Cursor"),
    },
)

__all__ = [
    "Between",
    "Condition",
    "Cursor",
    "Filter",
    "Flagged",
    "Follower",
    "Holds",
    "Not",
    "OneOf",
    "OneOfNumbers",
    "Parameter",
    "Query",
    "Report",
    "Tuning",
    "parse_facility",
    "parse_priority",
    "parse_time",
    "search",
]
