"""Questions about stored logs, answered from the store alone: no server, and nothing but reads.

A question goes through these rooms, and each imports only from those before it::

    request   what was asked: search terms and times become a Filter, and a Query
    order     rows into order, without probable copies, in bounded memory
    read      a store and a Query become rows: plan, journal, data files
    views     rows become other answers: context, what follows, sums, message patterns
    changes   what one set of rows says that another does not
    audit     whether anything is missing, by running numbers

Beside them, ``output`` turns rows into bytes (lines, csv, json, parquet, arrow) and ``sql`` answers SQL on DuckDB: they take
rows from whoever has them. ``spark`` has a Spark Connect server read the archive instead of ``read``. ``columns`` has the Arrow
helpers that all of them use. Stores and queries enter; nothing here writes to a store, prints, reads the environment or exits.

::

    query = Query(Filter((OneOf("host", ("web-*",)), Holds("message", ("timeout",)))), limit=100)
    async with open_store(url) as store, aclosing(search(store, query)) as found:
        async for rows in found:          # pyarrow.Table, in order of time
            ...
    found.report.damage                   # damaged and missing objects, whose rows are not among those found

Exports are imported at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform import lazy

if TYPE_CHECKING:
    from logsink.query.read.answer import search
    from logsink.query.read.report import Report
    from logsink.query.read.tuning import Tuning
    from logsink.query.request.conditions import Between, Flagged, Holds, Not, OneOf, OneOfNumbers
    from logsink.query.request.filters import Condition, Filter
    from logsink.query.request.parameters import Parameter
    from logsink.query.request.query import Query
    from logsink.query.request.severities import parse_facility, parse_priority
    from logsink.query.request.times import parse_time
    from logsink.query.views.cursor import Cursor
    from logsink.query.views.follow import Follower

__getattr__ = lazy.exports(
    __name__,
    {
        "read.report": ("Report",),
        "read.answer": ("search",),
        "read.tuning": ("Tuning",),
        "request.conditions": ("Between", "Flagged", "Holds", "Not", "OneOfNumbers", "OneOf"),
        "request.filters": ("Condition", "Filter"),
        "request.parameters": ("Parameter",),
        "request.query": ("Query",),
        "request.severities": ("parse_facility", "parse_priority"),
        "request.times": ("parse_time",),
        "views.cursor": ("Cursor",),
        "views.follow": ("Follower",),
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
