"""Index objects: every key is found in its file, several objects become one, and what is damaged is an error."""

from __future__ import annotations

import datetime
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.errors import FormatError
from logsink.index import FILTERS, HEAD_READ, Head, head_size, index_date, read_head
from logsink.index.objects import NewSection, decode_object, encode_object, new_section
from logsink.index.section import encode

DATE = datetime.date(2026, 11, 28)
KEY = "index/date=2026-11-28/0123456789abcdef.index"


def section(number: int, keys: int = 1000, groups: int = 3, tail: bytes = b"the tail of a file") -> NewSection:
    """A section of a file whose row groups all have keys of their own, and one together."""
    pick = np.random.default_rng(number)
    prefixes = pick.choice((1 << 31) - 1, (groups, keys), replace=False).astype(np.int32)
    made = encode([*(np.append(one, 7) for one in prefixes), None])
    return new_section(f"date={DATE}/f{number}.parquet", 1000 + number, "18:00" if tail else "", 5, made, tail)


def find(head: Head, body: bytes, key: int) -> list[int]:
    start, end = head.span(head.bucket(key))
    return head.find(key, body[start:end])


def test_every_key_is_found_in_its_file() -> None:
    body = encode_object(DATE, "an id", [section(1), section(2, keys=40_000), section(3, keys=1, tail=b"")])
    head = read_head(KEY, body[-HEAD_READ:], len(body))
    assert (head.key, head.date, head.store) == (KEY, DATE, "an id")
    assert [one.path for one in head.sections] == [f"date={DATE}/f{n}.parquet" for n in (1, 2, 3)]
    assert [(one.groups, one.unindexed, one.size) for one in head.sections] == [
        (4, (3,), 1001),
        (4, (3,), 1002),
        (4, (3,), 1003),
    ]
    assert len(head.buckets) - 1 == 16
    assert find(head, body, 7 << 32) == [0b1111] * 3
    pick = np.random.default_rng(2)
    prefixes = pick.choice((1 << 31) - 1, (3, 40_000), replace=False)
    for group, prefix in [(0, prefixes[0, 0]), (1, prefixes[1, 39_999]), (2, prefixes[2, 17])]:
        found = find(head, body, int(prefix) << 32 | 12345)
        assert found[1] & 1 << group
        assert all(one & 0b1000 for one in found)  # a row group that is not indexed may have every key


def test_tails() -> None:
    body = encode_object(DATE, "", [section(1), section(2, tail=b"x" * 5000), section(3, tail=b"")])
    head = read_head(KEY, body, len(body))
    tails = [one.tail_of(body[one.at[0] : one.at[0] + one.at[1]]) if one.at[2] else b"" for one in head.sections]
    assert tails == [b"the tail of a file", b"x" * 5000, b""]
    assert head.sections[2].at == (0, 0, 0)
    offset, length, _ = head.sections[1].at
    for wrong in (b"", body[offset : offset + length - 1], b"abc", body[offset - 1 : offset + length]):
        with pytest.raises(FormatError):
            head.sections[1].tail_of(wrong)


def test_objects_are_put_together_without_a_change() -> None:
    one, other = [section(1), section(2, keys=20_000)], [section(3, tail=b"")]
    together = encode_object(DATE, "", [*one, *other])
    decoded = [
        *decode_object(KEY, encode_object(DATE, "", one)),
        *decode_object(KEY, encode_object(DATE, "", other)),
    ]
    assert encode_object(DATE, "", decoded) == together
    assert [made.filter for made in decode_object(KEY, together)] == [made.filter for made in (*one, *other)]


def test_row_groups_of_blocks() -> None:
    made = new_section("p", 1, "", 1, encode([np.zeros(0, np.int32)] * 300)).said
    assert made.row_groups(0b101) == [0, 1, 2, 6, 7, 8]
    assert made.row_groups(made.all_blocks) == list(range(300))
    assert section(1).said.row_groups(0b1010) == [1, 3]
    assert section(1).said.all_blocks == 0b1111


@pytest.mark.parametrize(
    ("key", "date"),
    [
        (KEY, DATE),
        ("index/date=2026-02-30/0123456789abcdef.index", None),
        ("index/date=2026-11-28/0123456789abcdef.counts.parquet", None),
        ("index/date=2026-11-28/0123456789ABCDEF.index", None),
        ("logs/index/date=2026-11-28/0123456789abcdef.index", None),
    ],
)
def test_names(key: str, date: datetime.date | None) -> None:
    assert index_date(key, FILTERS) == date


def test_a_head_that_is_longer_than_what_was_read_says_so() -> None:
    body = encode_object(DATE, "", [section(n, keys=1) for n in range(50)])
    size = head_size(KEY, body[-24:])
    assert 500 < size < 5000
    with pytest.raises(FormatError, match="does not fit"):
        read_head(KEY, body[-size + 1 :], len(body))
    assert len(read_head(KEY, body[-size:], len(body)).sections) == 50


def test_every_changed_byte_is_found() -> None:
    """But for those of tails, which a reader compares with the table's log."""
    body = encode_object(DATE, "", [section(1, keys=50), section(2, keys=50)])
    intact = read_head(KEY, body, len(body))
    tails = {p for one in intact.sections for p in range(one.at[0], one.at[0] + one.at[1])}
    pick = random.Random(1)
    places = [*range(len(body) - head_size(KEY, body), len(body)), *pick.sample(range(len(body) - 1000), 400)]
    for place in places:
        if place in tails:
            continue
        changed = bytearray(body)
        changed[place] ^= 1 << pick.randrange(8)
        with pytest.raises(FormatError):
            decode_object(KEY, bytes(changed))


def test_every_cut_is_found() -> None:
    body = encode_object(DATE, "", [section(1, keys=5)])
    for end in (*range(40), len(body) // 2, *range(len(body) - 40, len(body))):
        with pytest.raises(FormatError):
            decode_object(KEY, body[:end])


def test_a_head_of_another_object_or_format_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    body = encode_object(DATE, "", [section(1, keys=5)])
    with pytest.raises(FormatError, match="date"):
        read_head(KEY.replace("11-28", "11-27"), body, len(body))
    with pytest.raises(FormatError, match="does not fit"):
        read_head(KEY, body, head_size(KEY, body))
    monkeypatch.setattr("logsink.index.objects.FORMAT", 2)
    newer = encode_object(DATE, "", [section(1, keys=5)])
    monkeypatch.undo()
    with pytest.raises(FormatError, match="format 2"):
        read_head(KEY, newer, len(newer))


@pytest.mark.parametrize(
    "change",
    [
        {"micro": 1000},
        {"micro": 512},
        {"micro": 1 << 24},
        {"groups": -1},
        {"unindexed": (4,)},
        {"unindexed": (-1,)},
        {"at": (0, 0, -1)},
        {"at": (0, 0, 1 << 40)},
        {"size": "large"},
    ],
)
def test_a_head_that_cannot_be_true_is_refused(change: dict[str, object]) -> None:
    """Its checksum is right: a writer was wrong, or somebody has forged it."""
    made = section(1, keys=5, tail=b"")
    said = made.said._replace(**change)
    if "at" in change:
        made = made._replace(tail=b"tail")
        said = made.said._replace(at=change["at"])
    body = encode_object(DATE, "", [made._replace(said=said)])
    with pytest.raises(FormatError):
        read_head(KEY, body, len(body))


def test_a_bucket_is_compared_with_its_checksum() -> None:
    body = encode_object(DATE, "", [section(1), section(2)])
    head = read_head(KEY, body, len(body))
    start, end = head.span(0)
    for wrong in (b"", body[start : end - 1], body[start + 1 : end], body[start : end + 1]):
        with pytest.raises(FormatError, match="checksum"):
            head.find(0, wrong)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_a_format_error(data: bytes) -> None:
    for body in (data, data + b"LSINDEX1"):
        with pytest.raises(FormatError):
            read_head(KEY, body, len(body))
