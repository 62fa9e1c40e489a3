"""Groups of texts that differ in a running number only: which texts are found to do so, and which are not."""

from __future__ import annotations

import numpy as np
import pytest

from logsink.parse import Settings, parse
from logsink.parse.codes import EMPTY
from logsink.parse.numbered import SLOTS, find_number, group_texts
from tests.support.frames import frames_of

FORMS = pytest.mark.parametrize("form", [lambda kernel: kernel, lambda kernel: kernel.py], ids=["compiled", "plain"])
HEAD = b'[deploy@32473 role="web" instance="i-0abc" boot="0b7d.9F2C" '
LONG = b'[deploy@32473 role="web" instance="i-0abc" boot="0b7d.9F2C"][meta language="en" software="longer than a step" '


def grouped(form, texts: list[bytes], slots: int = SLOTS) -> list[int]:
    """Return the group of each text; they stand end to end, nothing follows the last one."""
    ends = np.cumsum([len(text) for text in texts], dtype=np.int32)
    starts = np.append(np.int32(0), ends[:-1])
    groups, firsts = np.empty(len(texts), np.int32), np.empty(len(texts), np.int32)
    data = np.frombuffer(b"".join(texts), np.uint8)
    count = form(group_texts)(data, starts, ends, np.full(slots, EMPTY, np.int32), groups, firsts)
    found = groups.tolist()
    assert list(dict.fromkeys(found)) == list(range(count))
    assert firsts[:count].tolist() == [found.index(group) for group in range(count)]
    return found


@FORMS
@pytest.mark.parametrize("room", [b"", b"x" * 100], ids=["at the end of the data", "within the data"])
@pytest.mark.parametrize(
    ("text", "digits"),
    [
        (b'[d seq="1"]', b"1"),
        (HEAD + b'seq="4711"]', b"4711"),
        (HEAD + b'seq="4711"][meta sequenceId="5" seq="6"]', b"4711"),
        (b'[d seq="12x"][e seq="3"]', b"3"),
        (b'[d freq="5" seq="" seq="x" seq=7 seq="8', None),
        (b'[d freq="5"][longer than any window, and no number in it]', None),
        (b'[d freq="5"][longer than any window, and then one][e seq="77"]', b"77"),
        (b"[d", None),
        (b"", None),
    ],
)
def test_the_first_number_is_found(form, room: bytes, text: bytes, digits: bytes | None) -> None:
    all_bytes = room + text + room
    first, last = form(find_number)(np.frombuffer(all_bytes, np.uint8), len(room), len(room) + len(text))
    assert (None if first < 0 else all_bytes[first:last]) == digits


@FORMS
@pytest.mark.parametrize("length", range(30, 45))
def test_nothing_is_read_behind_the_data(form, length: int) -> None:
    assert form(find_number)(np.full(length, ord("q"), np.uint8), 0, length) == (-1, -1)


@FORMS
@pytest.mark.parametrize("before", [b"[d", HEAD.rstrip(), LONG.rstrip()], ids=["short", "long", "longer"])
@pytest.mark.parametrize("behind", [b"]", b'][e role="x"]', b'][e f="a long one"][g h="so that all words count"]'])
def test_only_the_digits_may_differ(form, before: bytes, behind: bytes) -> None:
    """Each byte before and behind them counts, also where all hashes are equal."""
    texts = [b'%s seq="%d"%s' % (before, number, behind) for number in (1, 22, 7, 4711)]
    assert grouped(form, texts) == grouped(form, texts, slots=1) == [0, 0, 0, 0]
    for at in range(len(before)):
        other = bytearray(before)
        other[at] ^= 0x80
        assert grouped(form, [texts[0], texts[3].replace(before, other)], slots=1) == [0, 1], at
    for at in range(len(behind)):
        other = bytearray(behind)
        other[at] ^= 0x80
        assert grouped(form, [texts[0], texts[3].removesuffix(behind) + other], slots=1) == [0, 1], at


@FORMS
def test_texts_of_other_lengths(form) -> None:
    texts = [b'[d seq="1"]', b'[d seq="12"][d seq="1"]', b'[d seq="1"][d seq="1"]', b'[d  seq="1"]', b'[d seq="1"']
    assert grouped(form, [text for text in texts for _ in range(2)], slots=1) == [0, 0, 1, 1, 1, 1, 2, 2, 3, 3]
    # What follows the number of the second one looks like the end of the first one.
    assert grouped(form, [b'[d seq="1" seq="2"]', b'[d seq="3"]'], slots=1) == [0, 1]
    assert grouped(form, [b'[d seq="3"]', b'[d seq="1" seq="2"]'], slots=1) == [0, 1]
    # No digits at all are no number.
    assert grouped(form, [b'[d seq=""][e seq="7"]', b'[d seq="5"][e seq="7"]'], slots=1) == [0, 1]


@FORMS
def test_senders_take_turns(form) -> None:
    texts = [b'[deploy@32473 instance="i-%d" seq="%d"]' % (n % 7, n) for n in range(70)]
    assert grouped(form, texts) == [n % 7 for n in range(70)]
    assert grouped(form, texts, slots=1) == list(range(70))
    assert grouped(form, [b"[d]", b'[d boot="1"]', b"[d]"]) == [0, 1, 2]


@pytest.mark.usefixtures("either_form")
def test_columns_of_numbered_rows() -> None:
    frames = [
        b'<13>1 2026-01-01T00:00:00Z h a - - [deploy@32473 role="r\\"%d" instance="\xff" seq="%d"] x' % (n // 3, n)
        for n in range(9)
    ]
    frames[4] = b"<13>1 2026-01-01T00:00:00Z h a - - - x"
    table = parse(frames_of(frames), Settings(), "r").table()
    assert table["role"].to_pylist() == [None if n == 4 else f'r"{n // 3}' for n in range(9)]
    assert table["instance"].to_pylist() == [None if n == 4 else "\ufffd" for n in range(9)]
    assert len(table["role"].chunk(0).dictionary) == 3
    assert table["deploy"].null_count == 9
