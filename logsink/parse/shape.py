"""The shape of a frame: one integer that says which fields it has and what stands between them.

The parser proposes a shape together with the spans of the fields; ``wire`` makes a template of each distinct shape, and the
prover tries it on the frame. 0 proposes nothing: the frame is kept in ``raw``. Bits are of this process only, never stored.
"""

from __future__ import annotations

from typing import Final

HOST: Final = 0


APP: Final = 1


PROCID: Final = 2


MSGID: Final = 3


SD: Final = 4


MESSAGE: Final = 5


SPANS: Final = 12
"""Columns of a row of spans: start and end of each field above; start -1 where there is none."""


FORMAT: Final = 0b11


RFC5424: Final = 1


RFC3164: Final = 2  # RFC 3164 and everything that came before it


TIME_KIND: Final = 2  # position of three bits: a kind of time


NO_TIME: Final = 0  # RFC 5424: `-`


ZULU: Final = 1


OFFSET: Final = 2  # +hh:mm or -hh:mm


MINUS_ZERO: Final = 3  # -00:00


ZONELESS: Final = 4


BSD: Final = 5  # day padded with a space: `Jan  5`


BSD_ZERO: Final = 6  # `Jan 05`


BSD_BARE: Final = 7  # `Jan 5`


TIME_DIGITS: Final = 5  # position of three bits: digits of the fraction


IRREGULAR: Final = 7  # digits of a time that cannot be formatted again as it stood


TIME_ZONE: Final = 8  # position of twelve bits: minutes east of UTC, plus ZONE_BIAS


TIME_ZONE_BIAS: Final = 1440


WITH_PRI: Final = 1 << 20


WITH_MESSAGE: Final = 1 << 21


WITH_BOM: Final = 1 << 22


WITH_FIELD: Final = 23  # position of five bits, one for each of HOST to SD


WITHOUT_SD: Final = 1 << 28  # RFC 5424: the message stands where structured data should


HOST_STYLE: Final = 29  # position of two bits, legacy: what introduces the host


HOST_PLAIN: Final = 0


HOST_NIL: Final = 1  # `-` in place of a host


HOST_FORWARDED: Final = 2  # AIX: `Message forwarded from host: `


HOST_FROM: Final = 3  # AIX: `From host: `


TAG_STYLE: Final = 31  # position of three bits, legacy: what follows the app


NO_TAG: Final = 0


TAG_COLON: Final = 1  # `app:`


TAG_PID_COLON: Final = 2  # `app[procid]:`


TAG_PID: Final = 3  # `app[procid]`


TAG_BARE_COLON: Final = 4  # `:` with nothing before it
