"""A query: which rows to find, and which part of them to return in which order."""

from __future__ import annotations

from typing import NamedTuple

from logsink.query.request.filters import EVERYTHING, Filter


class Query(NamedTuple):
    """Which rows to find, and what to return of them.

    filter    the conditions that a row must meet
    columns   the columns to return; those of the order (``order.merge.ROW_KEY``) are always returned, too
    limit     the most rows to return, which are the newest ones; None: no limit
    reverse   whether the newest rows come first, instead of last
    dedupe    whether rows are left out that are probably copies (``order.dedupe``); the limit counts what is left
    sort      the order, and what is newest: by the message's own ``time``, or by when it was ``received``
    """

    filter: Filter = EVERYTHING
    columns: tuple[str, ...] = ("message",)
    limit: int | None = None
    reverse: bool = False
    dedupe: bool = False
    sort: str = "time"
