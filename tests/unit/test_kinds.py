"""How values are written: what is read, what is refused, and that both directions agree."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.characters import harmless
from logsink.config import SETTINGS
from logsink.errors import ArgumentError
from logsink.kinds import (
    CLIENT_AUTH,
    PATH,
    PRICE,
    SWITCH,
    Address,
    Kind,
    count,
    duration,
    format_duration,
    format_size,
    parse_address,
    parse_duration,
    parse_size,
    parse_span,
    size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("0s", 0.0),
        ("60s", 60.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("30d", 2_592_000.0),
        ("2w", 1_209_600.0),
        ("1w2d3h4m5s6ms", 788_645.006),
        ("90m", 5400.0),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "20", "1.5s", "-1s", "30m1h", "1h1h", "1 h", "5M", "1y", "s", "1h30", " 1s", "1s\n", f"{'9' * 400}s"]
)
def test_not_a_duration(text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("10 min", 600), ("1hour", 3600), ("1 hour 30 minutes", 5400), ("1 hour, 30 min", 5400), ("2 days", 172_800)),
        *(("1.5h", 5400), ("30S", 30), ("an hour", 3600), ("2 weeks and 1 day", 1_296_000), ("250 msec", 0.25)),
        *(("1w2d3h4m5s6ms", 788_645.006), ("0s", 0)),
    ],
)
def test_a_span_as_people_type_it(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "20", "-1s", "30m1h", "1h1h", "5M", "1 month", "s", "1h30", "1s ago", "hour", "a few", f"{'9' * 400}s"]
)
def test_not_a_span(text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_span(text)
    assert repr(text) in str(caught.value)
    assert caught.value.hint


@given(st.integers(0, 10**13))
def test_duration_round_trip(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("0B", 0), ("512B", 512), ("128KiB", 131_072), ("16MiB", 1 << 24), ("1GiB", 1 << 30), ("2TiB", 1 << 41)],
)
def test_size(text: str, nbytes: int) -> None:
    assert parse_size(text) == nbytes


@pytest.mark.parametrize("text", ["", "16", "16MB", "16M", "1.5GiB", "-1B", "16 MiB", "16mib", "MiB", f"{'9' * 5000}B"])
def test_not_a_size(text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_size(text)
    assert caught.value.hint


def hint_of(kind: Kind[Any], raw: object) -> str:
    with pytest.raises(ArgumentError) as caught:
        kind.value(raw)
    return caught.value.hint


@pytest.mark.parametrize(
    ("kind", "raw", "hint"),
    [
        (duration("1d", "36500d"), "90", "write 90h, 90d or 90w, within 1d to 36500d"),
        (duration("1d", "36500d"), 0, "write a duration from 1d to 36500d, such as 30d"),
        (duration("1d", "36500d"), "soon", "write a duration from 1d to 36500d, such as 30d"),
        (duration("0s", "1m"), "0", "write 0s, within 0s to 1m"),
        (duration("0s", "1m"), 20, "write 20ms or 20s, within 0s to 1m"),
        (duration("1s", "1h"), "9" * 30, "write a duration from 1s to 1h, such as 60s or 5m"),
        (duration("1s", "1h"), True, "write a duration from 1s to 1h, such as 60s or 5m"),
        (size("32MiB", "1TiB"), 64, "write 64MiB or 64GiB, within 32MiB to 1TiB"),
        (size("1MiB", "1GiB"), "16MB", "write 16MiB, within 1MiB to 1GiB"),
        (size("32MiB", "1TiB"), "16MB", "write a size from 32MiB to 1TiB, such as 1GiB"),
        (size("0B", "1TiB"), 0, "write 0B, within 0B to 1TiB"),
        (count(1, 256), "two", "write a whole number from 1 to 256"),
        (count(1, 256), [], "write a whole number from 1 to 256"),
        (count(1, 256), "1000000000000000000", "write 256 or less"),
        (count(1, 256), "9" * 5000, "write 256 or less"),
        (PRICE, "1000000.5", "write 1000000 or less"),
        (PRICE, "-1", "write dollars from 0 to 1000000, such as 0.023"),
        (SWITCH, [], "write true or false"),
        (CLIENT_AUTH, False, "write none, optional or required"),
        (PATH, ["a"], "write one path, in quotes"),
    ],
)
def test_what_is_offered_is_accepted_there(kind: Kind[Any], raw: object, hint: str) -> None:
    assert hint_of(kind, raw) == hint


@pytest.mark.parametrize("key", [key for key, setting in SETTINGS.items() if setting.kind.name in ("duration", "size")])
@pytest.mark.parametrize("text", ["", "0", "7", "90", "3600", "1048576", "16MB", "soon"])
def test_every_amount_in_a_hint_is_within_the_limits(key: str, text: str) -> None:
    kind = SETTINGS[key].kind
    offered = re.findall(r"\b(?:\d+[a-zA-Z]+)+", hint_of(kind, text))
    assert len(offered) > 2
    for one in offered:
        kind.value(one)


@pytest.mark.parametrize(
    ("raw", "shown"), [(0.00001, "0.00001"), ("0.023", "0.023"), (1_000_000, "1000000"), (2.5, "2.5"), ("0", "0")]
)
def test_price(raw: object, shown: str) -> None:
    assert PRICE.toml(PRICE.value(raw)) == shown


@pytest.mark.parametrize("text", ["90d", "14d", "36500d", "8d1h"])
def test_days_are_shown_as_days(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@given(st.integers(0, 1 << 50))
def test_size_round_trip(nbytes: int) -> None:
    assert parse_size(format_size(nbytes)) == nbytes


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5514", Address("127.0.0.1", 5514)),
        ("[::1]:514", Address("::1", 514)),
        ("[::]:0", Address("::", 0)),
        ("logs.example.com:65535", Address("logs.example.com", 65535)),
    ],
)
def test_address(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "514",
        "localhost",
        "localhost:",
        "::1:514",
        "[::1]",
        "a:65536",
        "a:-1",
        "a b:1",
        "a:1:2",
        "a..b:1",
        f"{'a' * 64}:1",
    ],
)
def test_not_an_address(text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_address(text)
    assert "HOST:PORT" in caught.value.hint


def test_address_without_host_is_told_both_meanings() -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_address(":514")
    assert "0.0.0.0:514" in caught.value.hint
    assert "[::]:514" in caught.value.hint


@pytest.mark.parametrize(("raw", "value"), [(True, True), (False, False), ("true", True), ("false", False)])
def test_switch(raw: object, value: bool) -> None:
    assert SWITCH.value(raw) is value
    assert SWITCH.toml(value) == str(value).lower()


@pytest.mark.parametrize("raw", ["yes", "1", 1, "True", "", []])
def test_no_switch(raw: object) -> None:
    with pytest.raises(ArgumentError):
        SWITCH.value(raw)


@pytest.mark.parametrize("text", ['say "hi" \\ there', "a\u202eb", "\x1b[31m", "\u115f", "\U000e0041", "größe"])
def test_a_text_is_shown_as_toml_reads_it(text: str) -> None:
    shown = PATH.toml(text)
    assert tomllib.loads(f"a = {shown}")["a"] == text
    assert harmless(shown) == shown
