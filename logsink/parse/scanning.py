"""TODO."""

from __future__ import annotations

from logsink.ascii import BAR, CASE_BIT, DIGIT_0, DIGIT_9, HYPHEN, SMALL_A, SMALL_Z, SPACE, TAB
from logsink.kernel import Bytes, Grid32, either, kernel

NONE = -1
"""As a position: there is no time here."""


@kernel
def two_digits(data: Bytes, p: int) -> int:
    """The number that two digits at ``p`` make, or a negative one."""
    a = data[p] - DIGIT_0
    b = data[p + 1] - DIGIT_0
    if a < 0 or a > 9 or b < 0 or b > 9:
        return -1000000
    return a * 10 + b


@kernel
def decimal(data: Bytes, p: int, end: int, width: int) -> int:
    """The number that ``width`` digits at ``p`` make, or a negative one."""
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
    """Where the word at ``p`` ends: the next space, or ``end``."""
    while p + 32 <= len(data) and p < end:
        found = either(data, p, 32, 32)
        if found < 32:
            return min(p + found, end)
        p += 32
    while p < end and data[p] != SPACE:
        p += 1
    return min(p, end)


@kernel
def skip_spaces(data: Bytes, p: int, end: int) -> int:
    """Where the spaces at ``p`` end."""
    while p < end and data[p] == SPACE:
        p += 1
    return p


@kernel
def begins_with(data: Bytes, p: int, end: int, word: bytes) -> bool:
    """Does ``word`` stand at ``p``?"""
    if p + len(word) > end:
        return False
    for k in range(len(word)):
        if data[p + k] != word[k]:
            return False
    return True


@kernel
def put_span(spans: Grid32, i: int, field: int, start: int, end: int) -> None:
    spans[i, 2 * field] = start
    spans[i, 2 * field + 1] = end


@kernel
def put_value(data: Bytes, spans: Grid32, i: int, field: int, start: int, end: int) -> None:
    """``put``, unless it is the nil value ``-``."""
    if end - start != 1 or data[start] != HYPHEN:
        put_span(spans, i, field, start, end)


@kernel
def is_letter(c: int) -> bool:
    return SMALL_A <= c | CASE_BIT <= SMALL_Z


@kernel
def is_blank(c: int) -> bool:
    return c == SPACE or c == TAB


@kernel
def find_blank(data: Bytes, p: int, end: int) -> int:
    """Where the word at ``p`` ends: the next space or tab, or ``end``."""
    while p < end and not is_blank(data[p]):
        p += 1
    return p


@kernel
def skip_blanks(data: Bytes, p: int, end: int) -> int:
    """Where the spaces and tabs at ``p`` end."""
    while p < end and is_blank(data[p]):
        p += 1
    return p


@kernel
def is_listed(data: Bytes, p: int, end: int, table: bytes) -> bool:
    """Is ``data[p:end]`` one of the words of ``table``, each of which ends with ``|``?"""
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
def is_alphanumeric(c: int) -> bool:
    return (DIGIT_0 <= c <= DIGIT_9) or (SMALL_A <= c | CASE_BIT <= SMALL_Z)
