"""Sections: what was put in is found, in few other blocks anything else; slices and damage."""

from __future__ import annotations

import contextlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.errors import FormatError
from logsink.index.section import FEWEST, FULL, MOST_BLOCKS, Filter, blocks_of, encode, join, possible_blocks

Groups = list[npt.NDArray[np.int32] | None]


def groups_of(*groups: list[int] | None) -> Groups:
    return [None if one is None else np.array(one, np.int32) for one in groups]


def look(made: Filter, prefix: int, slices: int = 1) -> int:
    """The blocks of the key whose highest 31 bits these are."""
    key = prefix << 32
    part = made.slices(slices)[prefix >> 31 - (slices.bit_length() - 1)]
    count = made.micro // slices
    return possible_blocks(memoryview(part), key, micro=made.micro, count=count, blocks=blocks_of(made.groups)[0])


PREFIXES = st.lists(
    st.integers(0, (1 << 31) - 1) | st.integers(0, 60) | st.integers(1 << 21, (1 << 21) + 40), max_size=30
)


@given(st.lists(PREFIXES, min_size=1, max_size=12), st.sampled_from([1, 2, 64, 1024]))
def test_what_a_block_has_is_found(groups: list[list[int]], slices: int) -> None:
    made = encode(groups_of(*(list(set(one)) for one in groups)))
    every = {prefix for one in groups for prefix in one}
    for prefix in every:
        found = look(made, prefix, slices)
        same = {other for other in every if other >> 13 == prefix >> 13}  # 1024 micro buckets, and 8 bits
        assert found == sum(1 << n for n, one in enumerate(groups) if same & set(one))
    assert look(made, 12345678, slices) == 0 or any(one >> 13 == 12345678 >> 13 for one in every)
    assert made.keys == len(every)


@pytest.mark.usefixtures("either_form")
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 63, 64, 65, 126, 127])
def test_lists_and_bitmaps(count: int) -> None:
    """Key 5 is in all blocks, key 1 << 20 in the last, key 1 << 25 in every second, and key 1 << 28 in the first and last."""
    groups = groups_of(
        *(
            [
                5,
                *([1 << 20] if n == count - 1 else []),
                *([1 << 25] if n % 2 else []),
                *([1 << 28] if n in (0, count - 1) else []),
            ]
            for n in range(count)
        )
    )
    made = encode(groups)
    assert look(made, 5) == (1 << count) - 1
    assert look(made, 1 << 20) == 1 << count - 1
    assert look(made, 1 << 25) == sum(1 << n for n in range(1, count, 2))
    assert look(made, 1 << 28) == 1 | 1 << count - 1
    bitmap = 1 + (count + 7) // 8
    expected = 1 + min(count, bitmap) + 2 + (1 + min(count // 2, bitmap) if count > 1 else 0) + 1 + len({0, count - 1})
    assert len(made.data) == 2 * FEWEST + expected


@pytest.mark.parametrize(
    ("groups", "blocks", "each"), [(0, 0, 1), (1, 1, 1), (127, 127, 1), (128, 64, 2), (300, 100, 3)]
)
def test_blocks(groups: int, blocks: int, each: int) -> None:
    assert blocks_of(groups) == (blocks, each)
    assert blocks <= MOST_BLOCKS


@pytest.mark.usefixtures("either_form")
def test_a_file_of_many_row_groups_has_some_in_each_block() -> None:
    groups = groups_of(*([n] for n in range(300)))
    groups[7] = None
    made = encode(groups)
    assert made.unindexed == (2,)
    assert made.keys == 297
    assert look(made, 0) >> 2 & 1 == 0
    assert look(made, 299) & 1 << 99


def test_many_keys_take_more_micro_buckets() -> None:
    prefixes = np.random.default_rng(3).choice(1 << 31, 200_000, replace=False).astype(np.int32)
    made = encode([prefixes[:100_000], prefixes[90_000:]])
    assert made.micro == 16_384
    assert made.keys == 200_000 <= FULL * made.micro
    assert 2 * made.micro + 2 * 190_000 < len(made.data) <= 2 * made.micro + 2 * 210_000
    for n in range(0, 200_000, 997):
        assert look(made, int(prefixes[n]), 256) & (1 if n < 100_000 else 2)
    absent = [look(made, n, 256) for n in range(7, 1 << 31, 2_147_483)]
    assert 0.02 < sum(map(bool, absent)) / len(absent) < 0.09


def test_a_filter_without_keys() -> None:
    for made in (encode([]), encode([None]), encode(groups_of([]))):
        assert (made.micro, made.keys, len(made.data)) == (FEWEST, 0, 2 * FEWEST)
        assert look(made, 99) == 0


@given(st.lists(PREFIXES, max_size=4), st.sampled_from([1, 4, 1024]))
def test_slices_are_joined_again(groups: list[list[int]], slices: int) -> None:
    made = encode(groups_of(*(list(set(one)) for one in groups)))
    assert join(made.slices(slices), made.micro) == made.data


def test_a_slice_that_is_cut_is_named() -> None:
    made = encode(groups_of([1, 2, 1 << 20]))
    for end in (0, 100, 2 * FEWEST - 1, 2 * FEWEST, len(made.data) - 1):
        with pytest.raises(FormatError, match="section"):
            possible_blocks(memoryview(made.data)[:end], 1 << 52, micro=FEWEST, count=FEWEST, blocks=1)
    with pytest.raises(FormatError, match="is cut"):
        possible_blocks(memoryview(b"\1\0" * FEWEST + b"\5"), 5 << 45, micro=FEWEST, count=FEWEST, blocks=1)


@given(st.binary(max_size=60), st.integers(0, (1 << 63) - 1))
def test_any_bytes_are_an_answer_or_a_format_error(data: bytes, key: int) -> None:
    lengths = np.full(4, len(data) // 4, "<u2").tobytes()
    with contextlib.suppress(FormatError):
        assert possible_blocks(memoryview(lengths + data), key, micro=1024, count=4, blocks=20) < 1 << 20
