"""One object of the index, read in parts: how many reads that takes, and what they say."""

from __future__ import annotations

import asyncio
import datetime

import numpy as np
import numpy.typing as npt
import pytest

from logsink.errors import FormatError, Unavailable
from logsink.index import HEAD_READ, NewSection, encode_object, new_section
from logsink.index.section import encode
from logsink.query.read.index_object import GAP, WHOLE, IndexObject, Seen, open_object
from logsink.query.request import Key
from logsink.store import Entry

DATE = datetime.date(2026, 11, 28)
KEY = f"index/date={DATE}/0123456789abcdef.index"
FIRST, SECOND, BOTH, ABSENT = Key("first"), Key("second"), Key("both"), Key("absent")


class Remote:
    """The bytes of an object, and which parts were asked for."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[tuple[int, int]] = []
        self.fails = False

    @property
    def entry(self) -> Entry:
        return Entry(KEY, len(self.body), 0.0)

    async def fetch(self, key: str, start: int, end: int) -> bytes:
        assert key == KEY
        self.asked.append((start, end))
        await asyncio.sleep(0)
        if self.fails:
            raise Unavailable("cannot get it")
        return self.body[start:end]

    async def open(self) -> IndexObject:
        return await open_object(self.fetch, self.entry)


def prefixes(*keys: Key, more: int = 0, seed: int = 0) -> npt.NDArray[np.int32]:
    """The highest 31 bits of these keys, and of ``more`` others."""
    others = np.random.default_rng(seed).choice((1 << 31) - 1, more, replace=False)
    found = np.unique(np.append(others, [key.number >> 32 for key in keys]))
    return found.astype(np.int32)


def section(number: int, *groups: npt.NDArray[np.int32] | None, tail: bytes = b"") -> NewSection:
    tag = f"{len(tail)}:{32 * '0'}" if tail else ""
    return new_section(f"date={DATE}/f{number}.parquet", 100, tag, 9, encode(list(groups)), tail)


def small() -> list[NewSection]:
    """Two files of two row groups."""
    return [
        section(1, prefixes(FIRST, BOTH), prefixes(SECOND)),
        section(2, prefixes(FIRST, SECOND, BOTH), prefixes(BOTH)),
    ]


def large(tails: int = 0, size: int = 100) -> list[NewSection]:
    """Three files of so many keys that the object is not read whole, with tails that do not get smaller."""
    pick = np.random.default_rng(5)
    return [
        section(n, prefixes(FIRST, more=60_000, seed=n), tail=pick.bytes(size) if n < tails else b"") for n in range(3)
    ]


def body_of(sections: list[NewSection]) -> bytes:
    return encode_object(DATE, "", sections)


def seen(total: int, *groups: int) -> Seen:
    return Seen(frozenset(groups), total)


async def test_a_small_object_is_read_at_once() -> None:
    remote = Remote(body_of(small()))
    opened = await remote.open()
    assert await opened.look_up([0, 1], [[(FIRST,)]]) == {
        f"date={DATE}/f1.parquet": seen(2, 0),
        f"date={DATE}/f2.parquet": seen(2, 0),
    }
    assert remote.asked == [(0, len(remote.body))]


@pytest.mark.parametrize(
    ("requirements", "first", "second"),
    [
        ([[(FIRST,)]], {0}, {0}),
        ([[(SECOND,)]], {1}, {0}),
        ([[(BOTH,)]], {0}, {0, 1}),
        ([[(FIRST, SECOND)]], set(), {0}),  # both of them
        ([[(FIRST,), (SECOND,)]], {0, 1}, {0}),  # one of them
        ([[(SECOND,)], [(BOTH,)]], set(), {0}),  # each requirement
        ([[(FIRST, SECOND), (BOTH,)]], {0}, {0, 1}),
        ([[(ABSENT,)]], set(), set()),
        ([], {0, 1}, {0, 1}),
    ],
)
async def test_row_groups_of_requirements(
    requirements: list[list[tuple[Key, ...]]], first: set[int], second: set[int]
) -> None:
    opened = await Remote(body_of(small())).open()
    found = await opened.look_up([0, 1], requirements)
    assert [set(one.groups) for one in found.values()] == [first, second]


async def test_only_sections_that_are_asked_for_answer() -> None:
    opened = await Remote(body_of(small())).open()
    assert list(await opened.look_up([1], [[(FIRST,)]])) == [f"date={DATE}/f2.parquet"]


async def test_a_row_group_that_is_not_indexed_may_have_every_key() -> None:
    opened = await Remote(body_of([section(1, prefixes(FIRST), None)])).open()
    assert await opened.look_up([0], [[(ABSENT,)]]) == {f"date={DATE}/f1.parquet": seen(2, 1)}


async def test_a_large_object_is_read_by_its_end_and_one_bucket_a_key() -> None:
    remote = Remote(body_of(large()))
    assert len(remote.body) > WHOLE
    opened = await remote.open()
    assert remote.asked == [(len(remote.body) - HEAD_READ, len(remote.body))]
    found = await opened.look_up([0, 1, 2], [[(FIRST,)]])
    assert [set(one.groups) for one in found.values()] == [{0}, {0}, {0}]
    assert remote.asked[1:] == [opened.head.span(opened.head.bucket(FIRST.number))]


async def test_a_head_that_is_larger_than_expected_takes_a_second_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logsink.query.read.index_object.HEAD_READ", 64)
    remote = Remote(body_of(large()))
    opened = await remote.open()
    assert len(remote.asked) == 2
    assert remote.asked[1][0] > opened.head.buckets[-1] - 1
    assert len(await opened.look_up([0], [[(FIRST,)]])) == 1


async def test_buckets_that_are_neighbours_come_in_one_read() -> None:
    remote = Remote(body_of(large()))
    opened = await remote.open()
    keys = [Key(f"word{number}") for number in range(400)]
    at = {opened.head.bucket(key.number): key for key in keys}
    spans = sorted(opened.head.span(bucket) for bucket in at)
    near = next((one, other) for one in spans for other in spans if 0 < other[0] - one[1] <= GAP)
    far = spans[0], next(span for span in spans if span[0] - spans[0][1] > GAP)
    by_span = {opened.head.span(bucket): key for bucket, key in at.items()}
    for chosen, reads in ((near, 1), (far, 2)):
        remote.asked.clear()
        await opened.look_up([0], [[tuple(by_span[span] for span in chosen)]])
        assert len([span for span in remote.asked if span[0] < len(remote.body) - HEAD_READ]) == reads


async def test_an_object_that_became_shorter_is_damaged() -> None:
    remote = Remote(body_of(small()))
    entry = Entry(KEY, len(remote.body) + 1, 0.0)
    with pytest.raises(FormatError, match=f"it ends at byte {len(remote.body)} of {len(remote.body) + 1}"):
        await open_object(remote.fetch, entry)


async def test_a_damaged_bucket_is_an_error() -> None:
    body = bytearray(body_of(large()))
    remote = Remote(bytes(body))
    opened = await remote.open()
    start, _ = opened.head.span(opened.head.bucket(FIRST.number))
    body[start + 20] ^= 1
    remote.body = bytes(body)
    with pytest.raises(FormatError, match="does not match its checksum"):
        await opened.look_up([0], [[(FIRST,)]])


async def hits(remote: Remote, *sections: int) -> IndexObject:
    opened = await remote.open()
    await opened.look_up(sections or (0, 1, 2), [[(FIRST,)]])
    remote.asked.clear()
    return opened


def path(number: int) -> str:
    return f"date={DATE}/f{number}.parquet"


async def test_tails_of_several_files_come_in_one_read() -> None:
    remote = Remote(body_of(large(tails=3, size=HEAD_READ // 2)))
    opened = await hits(remote)
    cancelled = asyncio.ensure_future(opened.tail(path(0)))
    waiting = [asyncio.ensure_future(opened.tail(path(n))) for n in range(3)]
    await asyncio.sleep(0)
    cancelled.cancel()
    tails = await asyncio.gather(*waiting)
    assert [len(tail or b"") for tail in tails] == [HEAD_READ // 2] * 3
    assert len(set(tails)) == 3
    assert await opened.tail(path(7)) is None
    assert len(remote.asked) == 1


async def test_a_tail_without_a_tag_is_not_used() -> None:
    made = [one._replace(said=one.said._replace(tail="")) for one in large(tails=3)]
    opened = await hits(Remote(body_of(made)))
    assert await opened.tail(path(0)) is None


async def test_tails_are_read_from_the_files_where_that_takes_no_more_reads() -> None:
    one = await hits(Remote(body_of(large(tails=1))))
    assert await one.tail(path(0)) is None
    remote = Remote(body_of(large(tails=3, size=2 * HEAD_READ)))
    apart = await hits(remote, 0, 2)  # two files, and two reads: the tail between them is longer than the gap
    assert await apart.tail(path(0)) is None
    assert remote.asked == []


async def test_only_tails_of_files_that_were_found_are_read() -> None:
    opened = await Remote(body_of(large(tails=3))).open()
    await opened.look_up([0, 1, 2], [[(ABSENT, FIRST)]])
    assert await opened.tail(path(0)) is None


async def test_tails_that_cannot_be_read_are_none() -> None:
    remote = Remote(body_of(large(tails=3, size=HEAD_READ // 2)))
    opened = await hits(remote)
    remote.fails = True
    assert await opened.tail(path(0)) is None
    assert remote.asked
    body = bytearray(remote.body)
    body[opened.head.sections[0].at[0]] ^= 255
    broken = await hits(Remote(bytes(body)))
    assert await broken.tail(path(0)) is None


async def test_closing_ends_the_reads() -> None:
    remote = Remote(body_of(large(tails=3, size=HEAD_READ // 2)))
    opened = await hits(remote)
    waiting = asyncio.ensure_future(opened.tail(path(0)))
    await asyncio.sleep(0)
    await opened.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
