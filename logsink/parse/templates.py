"""Templates: how a frame is made again from the columns of its row.

They are the values of the column ``wire``, a persistent format.

A template is text: literals, and of these ``%name`` items each at most once::

    %pri        facility * 8 + severity
    %time{F,Z}  the time as RFC 3339 without its zone, F digits of fraction (0 to 6, after a point), at Z: the zone follows
                as a literal. `Z`, `+02:00`; in parentheses, `(+02:00)`, where the frame names no zone
    %time{bsd,Z}  `Nov  5 09:15:00` at Z; `bsd0`: the day as 05; `bsd1`: as 5; `bsd.F`: F digits of fraction after it
    %host %app %procid %msgid %sd %message   the column, which is not null then
    %bom        the bytes EF BB BF

such as ``<%pri>1 %time{6,Z} %host %app %procid - - %message``. A nil field, the version and what stands between fields
are literals. Templates are made of shapes only, so that there is a bounded number of them and none holds text that a
sender chose. ``rebuild`` reads all that were ever written.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from logsink.errors import FormatError
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
from logsink.parse.utf8 import BOM

FIELDS: Final = {"host": HOST, "app": APP, "procid": PROCID, "msgid": MSGID, "sd": SD, "message": MESSAGE}
"""Items of templates that are columns, and the fields that they stand for."""

_TAGS: Final = {TAG_COLON: "%app:", TAG_PID_COLON: "%app[%procid]:", TAG_PID: "%app[%procid]", TAG_BARE_COLON: ":"}
_HOSTS: Final = {HOST_NIL: "- ", HOST_FORWARDED: "Message forwarded from %host: ", HOST_FROM: "From %host: "}
_BSD: Final = {BSD: "bsd", BSD_ZERO: "bsd0", BSD_BARE: "bsd1"}
_ITEM = re.compile(
    r"%(pri|bom|host|app|procid|msgid|sd|message|time\{(?:(bsd[01]?)(?:\.([1-6]))?|([0-6])),"
    r"(Z|\(?[+-]\d\d:\d\d\)?)\})"
)


RFC3339: Final = 0
"""In place of a BSD kind of ``shape``, as the style of a time: RFC 3339."""


class TimeItem(NamedTuple):
    """A time in a template.

    style      RFC3339, or one of the BSD kinds of ``shape``
    digits     of its fraction, 0 to 6
    minutes    east of UTC
    """

    style: int
    digits: int
    minutes: int


def template_of(shape: int) -> str:
    """Return the template of a frame of this shape, which is not 0."""
    fields = [name for name, field in FIELDS.items() if shape >> WITH_FIELD & 1 << field]
    time = _time(shape)
    pri = "<%pri>" if shape & WITH_PRI else ""
    if shape & FORMAT == RFC5424:
        names = ("host", "app", "procid", "msgid", "sd")[: 4 if shape & WITHOUT_SD else 5]
        head = " ".join([time or "-", *(f"%{name}" if name in fields else "-" for name in names)])
        bom = "%bom" if shape & WITH_BOM else ""
        return f"{pri}1 {head}" + (f" {bom}%message" if shape & WITH_MESSAGE else "")
    origin = _HOSTS.get(shape >> HOST_STYLE & 3, "")
    if "host" in fields:
        origin = "%host "
    rest = origin + _TAGS.get(shape >> TAG_STYLE & 7, "") + ("%message" if shape & WITH_MESSAGE else "")
    return f"{pri}{time} {rest}" if time and rest else f"{pri}{time}{rest}"


def _time(shape: int) -> str:
    """Return the item for the time of a shape, or an empty string where it has none."""
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


def parse_template(text: str) -> list[bytes | str | TimeItem]:
    """Return the items of a template in order: literals as bytes, columns and ``pri`` by their names, times.

    Raises ``FormatError`` where it is no template that this version knows.
    """
    found: list[bytes | str | TimeItem] = []
    at = 0
    for match in _ITEM.finditer(text):
        found.append(text[at : match.start()].encode())
        at = match.end()
        if match[5]:
            found.append(_time_item(match[2], match[3] or match[4] or "0", match[5]))
            found.append(b"" if match[2] or match[5].startswith("(") else match[5].encode())
        else:
            found.append(BOM if match[1] == "bom" else match[1])
    found.append(text[at:].encode())
    found = [item for item in found if item != b""]
    if any(isinstance(item, bytes) and b"%" in item for item in found):
        raise FormatError(f"cannot read template {text!r}", "it has an item that this version does not know")
    return found


def _time_item(style: str | None, digits: str, zone: str) -> TimeItem:
    """Return a time from the parts of its item."""
    zone = zone.strip("()")
    minutes = 0 if zone == "Z" else int(zone[1:3]) * 60 + int(zone[4:6])
    kind = next((k for k, name in _BSD.items() if name == style), RFC3339)
    return TimeItem(kind, int(digits), -minutes if zone.startswith("-") else minutes)


# Operations of the prover, and their arguments: a row of ``Program.operations`` has an operation and three of these.
LITERAL: Final = 0  # where it begins in the literals; its length
PRI: Final = 1
TIME: Final = 2  # style; digits of fraction; minutes east of UTC
FIELD: Final = 3  # number of the field (``shape``)


class Program(NamedTuple):
    """Templates as the prover reads them: template c is ``operations[first[c]:first[c + 1]]``.

    operations    int32[m, 4]: an operation and its arguments in each row
    first         int32[k + 1]
    literals      uint8[...]: the bytes of all literals
    """

    operations: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]
    literals: npt.NDArray[np.uint8]


class Templates:
    """A growing list of templates: the code of a shape is its template's place in it.

    texts      the templates
    program    the same for the prover; replaced by ``extend``
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._operations: list[tuple[int, int, int, int]] = []
        self._first = [0]
        self._literals = bytearray()
        self.extend(np.zeros(0, np.int64))

    def extend(self, shapes: npt.NDArray[np.int64]) -> None:
        """Append the templates of these shapes, none of which is 0."""
        for shape in shapes.tolist():
            text = template_of(shape)
            self._operations += [self._operation(item) for item in parse_template(text)]
            self.texts.append(text)
            self._first.append(len(self._operations))
        self.program = Program(
            np.array(self._operations, np.int32).reshape(-1, 4),
            np.array(self._first, np.int32),
            np.frombuffer(bytes(self._literals), np.uint8),
        )

    def _operation(self, item: bytes | str | TimeItem) -> tuple[int, int, int, int]:
        """Return an item as a row of operations."""
        if isinstance(item, TimeItem):
            return TIME, item.style, item.digits, item.minutes
        if isinstance(item, str):
            return (PRI, 0, 0, 0) if item == "pri" else (FIELD, FIELDS[item], 0, 0)
        self._literals += item
        return LITERAL, len(self._literals) - len(item), len(item), 0
