"""Templates that, with the columns of a row, give its frame back byte for byte; and the prover that makes sure of it.

A template is text: literals, and of these ``%name`` items each at most once::

    %pri        facility * 8 + severity
    %time{F,Z}  the time as RFC 3339 without its zone, F digits of fraction (0 to 6, after a point), at Z: the zone follows
                as a literal. `Z`, `+02:00`; in parentheses, `(+02:00)`, where the frame names no zone
    %time{bsd,Z}  `Nov  5 09:15:00` at Z; `bsd0`: the day as 05; `bsd1`: as 5; `bsd.F`: F digits of fraction after it
    %host %app %procid %msgid %sd %message   the column, which is not null then
    %bom        the bytes EF BB BF

such as ``<%pri>1 %time{6,Z} %host %app %procid - - %message``. A nil field, the version and what stands between fields
are literals. Templates are made of ``shape`` integers only, so there is a bounded number of them, and no text of a
sender's is ever part of one. They are persisted: ``rebuild`` reads all that were ever written.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from logsink.ascii import CAPITAL_T, COLON, DIGIT_0, DOT, HYPHEN, SPACE
from logsink.errors import FormatError
from logsink.kernel import I32, Bytes, ReadGrid32, ReadI8, ReadI32, ReadI64, kernel
from logsink.parse.calendar import LATEST, MINUTE, SECOND, date_of
from logsink.parse.codes import same
from logsink.parse.shape import (
    APP,
    BSD,
    BSD_BARE,
    BSD_ZERO,
    FORMAT,
    HOST,
    HOST_FORWARDED,
    HOST_FROM,
    HOST_NIL,
    HOST_STYLE,
    MESSAGE,
    MINUS_ZERO,
    MSGID,
    NO_TIME,
    PROCID,
    RFC5424,
    SD,
    TAG_BARE_COLON,
    TAG_COLON,
    TAG_PID,
    TAG_PID_COLON,
    TAG_STYLE,
    TIME_DIGITS,
    TIME_KIND,
    TIME_ZONE,
    TIME_ZONE_BIAS,
    WITH_BOM,
    WITH_FIELD,
    WITH_MESSAGE,
    WITH_PRI,
    WITHOUT_SD,
    ZONELESS,
    ZULU,
)
from logsink.parse.text import BOM, NOT_UTF8

FIELDS: Final = {"host": HOST, "app": APP, "procid": PROCID, "msgid": MSGID, "sd": SD, "message": MESSAGE}
"""Names in templates and the spans they stand for."""

_TAGS: Final = {TAG_COLON: "%app:", TAG_PID_COLON: "%app[%procid]:", TAG_PID: "%app[%procid]", TAG_BARE_COLON: ":"}
_HOSTS: Final = {HOST_NIL: "- ", HOST_FORWARDED: "Message forwarded from %host: ", HOST_FROM: "From %host: "}
_BSD: Final = {BSD: "bsd", BSD_ZERO: "bsd0", BSD_BARE: "bsd1"}
_ITEM = re.compile(
    r"%(pri|bom|host|app|procid|msgid|sd|message|time\{(?:(bsd[01]?)(?:\.([1-6]))?|([0-6])),"
    r"(Z|\(?[+-]\d\d:\d\d\)?)\})"
)


class Time(NamedTuple):
    """How a time is written: ``style`` 0 (RFC 3339) or a BSD kind of ``shape``, ``digits`` of fraction, ``minutes``
    east."""

    style: int
    digits: int
    minutes: int


def template(shape: int) -> str:
    """The template of a frame of this shape, which is not 0."""
    fields = [name for name, field in FIELDS.items() if shape >> WITH_FIELD & 1 << field]
    stamp = _time(shape)
    pri = "<%pri>" if shape & WITH_PRI else ""
    if shape & FORMAT == RFC5424:
        names = ("host", "app", "procid", "msgid", "sd")[: 4 if shape & WITHOUT_SD else 5]
        head = " ".join([stamp or "-", *(f"%{name}" if name in fields else "-" for name in names)])
        bom = "%bom" if shape & WITH_BOM else ""
        return f"{pri}1 {head}" + (f" {bom}%message" if shape & WITH_MESSAGE else "")
    origin = _HOSTS.get(shape >> HOST_STYLE & 3, "")
    if "host" in fields:
        origin = "%host "
    rest = origin + _TAGS.get(shape >> TAG_STYLE & 7, "") + ("%message" if shape & WITH_MESSAGE else "")
    return f"{pri}{stamp} {rest}" if stamp and rest else f"{pri}{stamp}{rest}"


def _time(shape: int) -> str:
    kind, digits = shape >> TIME_KIND & 7, shape >> TIME_DIGITS & 7
    if kind == NO_TIME:
        return ""
    minutes = (shape >> TIME_ZONE & 0xFFF) - TIME_ZONE_BIAS
    zone = f"{'-' if minutes < 0 or kind == MINUS_ZERO else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    if kind in _BSD:
        return f"%time{{{_BSD[kind]}{f'.{digits}' if digits else ''},{zone}}}"
    if kind == ZONELESS:
        return f"%time{{{digits},({zone})}}"
    return f"%time{{{digits},{'Z' if kind == ZULU else zone}}}"


def items(text: str) -> list[bytes | str | Time]:
    """What a template says, in order: literals as bytes, columns (and ``pri``) by their names in templates, times.

    ``FormatError`` when it is not a template that this version knows.
    """
    found: list[bytes | str | Time] = []
    at = 0
    for match in _ITEM.finditer(text):
        found.append(text[at : match.start()].encode())
        at = match.end()
        if match[5]:
            found.append(_written(match[2], match[3] or match[4] or "0", match[5]))
            found.append(b"" if match[2] or match[5].startswith("(") else match[5].encode())
        else:
            found.append(BOM if match[1] == "bom" else match[1])
    found.append(text[at:].encode())
    found = [item for item in found if item != b""]
    if any(isinstance(item, bytes) and b"%" in item for item in found):
        raise FormatError(f"cannot read template {text!r}: it has an item that this version does not know")
    return found


def _written(style: str | None, digits: str, zone: str) -> Time:
    zone = zone.strip("()")
    minutes = 0 if zone == "Z" else int(zone[1:3]) * 60 + int(zone[4:6])
    kind = next((k for k, name in _BSD.items() if name == style), 0)
    return Time(kind, int(digits), -minutes if zone.startswith("-") else minutes)


LITERAL: Final = 0  # where it begins in the literals, its length
PRI: Final = 1
STAMP: Final = 2  # style, digits, minutes
FIELD: Final = 3  # its number

_NAMES = b"JanFebMarAprMayJunJulAugSepOctNovDec"
_TENS = (1_000_000, 100_000, 10_000, 1_000, 100, 10, 1)


class Templates:
    """Templates by the codes of their shapes, as text and as what ``prove`` reads.

    ``program`` is ops int32[m, 4], an operation and its arguments; first int32[k + 1], those of template c are
    ``ops[first[c]:first[c + 1]]``; and literals uint8[...]. It is made anew by ``extend``.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._ops: list[tuple[int, int, int, int]] = []
        self._first = [0]
        self._literals = bytearray()
        self.extend(np.zeros(0, np.int64))

    def extend(self, shapes: npt.NDArray[np.int64]) -> None:
        """Append the templates of these shapes."""
        for shape in shapes.tolist():
            text = template(shape)
            for item in items(text):
                self._ops.append(self._operation(item))
            self.texts.append(text)
            self._first.append(len(self._ops))
        self.program: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint8]] = (
            np.array(self._ops, np.int32).reshape(-1, 4),
            np.array(self._first, np.int32),
            np.frombuffer(bytes(self._literals), np.uint8),
        )

    def _operation(self, item: bytes | str | Time) -> tuple[int, int, int, int]:
        if isinstance(item, Time):
            return STAMP, item.style, item.digits, item.minutes
        if isinstance(item, str):
            return (PRI, 0, 0, 0) if item == "pri" else (FIELD, FIELDS[item], 0, 0)
        self._literals += item
        return LITERAL, len(self._literals) - len(item), len(item), 0


@kernel
def is_two(data: Bytes, p: int, value: int) -> bool:
    return data[p] == DIGIT_0 + value // 10 and data[p + 1] == DIGIT_0 + value % 10


@kernel
def proved_pri(data: Bytes, p: int, end: int, value: int) -> int:
    """Where decimal ``value`` ends that stands at ``p``, or -1."""
    if value < 0:
        return -1
    digits = 1 if value < 10 else 2 if value < 100 else 3
    if p + digits > end:
        return -1
    for k in range(digits - 1, -1, -1):
        if data[p + k] != DIGIT_0 + value % 10:
            return -1
        value //= 10
    return p + digits


@kernel
def proved_date(data: Bytes, p: int, end: int, style: int, year: int, month: int, day: int) -> int:
    """Where this date ends, and what separates it from the time of day, that stands in ``style`` at ``p``; or -1."""
    if style == 0:
        if p + 11 > end or data[p + 4] != HYPHEN or data[p + 7] != HYPHEN or data[p + 10] != CAPITAL_T:
            return -1
        if is_two(data, p, year // 100) and is_two(data, p + 2, year % 100) and is_two(data, p + 5, month):
            return p + 11 if is_two(data, p + 8, day) else -1
        return -1
    if p + 7 > end or data[p + 3] != SPACE:
        return -1
    for k in range(3):
        if data[p + k] != _NAMES[3 * (month - 1) + k]:
            return -1
    p += 4
    if day >= 10 or style == BSD_ZERO:
        if not is_two(data, p, day):
            return -1
        p += 2
    else:
        if style == BSD:
            if data[p] != SPACE:
                return -1
            p += 1
        if data[p] != DIGIT_0 + day:
            return -1
        p += 1
    return p + 1 if p < end and data[p] == SPACE else -1


@kernel
def proved_clock(data: Bytes, p: int, end: int, seconds: int) -> int:
    """Where this time of day ends, in whole seconds since midnight, that stands at ``p``; or -1."""
    if p + 8 > end or data[p + 2] != COLON or data[p + 5] != COLON:
        return -1
    if not is_two(data, p, seconds // 3600) or not is_two(data, p + 3, seconds // 60 % 60):
        return -1
    return p + 8 if is_two(data, p + 6, seconds % 60) else -1


@kernel
def proved_fraction(data: Bytes, p: int, end: int, micros: int, digits: int) -> int:
    """Where this part of a second ends, a point and ``digits`` of it, that stands at ``p``; or -1."""
    if p + 1 + digits > end or data[p] != DOT:
        return -1
    value = 0
    for k in range(1, digits + 1):
        digit = data[p + k] - DIGIT_0
        if not 0 <= digit <= 9:
            return -1
        value = value * 10 + digit
    return p + 1 + digits if value * _TENS[digits] == micros else -1


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
    ops: ReadGrid32,
    first: ReadI32,
    literals: Bytes,
    wire: I32,
) -> int:
    """``wire[i]``: the code of row i's template if, filled with its columns, that is its frame; else -1. How many are
    proved.

    One cursor walks template and frame: literals are compared, a field must begin at the cursor, PRI and time are
    formatted again and compared, and the cursor must end where the frame ends. Knows nothing of how the columns were
    found.
    """
    proved = 0
    written = known = -1
    today = LATEST  # no day's number
    year = month = day = place = width = 0
    for i in range(len(wire)):
        wire[i] = -1
        code = codes[i]
        if code < 0 or flags[i] & NOT_UTF8:
            continue
        p = offsets[i]
        end = offsets[i + 1]
        for k in range(first[code], first[code + 1]):
            operation = ops[k, 0]
            argument = ops[k, 1]
            if operation == LITERAL:
                length = ops[k, 2]
                if p + length > end:
                    p = -1
                    break
                q = 0
                while q < length and data[p + q] == literals[argument + q]:
                    q += 1
                p = p + length if q == length else -1
            elif operation == FIELD:
                p = spans[i, 2 * argument + 1] if spans[i, 2 * argument] == p else -1
            elif operation == PRI:
                p = proved_pri(data, p, end, facility[i] * 8 + severity[i])
            else:
                local = time[i] + ops[k, 3] * MINUTE
                second = local // SECOND
                if second == known and argument == written:  # the same text as the last time
                    p = p + width if p + width <= end and same(data, place, p, width) else -1
                else:
                    if second // 86_400 != today:
                        today = second // 86_400
                        year, month, day = date_of(today)
                    q = proved_date(data, p, end, argument, year, month, day)
                    if q >= 0:
                        q = proved_clock(data, q, end, second - today * 86_400)
                    if q >= 0:
                        written, known, place, width = argument, second, p, q - p
                    p = q
                if p >= 0 and ops[k, 2] > 0:
                    p = proved_fraction(data, p, end, local - second * SECOND, ops[k, 2])
            if p < 0:
                break
        if p == end:
            wire[i] = code
            proved += 1
    return proved
