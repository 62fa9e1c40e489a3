"""Damage in words, and counted."""

from __future__ import annotations

import pytest

from logsink.damage import Damage, by_object, total


@pytest.mark.parametrize(("rows", "said"), [(None, ""), (1, " (1 row)"), (1200, " (1,200 rows)")])
def test_it_is_a_sentence(rows: int | None, said: str) -> None:
    assert str(Damage("logs/a", "is missing", rows)) == f"logs/a is missing{said}"


def test_an_object_counts_once() -> None:
    found = [
        Damage("a", "is cut", 5),
        Damage("b", "is missing"),
        Damage("a", "holds rows that b holds, too", 7),
        Damage("b", "is lost", 2),
        Damage("c", "is missing"),
        Damage("a", "is strange"),
    ]
    once = by_object(found)
    assert once == [Damage("a", "is cut", 7), Damage("b", "is missing", 2), Damage("c", "is missing")]
    assert total(once) == (9, False)
    assert total(once[:2]) == (9, True)
    assert total([]) == (0, True)
