"""Blanks, words and digits: the smallest kernels, of which all the others that read text are made.

The names that their parameters share are explained in the docstring of ``logsink.parse``.
"""

from __future__ import annotations

from logsink.ascii import BAR, CASE_BIT, DIGIT_0, DIGIT_9, HYPHEN, SMALL_A, SMALL_Z, SPACE, TAB
from logsink.kernel import Bytes, Grid32, either, kernel

NONE = -1
"""As a position: what was looked for is not there."""

NO_NUMBER = -1_000_000
"""What ``two_digits`` returns where there are none: still negative after it is multiplied by 100 and two digits are
added."""

_WINDOW = 32  # bytes that one call of ``either`` looks at


@kernel
def is_letter(c: int) -> bool:
    """Tell whether ``c`` is an ASCII letter."""
    return SMALL_A <= c | CASE_BIT <= SMALL_Z


@kernel
def is_alphanumeric(c: int) -> bool:
    """Tell whether ``c`` is an ASCII digit or letter."""
    return DIGIT_0 <= c <= DIGIT_9 or SMALL_A <= c | CASE_BIT <= SMALL_Z


@kernel
def is_blank(c: int) -> bool:
    """Tell whether ``c`` is a space or a tab."""
    return c == SPACE or c == TAB


@kernel
def two_digits(data: Bytes, p: int) -> int:
    """Return the number that two digits at ``p`` make, or NO_NUMBER.

    The frame's end is not looked at.
    """
    tens = data[p] - DIGIT_0
    units = data[p + 1] - DIGIT_0
    if tens < 0 or tens > 9 or units < 0 or units > 9:
        return NO_NUMBER
    return tens * 10 + units


@kernel
def decimal(data: Bytes, p: int, end: int, width: int) -> int:
    """Return the number that ``width`` digits at ``p`` make, or -1."""
    if p + width > end:
        return -1
    value = 0
    for k in range(width):
        digit = data[p + k] - DIGIT_0
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@kernel
def find_space(data: Bytes, p: int, end: int) -> int:
    """Return the next space at or behind ``p``, or ``end``."""
    # The compiled form of ``either`` compares a whole window at once. It may look behind ``end``, but never behind the
    # data.
    while p + _WINDOW <= len(data) and p < end:
        found = either(data, p, SPACE, SPACE)
        if found < _WINDOW:
            return min(p + found, end)
        p += _WINDOW
    while p < end and data[p] != SPACE:
        p += 1
    return min(p, end)


@kernel
def skip_spaces(data: Bytes, p: int, end: int) -> int:
    """Return where the spaces at ``p`` end: ``p`` where there are none."""
    while p < end and data[p] == SPACE:
        p += 1
    return p


@kernel
def find_blank(data: Bytes, p: int, end: int) -> int:
    """Return the next space or tab at or behind ``p``, or ``end``."""
    while p < end and not is_blank(data[p]):
        p += 1
    return p


@kernel
def skip_blanks(data: Bytes, p: int, end: int) -> int:
    """Return where the spaces and tabs at ``p`` end: ``p`` where there are none."""
    while p < end and is_blank(data[p]):
        p += 1
    return p


@kernel
def skip_digits(data: Bytes, p: int, end: int) -> int:
    """Return where the digits at ``p`` end: ``p`` where there are none."""
    while p < end and DIGIT_0 <= data[p] <= DIGIT_9:
        p += 1
    return p


@kernel
def begins_with(data: Bytes, p: int, end: int, word: bytes) -> bool:
    """Tell whether ``word`` stands at ``p``."""
    if p + len(word) > end:
        return False
    for k in range(len(word)):
        if data[p + k] != word[k]:
            return False
    return True


@kernel
def is_listed(data: Bytes, p: int, end: int, table: bytes) -> bool:
    """Tell whether ``data[p:end]`` is one of the words of ``table``, each of which ends with ``|``."""
    k = 0
    while k < len(table):
        q = p
        while table[k] != BAR and q < end and data[q] == table[k]:
            q += 1
            k += 1
        if table[k] == BAR and q == end and q > p:
            return True
        while table[k] != BAR:
            k += 1
        k += 1
    return False


@kernel
def put_span(spans: Grid32, i: int, field: int, start: int, end: int) -> None:
    """Note that ``field`` of row ``i`` is ``data[start:end]``."""
    spans[i, 2 * field] = start
    spans[i, 2 * field + 1] = end


@kernel
def put_value(data: Bytes, spans: Grid32, i: int, field: int, start: int, end: int) -> None:
    """Note that ``field`` of row ``i`` is ``data[start:end]``, unless that is the nil value ``-``."""
    if end - start != 1 or data[start] != HYPHEN:
        put_span(spans, i, field, start, end)
