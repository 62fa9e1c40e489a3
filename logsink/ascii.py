"""ASCII characters by name, as integers: kernels compare bytes with these instead of bare numbers.

The names are short forms of those in Unicode's charts. Digits and letters follow one another, so that a range is two
comparisons (``DIGIT_0 <= c <= DIGIT_9``) and a digit's value is ``c - DIGIT_0``. Setting ``CASE_BIT`` makes a capital letter a
small one, clearing it makes a small one a capital.
"""

from __future__ import annotations

from typing import Final

NUL: Final = 0x00
TAB: Final = 0x09
LF: Final = 0x0A
CR: Final = 0x0D
SPACE: Final = 0x20
QUOTE: Final = 0x22  # "
HASH: Final = 0x23
PERCENT: Final = 0x25
OPENING_PARENTHESIS: Final = 0x28
CLOSING_PARENTHESIS: Final = 0x29
ASTERISK: Final = 0x2A
PLUS: Final = 0x2B
COMMA: Final = 0x2C
HYPHEN: Final = 0x2D
DOT: Final = 0x2E
SLASH: Final = 0x2F
DIGIT_0: Final = 0x30
DIGIT_1: Final = 0x31
DIGIT_2: Final = 0x32
DIGIT_7: Final = 0x37
DIGIT_9: Final = 0x39
COLON: Final = 0x3A
LESS_THAN: Final = 0x3C
EQUALS: Final = 0x3D
GREATER_THAN: Final = 0x3E
AT: Final = 0x40
CAPITAL_A: Final = 0x41
CAPITAL_B: Final = 0x42
CAPITAL_D: Final = 0x44
CAPITAL_M: Final = 0x4D
CAPITAL_T: Final = 0x54
CAPITAL_W: Final = 0x57
CAPITAL_Y: Final = 0x59
CAPITAL_Z: Final = 0x5A
OPENING_BRACKET: Final = 0x5B
BACKSLASH: Final = 0x5C
CLOSING_BRACKET: Final = 0x5D
UNDERSCORE: Final = 0x5F
SMALL_A: Final = 0x61
SMALL_D: Final = 0x64
SMALL_E: Final = 0x65
SMALL_F: Final = 0x66
SMALL_H: Final = 0x68
SMALL_T: Final = 0x74
SMALL_W: Final = 0x77
SMALL_X: Final = 0x78
SMALL_Y: Final = 0x79
SMALL_Z: Final = 0x7A
BAR: Final = 0x7C
DELETE: Final = 0x7F

CASE_BIT: Final = 0x20  # set in small letters, clear in capitals
NOT_ASCII: Final = 0x80  # the first value beyond ASCII
