"""Damage: a stored object that does not prove itself, or that is missing although something refers to it.

Whoever reads an object finds damage, and names it by a ``Damage``; nobody stops because of it. Rows of the object are missing
from an answer, everything else is shown, and upkeep that deletes stands still (invariants I6, I7, I11).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Damage(NamedTuple):
    """One damaged or missing object.

    key    its key in the store
    what   what is wrong with it, to follow the key in a sentence: ``is missing``, ``does not match its checksum``
    rows   the number of rows that are missing because of it; None where nobody knows
    """

    key: str
    what: str
    rows: int | None = None

    def __str__(self) -> str:
        rows = "" if self.rows is None else f" ({self.rows:,} row{'' if self.rows == 1 else 's'})"
        return f"{self.key} {self.what}{rows}"


def by_object(found: Iterable[Damage]) -> list[Damage]:
    """Return damages with each object once: the first thing that is said of it, and the most rows that anything says of it.

    Several things may be wrong with one object, and each may be why the same rows are missing.
    """
    once: dict[str, Damage] = {}
    for one in found:
        first = once.setdefault(one.key, one)
        if one.rows is not None and one.rows > (first.rows or 0):
            once[one.key] = first._replace(rows=one.rows)
    return list(once.values())


def total(found: Iterable[Damage]) -> tuple[int, bool]:
    """Return the number of rows that are missing by damages of different objects, and whether that is all of them."""
    rows = [one.rows for one in found]
    return sum(each or 0 for each in rows), None not in rows
