"""The prover: does a template, filled with the columns of a row, give the row's frame back byte for byte?

It knows nothing of how the columns were found, and trusts none of them. What it does not prove is kept in ``raw``.
"""

from __future__ import annotations

from logsink.ascii import CAPITAL_T, COLON, DIGIT_0, DOT, HYPHEN, SPACE
from logsink.kernel import I32, Bytes, ReadGrid32, ReadI8, ReadI32, ReadI64, kernel
from logsink.parse.calendar import LATEST, MINUTE, SECOND, date_of
from logsink.parse.codes import same
from logsink.parse.scanning import NONE
from logsink.parse.shape import BSD, BSD_ZERO
from logsink.parse.templates import FIELD, LITERAL, PRI, RFC3339
from logsink.parse.utf8 import NOT_UTF8

NO_TEMPLATE = -1
"""In place of a template's code: the frame is kept in ``raw``."""

_SECONDS_OF_DAY = 86_400
_MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"
_MICROS = (1_000_000, 100_000, 10_000, 1_000, 100, 10, 1)
"""Microseconds of one unit of the last digit of a fraction, by its digits."""


@kernel
def is_two_digits(data: Bytes, p: int, value: int) -> bool:
    """Tell whether ``value`` stands at ``p`` as two digits."""
    return data[p] == DIGIT_0 + value // 10 and data[p + 1] == DIGIT_0 + value % 10


@kernel
def check_pri(data: Bytes, p: int, end: int, value: int) -> int:
    """Return where ``value`` ends that stands at ``p`` in decimal, or NONE."""
    if value < 0:
        return NONE
    digits = 1 if value < 10 else 2 if value < 100 else 3
    if p + digits > end:
        return NONE
    for k in range(digits - 1, -1, -1):
        if data[p + k] != DIGIT_0 + value % 10:
            return NONE
        value //= 10
    return p + digits


@kernel
def check_date(data: Bytes, p: int, end: int, style: int, year: int, month: int, day: int) -> int:
    """Return where this date ends, written at ``p`` in ``style`` with what separates it from the time of day, or
    NONE."""
    if style == RFC3339:
        if p + 11 > end or data[p + 4] != HYPHEN or data[p + 7] != HYPHEN or data[p + 10] != CAPITAL_T:
            return NONE
        if (
            is_two_digits(data, p, year // 100)
            and is_two_digits(data, p + 2, year % 100)
            and is_two_digits(data, p + 5, month)
        ):
            return p + 11 if is_two_digits(data, p + 8, day) else NONE
        return NONE
    # `Mmm `, then the day as its style writes it, then a space.
    if p + 7 > end or data[p + 3] != SPACE:
        return NONE
    for k in range(3):
        if data[p + k] != _MONTHS[3 * (month - 1) + k]:
            return NONE
    p += 4
    if day >= 10 or style == BSD_ZERO:
        if not is_two_digits(data, p, day):
            return NONE
        p += 2
    else:
        if style == BSD:
            if data[p] != SPACE:
                return NONE
            p += 1
        if data[p] != DIGIT_0 + day:
            return NONE
        p += 1
    return p + 1 if p < end and data[p] == SPACE else NONE


@kernel
def check_time_of_day(data: Bytes, p: int, end: int, seconds: int) -> int:
    """Return where ``hh:mm:ss`` of these seconds since midnight ends at ``p``, or NONE."""
    if p + 8 > end or data[p + 2] != COLON or data[p + 5] != COLON:
        return NONE
    if not is_two_digits(data, p, seconds // 3600) or not is_two_digits(data, p + 3, seconds // 60 % 60):
        return NONE
    return p + 8 if is_two_digits(data, p + 6, seconds % 60) else NONE


@kernel
def check_fraction(data: Bytes, p: int, end: int, micros: int, digits: int) -> int:
    """Return where a point and ``digits`` digits of these microseconds end at ``p``, or NONE."""
    if p + 1 + digits > end or data[p] != DOT:
        return NONE
    value = 0
    for k in range(1, digits + 1):
        digit = data[p + k] - DIGIT_0
        if digit < 0 or digit > 9:
            return NONE
        value = value * 10 + digit
    return p + 1 + digits if value * _MICROS[digits] == micros else NONE


@kernel
def prove(
    data: Bytes,
    offsets: ReadI32,
    spans: ReadGrid32,
    time: ReadI64,
    facility: ReadI8,
    severity: ReadI8,
    flags: ReadI32,
    codes: ReadI32,
    operations: ReadGrid32,
    first: ReadI32,
    literals: Bytes,
    wire: I32,
) -> int:
    """Set ``wire[i]`` to the code of row i's template if that and the row's columns give its frame, else to
    NO_TEMPLATE.

    Returns how many are proved. ``codes[i]`` is the code of row i's template in ``operations``, ``first`` and
    ``literals`` (``templates.Program``), or negative. One cursor walks template and frame: literals are compared, a
    field must begin at the cursor, PRI and time are written again and compared, and the cursor must end where the frame
    ends. A frame that is not UTF-8 is never proved, for its columns have U+FFFD in them.
    """
    proved = 0
    style = known = NONE
    today = LATEST  # the number of no day
    year = month = day = place = width = 0
    for i in range(len(wire)):
        wire[i] = NO_TEMPLATE
        code = codes[i]
        if code < 0 or flags[i] & NOT_UTF8:
            continue
        p = offsets[i]
        end = offsets[i + 1]
        for k in range(first[code], first[code + 1]):
            operation = operations[k, 0]
            argument = operations[k, 1]
            if operation == LITERAL:
                length = operations[k, 2]
                if p + length > end:
                    p = NONE
                    break
                q = 0
                while q < length and data[p + q] == literals[argument + q]:
                    q += 1
                p = p + length if q == length else NONE
            elif operation == FIELD:
                p = spans[i, 2 * argument + 1] if spans[i, 2 * argument] == p else NONE
            elif operation == PRI:
                p = check_pri(data, p, end, facility[i] * 8 + severity[i])
            else:
                local = time[i] + operations[k, 3] * MINUTE
                # A time of the same second in the same style has the same text as the last one but for its fraction:
                # compare the two.
                second = local // SECOND
                if second == known and argument == style:
                    p = p + width if p + width <= end and same(data, place, p, width) else NONE
                else:
                    # Otherwise write it again. The date is computed once a day.
                    if second // _SECONDS_OF_DAY != today:
                        today = second // _SECONDS_OF_DAY
                        year, month, day = date_of(today)
                    q = check_date(data, p, end, argument, year, month, day)
                    if q >= 0:
                        q = check_time_of_day(data, q, end, second - today * _SECONDS_OF_DAY)
                    if q >= 0:
                        style, known, place, width = argument, second, p, q - p
                    p = q
                if p >= 0 and operations[k, 2] > 0:
                    p = check_fraction(data, p, end, local - second * SECOND, operations[k, 2])
            if p < 0:
                break
        if p == end:
            wire[i] = code
            proved += 1
    return proved
