"""Why nothing was found."""

from __future__ import annotations

import pytest

from logsink.archive import DeltaLog
from logsink.query import Filter, Holds, OneOf
from logsink.query.read import make_plan
from logsink.query.views.similar import archive_times, in_other_case, missing_values
from logsink.store.memory import MemoryStore
from tests.support.counted import put_counts
from tests.unit.query.archives import START, archive, row

ROWS = [
    *(row(n, host="web1.example.com", app="openssh", message="Hello") for n in range(5)),
    *(row(n, host="web2.example.com", app="nginx", message="hello") for n in range(3)),
]


async def store() -> MemoryStore:
    made = MemoryStore()
    await archive(made, [ROWS])
    return made


@pytest.mark.parametrize(
    ("glob", "there", "alike"),
    [
        ("OPENSSH", [("openssh", 5)], True),
        ("opnessh", [("openssh", 5)], True),
        ("ssh", [("openssh", 5)], True),
        ("??", [("openssh", 5), ("nginx", 3)], False),
        ("postfix", [("openssh", 5), ("nginx", 3)], False),
    ],
)
async def test_values_that_are_not_there(glob: str, there: list[tuple[str, int]], alike: bool) -> None:
    [value] = await missing_values(await store(), Filter((OneOf("app", (glob,)),)))
    assert (value.column, value.glob, value.there, value.alike, value.whole) == ("app", glob, there, alike, True)


async def test_values_that_the_archive_has_counted_need_not_be_read() -> None:
    made = await store()
    await put_counts(made)
    await made.delete([file.key for file in (await DeltaLog(made).load()).files.values()])
    [value] = await missing_values(made, Filter((OneOf("app", ("??",)),)))
    assert (value.there, value.whole) == ([("openssh", 5), ("nginx", 3)], True)


async def test_a_value_that_is_the_first_part_of_another() -> None:
    [value] = await missing_values(await store(), Filter((OneOf("host", ("web1",)),)))
    assert value.there == [("web1.example.com", 5)]


async def test_a_glob_that_rows_match_is_not_missing() -> None:
    assert await missing_values(await store(), Filter((OneOf("app", ("postfix", "ng*")),))) == []


async def test_a_filter_without_globs_misses_none() -> None:
    assert await missing_values(await store(), Filter((Holds("message", ("x",)),))) == []


async def test_patterns_in_another_case() -> None:
    found = Filter((OneOf("app", ("openssh",)), Holds("message", ("hELLO",))))
    assert await in_other_case(await store(), found) == (("hELLO",), 5, True)
    for held in (("42",), ("nothing",)):
        assert await in_other_case(await store(), Filter((Holds("message", held),))) is None
    assert await in_other_case(await store(), Filter()) is None


async def test_times_of_the_archive() -> None:
    made = await store()
    assert archive_times(await make_plan(made, Filter())) == (START, START + 4)
    empty = MemoryStore()
    await DeltaLog(empty).create()
    assert archive_times(await make_plan(empty, Filter())) is None
