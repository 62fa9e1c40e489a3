"""How a pass describes a frame: the places of its fields (spans), and what stands between them (the shape).

*Spans* are int32[rows, SPANS]. Row i has two columns for each field, where it starts in ``data`` and where it ends; -1
and -1 where the frame does not have the field:

    column    0, 1    2, 3    4, 5      6, 7     8, 9    10, 11
    field     HOST    APP     PROCID    MSGID    SD      MESSAGE        field f: columns 2 * f and 2 * f + 1

A *shape* is one int64. 0 proposes nothing: the frame cannot be made again from its fields and is kept in ``raw``.
Otherwise its bits are, from the lowest:

    bit       name           meaning
    0-1       FORMAT         RFC5424 or RFC3164
    2-4       TIME_KIND      how the time is written: NO_TIME to BSD_BARE
    5-7       TIME_DIGITS    digits of the time's fraction, 0 to 6
    8-19      TIME_ZONE      minutes east of UTC, plus TIME_ZONE_BIAS so that the number is not negative
    20        WITH_PRI       the frame begins with <PRI>
    21        WITH_MESSAGE   there is a message, which may be empty
    22        WITH_BOM       RFC 5424: the message has a byte order mark before it
    23-27     WITH_FIELD     one bit each for HOST, APP, PROCID, MSGID and SD: the field is there and not `-`
    28        WITHOUT_SD     RFC 5424: the message stands where structured data should
    29-30     HOST_STYLE     RFC 3164: what introduces the host: HOST_PLAIN to HOST_FROM
    31-33     TAG_STYLE      RFC 3164: what the tag is made of: NO_TAG to TAG_BARE_COLON

``templates`` makes a template of each distinct shape, and the prover tries that on every frame of the shape. The bits
belong to this process and are never stored.
"""

from __future__ import annotations

from typing import Final

# Fields of a row of spans.
HOST: Final = 0
APP: Final = 1
PROCID: Final = 2
MSGID: Final = 3
SD: Final = 4
MESSAGE: Final = 5
SPANS: Final = 12  # columns of spans

FORMAT: Final = 0b11
RFC5424: Final = 1
RFC3164: Final = 2  # and everything that came before it

# FORMAT is a mask; from here on the name of a part is the position of its lowest bit, and its values stand below it.
TIME_KIND: Final = 2
NO_TIME: Final = 0  # RFC 5424: `-`
ZULU: Final = 1  # RFC 3339 with `Z`
OFFSET: Final = 2  # RFC 3339 with `+hh:mm` or `-hh:mm`
MINUS_ZERO: Final = 3  # RFC 3339 with `-00:00`
ZONELESS: Final = 4  # RFC 3339 without a zone
BSD: Final = 5  # RFC 3164, the day padded with a space: `Jan  5`
BSD_ZERO: Final = 6  # the day padded with a zero: `Jan 05`
BSD_BARE: Final = 7  # the day not padded: `Jan 5`

TIME_DIGITS: Final = 5
IRREGULAR: Final = 7  # as digits: this time cannot be written again as it stood. Kernels use it, no shape has it

TIME_ZONE: Final = 8
TIME_ZONE_BIAS: Final = 1440

# The next three are masks of one bit.
WITH_PRI: Final = 1 << 20
WITH_MESSAGE: Final = 1 << 21
WITH_BOM: Final = 1 << 22

WITH_FIELD: Final = 23
WITHOUT_SD: Final = 1 << 28  # a mask again

HOST_STYLE: Final = 29
HOST_PLAIN: Final = 0  # the host itself, or none
HOST_NIL: Final = 1  # `-` in place of a host
HOST_FORWARDED: Final = 2  # AIX: `Message forwarded from host: `
HOST_FROM: Final = 3  # AIX: `From host: `

TAG_STYLE: Final = 31
NO_TAG: Final = 0
TAG_COLON: Final = 1  # `app:`
TAG_PID_COLON: Final = 2  # `app[procid]:`
TAG_PID: Final = 3  # `app[procid]`
TAG_BARE_COLON: Final = 4  # `:` with nothing before it
