"""Found rows, put into order and without probable copies, in bounded memory.

Tables of rows enter, in any order; tables in order leave. ``merge`` sorts them by the columns of the order and merges what was
sorted, ``runs`` adds up and sorts sums, ``spill`` keeps in a temporary file what does not fit into memory, ``dedupe`` leaves
out rows that are probably copies. Nothing here knows where rows come from or what was asked; no store, no clock, no event
loop. This room only needs ``query.columns``.
"""

from __future__ import annotations

from logsink.query.order.dedupe import DEDUPE_COLUMNS, Dedupe
from logsink.query.order.merge import MEMORY, ORDERS, ROW_KEY, Pending, Position, position_of
from logsink.query.order.runs import Runs
from logsink.query.order.spill import Backwards

__all__ = [
    "DEDUPE_COLUMNS",
    "MEMORY",
    "ORDERS",
    "ROW_KEY",
    "Backwards",
    "Dedupe",
    "Pending",
    "Position",
    "Runs",
    "position_of",
]
