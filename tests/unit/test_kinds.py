"""How values are written: what is read, what is refused, and that both directions agree."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.characters import harmless
from logsink.errors import ArgumentError
from logsink.kinds import (
    PATH,
    SWITCH,
    Address,
    format_duration,
    format_size,
    parse_address,
    parse_duration,
    parse_size,
    parse_span,
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
    ("text", "size"),
    [("0B", 0), ("512B", 512), ("128KiB", 131_072), ("16MiB", 1 << 24), ("1GiB", 1 << 30), ("2TiB", 1 << 41)],
)
def test_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "16", "16MB", "16M", "1.5GiB", "-1B", "16 MiB", "16mib", "MiB", f"{'9' * 5000}B"])
def test_not_a_size(text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_size(text)
    assert caught.value.hint


def test_decimal_size_is_answered_with_the_binary_one() -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_size("16MB")
    assert caught.value.hint == "write 16MiB"


@given(st.integers(0, 1 << 50))
def test_size_round_trip(size: int) -> None:
    assert parse_size(format_size(size)) == size


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
    "text", ["", "514", "localhost", "localhost:", "::1:514", "[::1]", "a:65536", "a:-1", "a b:1", "a:1:2"]
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
