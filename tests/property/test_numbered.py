"""Whatever a text is, the digits of its running number change none of the deploy columns."""

from __future__ import annotations

import random
import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.parse.codes import EMPTY
from logsink.parse.deploy import NAMES, extract
from logsink.parse.numbered import SLOTS, group_texts
from tests.support.examples import examples

SD_ID = "d@1"
NUMBER = re.compile(rb' seq="([0-9]+)"')

# What structured data is made of, and what makes a reader lose its place in it.
WORDS = (
    b'[d@1| role="|environment="| deploy=| role=x| instance="i"| seq="|seq=|"|\\|\\"|\\\\|\\]|]|[|[[|][|[12|[d@1 |=|="| |  |'
    b"1|22|333|a|\xff|d@1|[x y=[z] |[e |[d@1]"
).split(b"|")
PART = st.lists(st.sampled_from(WORDS), max_size=9).map(b"".join)
DIGITS = st.lists(st.integers(0, 10**12).map(str).map(str.encode), min_size=2, max_size=4)


def columns(texts: list[bytes]) -> list[list[bytes | None]]:
    """Read each text's deploy columns, without any grouping."""
    ends = np.cumsum([len(text) for text in texts], dtype=np.int32)
    starts = np.append(np.int32(0), ends[:-1])
    spans = np.empty((len(texts), 2 * len(NAMES)), np.int32)
    out = np.empty(int(ends[-1]), np.uint8)
    data = np.frombuffer(b"".join(texts), np.uint8)
    extract(data, starts, ends, np.frombuffer(SD_ID.encode(), np.uint8), out, spans)
    return [[bytes(out[a:b]) if a >= 0 else None for a, b in row.reshape(-1, 2)] for row in spans]


def groups_of(texts: list[bytes], slots: int) -> list[int]:
    """Return the first text of each text's group."""
    ends = np.cumsum([len(text) for text in texts], dtype=np.int32)
    starts = np.append(np.int32(0), ends[:-1])
    groups, firsts = np.empty(len(texts), np.int32), np.empty(len(texts), np.int32)
    data = np.frombuffer(b"".join(texts), np.uint8)
    group_texts(data, starts, ends, np.full(slots, EMPTY, np.int32), groups, firsts)
    return [int(firsts[group]) for group in groups]


def numbered(before: bytes, digits: list[bytes], behind: bytes) -> list[bytes]:
    return [b"[" + before + b' seq="' + each + b'"' + behind for each in digits]


@settings(max_examples=examples(300))
@given(PART, DIGITS, PART)
def test_digits_of_any_number_change_no_column(before: bytes, digits: list[bytes], behind: bytes) -> None:
    """So it is for every text, not only for one that the parser takes for structured data."""
    found = columns(numbered(before, digits, behind))
    assert found == [found[0]] * len(found)


@settings(max_examples=examples(4))
@given(st.integers(0, 1 << 63))
def test_thousands_of_texts_are_read_as_if_each_was_alone(seed: int) -> None:
    chance = random.Random(seed)
    texts: list[bytes] = []
    while len(texts) < 3000:
        before, behind = (b"".join(chance.choices(WORDS, k=chance.randrange(9))) for _ in range(2))
        texts += numbered(before, [b"%d" % chance.randrange(10 ** chance.randrange(1, 9)) for _ in range(3)], behind)
        texts.append(chance.choice(texts).replace(b'"', b"", 1))
    chance.shuffle(texts)
    read = columns(texts)
    for slots in (1, 64, SLOTS):
        for i, first in enumerate(groups_of(texts, slots)):
            assert read[i] == read[first]
            if i != first:
                assert NUMBER.sub(b"", texts[i], count=1) == NUMBER.sub(b"", texts[first], count=1)
