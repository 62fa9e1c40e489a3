"""What is asked of a store: ``Query``."""

from __future__ import annotations

from typing import NamedTuple

from logsink.query.request.filters import EVERYTHING, Filter


class Query(NamedTuple):
    """What to find and how to hand it out.

    filter    what a row must be
    columns   columns wanted; those of the order (``merge.ROW_KEY``) always come too
    limit     only the newest so many; None: all
    reverse   newest first
    sort      by the message's own ``time``, or by when it was ``received``: the newest are the last of that order
    dedupe    without rows that are probably copies (see ``dedupe``); the limit counts what is left
    """

    filter: Filter = EVERYTHING
    columns: tuple[str, ...] = ("message",)
    limit: int | None = None
    reverse: bool = False
    dedupe: bool = False
    sort: str = "time"
