"""Names of the objects of the index: ``index/date=YYYY-MM-DD/<16 hexadecimal digits, random><kind>``, never used twice."""

from __future__ import annotations

import datetime
import re
from typing import Final

INDEX: Final = "index/"
"""Prefix of everything about the index in a store."""

FILTERS: Final = ".index"
"""Kind of objects that say which row groups may have a key (``objects``)."""

COUNTS: Final = ".counts.parquet"
"""Kind of objects that say how many rows data files have (``counts``; stored by ``archive.counts``)."""

_NAME: Final = re.compile(r"index/date=([0-9]{4}-[0-9]{2}-[0-9]{2})/[0-9a-f]{16}(\..+)")


def index_key(date: datetime.date, name: str, kind: str) -> str:
    """Return the key of an object of this kind; ``name``: 16 hexadecimal digits that were never used."""
    return f"{INDEX}date={date}/{name}{kind}"


def index_date(key: str, kind: str) -> datetime.date | None:
    """Return the date of the object under this key; None when the key is none of an object of this kind."""
    named = _NAME.fullmatch(key)
    try:
        return datetime.date.fromisoformat(named[1]) if named and named[2] == kind else None
    except ValueError:
        return None
