"""From a store and a query to rows: what there is to read, reading no more of it than the answer needs, rows in order.

A store and a ``Query`` enter; tables of rows leave, with the plan that was read and a report of what was done. Only reads
enter the store. Nothing here prints, and nothing knows what becomes of the rows.

- ``answer`` is the way in: ``search`` (rows in order), ``unordered`` (rows in no order). What they return is iterated over,
  tells its ``plan`` and ``report``, and ends early by ``stop()`` or ``aclose()``. ``folding`` is the way to sums: ``fold``.
- ``plan`` lists the segments and files that can hold an answer. ``scan`` reads them: ``units`` decides what is read next and
  ``newest`` which rows a limit can let through, both without any input or output; ``prefetch`` runs several reads at once,
  and ``turns`` bounds how far these are ahead;
  ``losses`` tells what is missing from what was removed on purpose, ``claims`` what segments say of others. ``counted`` sums up
  files by their counts, without reading them; ``index`` asks, by ``listing`` and ``index_object``, which files cannot hold an
  answer.
- ``reader`` reads one thing: ``tail`` segments of the journal; ``datafile`` footers and column chunks of a Parquet file;
  ``pages`` searches column chunks as they are; ``selection`` narrows a row group down column by column.
- ``remote`` is a ``scan`` that reads the journal's tail alone, and has an ``Engine`` on other machines read the files.
- ``tuning`` bounds memory and concurrency, ``report`` is what a query tells about itself.

Exports are imported at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform import lazy

if TYPE_CHECKING:
    from logsink.query.read.answer import Answer, Search, Unordered, search, unordered
    from logsink.query.read.claims import Claims
    from logsink.query.read.counted import Counted, Sums, countable
    from logsink.query.read.folding import Fold, fold, uncounted
    from logsink.query.read.index import Excluded, excluded, stored_bytes
    from logsink.query.read.losses import Losses, of_error, of_snapshot
    from logsink.query.read.plan import Plan, file_bounds, make_plan, require_store
    from logsink.query.read.prefetch import prefetched
    from logsink.query.read.reader import Found, Reached
    from logsink.query.read.remote import Engine, Page
    from logsink.query.read.report import Report
    from logsink.query.read.tail import parse_readable, sift
    from logsink.query.read.tuning import Tuning

__getattr__ = lazy.exports(
    __name__,
    {
        "answer": ("Answer", "Search", "Unordered", "search", "unordered"),
        "claims": ("Claims",),
        "counted": ("Counted", "Sums", "countable"),
        "folding": ("Fold", "fold", "uncounted"),
        "index": ("Excluded", "excluded", "stored_bytes"),
        "losses": ("Losses", "of_error", "of_snapshot"),
        "plan": ("Plan", "file_bounds", "make_plan", "require_store"),
        "prefetch": ("prefetched",),
        "reader": ("Found", "Reached"),
        "remote": ("Engine", "Page"),
        "report": ("Report",),
        "tail": ("parse_readable", "sift"),
        "tuning": ("Tuning",),
    },
)

__all__ = [
    "Answer",
    "Claims",
    "Counted",
    "Engine",
    "Excluded",
    "Fold",
    "Found",
    "Losses",
    "Page",
    "Plan",
    "Reached",
    "Report",
    "Search",
    "Sums",
    "Tuning",
    "Unordered",
    "countable",
    "excluded",
    "file_bounds",
    "fold",
    "make_plan",
    "of_error",
    "of_snapshot",
    "parse_readable",
    "prefetched",
    "require_store",
    "search",
    "sift",
    "stored_bytes",
    "uncounted",
    "unordered",
]
