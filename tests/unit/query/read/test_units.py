"""What is read next, and what may be handed out: files and row groups by the near ends of their times."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from logsink.query.read.datafile import RowGroup
from logsink.query.read.units import EARLIEST, Unit, Units
from logsink.query.request import Between, Bounds, Filter

pytestmark = pytest.mark.usefixtures("ranged")


def data_file(name: str, low: int | None, high: int | None, nulls: int | None = 0) -> Any:
    """A file of the table's log, with these bounds of ``time``."""

    def column(value: int | None) -> dict[str, int]:
        return {} if value is None else {"time": value}

    return SimpleNamespace(
        key=name, stats=SimpleNamespace(minimum=column(low), maximum=column(high), nulls=column(nulls))
    )


def open_file(*bounds: Bounds) -> Any:
    """A file whose footer was read, with a row group of 10 rows for each of these bounds."""
    file = SimpleNamespace(body=b"12345")
    groups = [RowGroup(file, number, 10, {"time": each}) for number, each in enumerate(bounds)]  # type: ignore[arg-type]
    file.row_groups = lambda columns: groups
    return file


def units(files: Sequence[Any], filter: Filter | None = None, *, descending: bool = False) -> Units:
    return Units(files, filter or Filter(), "time", descending=descending)


def name(unit: Unit | None) -> Any:
    return None if unit is None else getattr(unit.source, "key", unit.source)


FILES = [data_file("b", 20, 29), data_file("a", 10, 25), data_file("c", 30, 39)]


@pytest.mark.parametrize(("descending", "expected"), [(False, "abc"), (True, "cba")])
def test_the_nearest_is_begun_first(descending: bool, expected: str) -> None:
    some = units(FILES, descending=descending)
    assert [name(some.begin()) for _ in range(4)] == [*expected, None]


def test_units_end_in_the_order_in_which_they_began() -> None:
    some = units(FILES)
    assert some
    begun = [some.begin(), some.begin(), some.begin()]
    assert some.is_among_first(begun[1], 2)  # type: ignore[arg-type]
    assert not some.is_among_first(begun[2], 2)  # type: ignore[arg-type]
    assert some.finish() is begun[0]
    assert some.is_among_first(begun[2], 2)  # type: ignore[arg-type]
    assert [some.finish(), some.finish()] == begun[1:]
    assert not some


@pytest.mark.parametrize("ordered", [True, False])
def test_without_an_order_row_groups_precede_files(ordered: bool) -> None:
    some = Units([data_file(key, 20, 29) for key in "abc"], Filter(), "time", descending=False, ordered=ordered)
    some.begin()
    some.begin()
    some.finish()
    some.add_row_groups(open_file(Bounds(20, 29, 0)), Filter())
    third = some.begin()
    assert isinstance(third.source, RowGroup) != ordered  # type: ignore[union-attr]


@pytest.mark.parametrize(("descending", "expected"), [(False, [10, 20, 30, None]), (True, [39, 29, 25, None])])
def test_rows_before_the_frontier_are_final(descending: bool, expected: list[int | None]) -> None:
    some = units(FILES, descending=descending)
    frontiers = []
    while some:
        frontiers.append(some.frontier)
        some.begin()
        assert some.frontier == frontiers[-1]  # what is being read may still give rows
        some.finish()
    assert [*frontiers, some.frontier] == expected


@pytest.mark.parametrize("descending", [False, True])
def test_a_file_without_bounds_comes_first_and_holds_everything_back(descending: bool) -> None:
    some = units([*FILES, data_file("?", None, None, None)], descending=descending)
    assert name(some.begin()) == "?"
    assert some.frontier == (-EARLIEST if descending else EARLIEST)


def test_nulls_precede_every_time() -> None:
    some = units([*FILES, data_file("n", 40, 49, 1)])
    assert name(some.begin()) == "n"
    assert name(units([*FILES, data_file("n", 0, 5, 1)], descending=True).begin()) == "c"


def test_no_unit_is_begun_whose_rows_are_all_older_than_those_that_are_asked_for() -> None:
    some = units(FILES, descending=True)
    assert name(some.begin(oldest=39)) == "c"
    assert some.begin(oldest=30) is None
    assert name(some.begin(oldest=29)) == "b"


def test_a_file_that_was_read_becomes_those_of_its_row_groups_that_can_match() -> None:
    some = units([data_file("a", 0, 100)], Filter((Between("time", 50, None),)))
    unit = some.begin()
    assert unit is not None
    file = open_file(Bounds(0, 49, 0), Bounds(40, 60, 0), Bounds(50, 100, 0))
    some.finish()
    assert some.add_row_groups(file, unit.filter) == 10
    assert some.held == 2 * len(b"12345")
    groups = [some.begin(), some.begin()]
    assert some.held == 0
    assert [group.source.number for group in groups] == [1, 2]  # type: ignore[union-attr]
    assert [len(group.filter.conditions) for group in groups] == [1, 0]  # type: ignore[union-attr]
