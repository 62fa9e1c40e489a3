"""Templates: the text of every shape can be read, and later versions' are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.errors import FormatError
from logsink.parse.shape import BSD, BSD_ZERO, IRREGULAR, NO_TIME, TIME_KIND, TIME_ZONE, TIME_ZONE_BIAS, WITH_PRI
from logsink.parse.templates import TimeItem, parse_template, template_of


def test_the_items_of_a_template() -> None:
    assert parse_template("<%pri>1 %time{6,-03:30} %host - %bom%message") == [
        b"<", "pri", b">1 ", TimeItem(0, 6, -210), b"-03:30", b" ", "host", b" - ", b"\xef\xbb\xbf", "message",
    ]  # fmt: skip
    assert parse_template("%time{bsd,+01:00} %app[%procid]:") == [
        TimeItem(BSD, 0, 60),
        b" ",
        "app",
        b"[",
        "procid",
        b"]:",
    ]
    assert parse_template("%time{bsd0.3,+00:00}") == [TimeItem(BSD_ZERO, 3, 0)]
    assert parse_template("%time{0,(+01:00)}") == [TimeItem(0, 0, 60)]
    assert parse_template("") == []


@pytest.mark.parametrize("text", ["%user", "%time{7,Z}", "%time{bsd}", "100%", "%time{6,CET}"])
def test_a_template_of_a_later_version_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="cannot read template"):
        parse_template(text)


@given(st.integers(1, (1 << 34) - 1))
def test_every_shape_has_a_template_that_can_be_read(shape: int) -> None:
    if shape & 3 == 3 or shape >> 5 & 7 == IRREGULAR:
        return
    minutes = (shape >> TIME_ZONE & 0xFFF) - TIME_ZONE_BIAS
    if shape >> TIME_KIND & 7 != NO_TIME and abs(minutes) > 1440:
        return
    text = template_of(shape)
    assert (parse_template(text)[:2] == [b"<", "pri"]) == bool(shape & WITH_PRI)
