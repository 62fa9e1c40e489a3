"""Groups of texts of structured data that differ in a running number only: the deploy element is read once for each group.

A sender that numbers its messages makes every text distinct: ``[deploy@32473 role="web" seq="4711"]``. Texts form a group
if they are equal but for the digits of the first `` seq="digits"`` in each. In all of them ``deploy`` finds the same,
whatever stands around these digits. The quote before them either opens a value, which is that of ``seq`` and goes into no
column, or closes one, and behind that a digit ends the reading of the element. Elsewhere neither it nor a digit says
anything.

Not all such texts come into one group: each is compared with the first text of the last group of its hash and no other, so
that nobody can make the search long. A text alone in its group is read as if there were no groups.

Of 100,000 frames with 175 bytes of structured data, one takes 0.64 us to become a row of the table if all are numbered,
without groups 0.95, and 0.48 if all texts of a sender are equal.
"""

from __future__ import annotations

from typing import Final

from logsink.ascii import QUOTE
from logsink.kernel import I32, Bytes, ReadI32, both, fold, kernel, load
from logsink.parse.codes import same
from logsink.parse.scanning import NONE, begins_with, skip_digits

SLOTS: Final = 8192
"""Groups that are remembered at most, a power of two: many times as many as one parse has senders."""

_BEFORE = b' seq="'
_SMALL_Q = 0x71
_PLACE_OF_Q = 3
_PLACE_OF_QUOTE = 5
_WINDOW = 32  # bytes that one call of ``both`` looks at

_FACTOR = 0x1E3779B97F4A7C15  # odd
_STEP = 16  # bytes
_WORD = 8


@kernel
def find_number(data: Bytes, p: int, end: int) -> tuple[int, int]:
    """Return where the digits of the first `` seq="digits"`` at or behind ``p`` begin and end, or NONE twice."""
    while p + len(_BEFORE) < end:
        # The compiled form of ``both`` compares a whole window at once. It may look behind ``end``, but never behind the
        # data.
        if p + _PLACE_OF_QUOTE + _WINDOW <= len(data):
            found = both(data, p + _PLACE_OF_Q, _SMALL_Q, p + _PLACE_OF_QUOTE, QUOTE)
            p += found
            if found == _WINDOW:
                continue
        if begins_with(data, p, end, _BEFORE):
            first = p + len(_BEFORE)
            last = skip_digits(data, first, end)
            if first < last and last < end and data[last] == QUOTE:
                return first, last
        p += 1
    return NONE, NONE


@kernel
def hash_with(hashed: int, data: Bytes, p: int, end: int) -> int:
    """Return a hash of ``hashed`` and ``data[p:end]``, taken sixteen bytes at a time; the last sixteen overlap.

    It is three times as fast as ``codes.hash_of``, and senders may know how to make it collide: here they gain nothing by that.
    """
    if end - p < _STEP:
        for k in range(p, end):
            hashed = fold(hashed ^ data[k], _FACTOR)
        return hashed
    while p + _STEP < end:
        hashed = fold(hashed ^ load(data, p), load(data, p + _WORD) ^ _FACTOR)
        p += _STEP
    return fold(hashed ^ load(data, end - _STEP), load(data, end - _WORD) ^ _FACTOR)


@kernel
def group_texts(data: Bytes, starts: ReadI32, ends: ReadI32, slots: I32, groups: I32, firsts: I32) -> int:
    """Write the group of each text to ``groups``, and the first text of each group to ``firsts``.

    Text i is ``data[starts[i]:ends[i]]``. ``slots`` has SLOTS elements, all of them EMPTY. Groups are numbered from 0 in the
    order of their first texts. Returns how many there are.
    """
    count = 0
    for i in range(len(groups)):
        start = starts[i]
        end = ends[i]
        group = NONE
        first, last = find_number(data, start, end)
        if first >= 0:
            # The first text of the last group with this hash: is it equal before and behind the digits?
            slot = hash_with(hash_with(0, data, start, first), data, last, end) & (len(slots) - 1)
            group = slots[slot]
            if group >= 0:
                other = starts[firsts[group]]
                until = ends[firsts[group]]
                digits = other + (first - start)
                behind = until - (end - last)
                if (
                    digits >= behind
                    or not same(data, other, start, first - start)
                    or skip_digits(data, digits, until) != behind
                    or not same(data, behind, last, end - last)
                ):
                    group = NONE
            if group < 0:
                slots[slot] = count
        if group < 0:
            group = count
            firsts[group] = i
            count += 1
        groups[i] = group
    return count
