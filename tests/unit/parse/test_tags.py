"""Which words are a tag, and which are addresses."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.parse.shape import NO_TAG, TAG_BARE_COLON, TAG_COLON, TAG_PID, TAG_PID_COLON
from logsink.parse.tags import find_tag, is_address


@pytest.mark.parametrize(
    ("text", "kind", "app", "procid", "rest"),
    [
        ("app: text", TAG_COLON, "app", "", " text"),
        ("app:", TAG_COLON, "app", "", ""),
        ("app[12]: text", TAG_PID_COLON, "app", "12", " text"),
        ("app[12] text", TAG_PID, "app", "12", " text"),
        ("app[12]", TAG_PID, "app", "12", ""),
        (": text", TAG_BARE_COLON, "", "", " text"),
        ("a::b: text", TAG_COLON, "a::b", "", " text"),
        ("sshd:Accepted", TAG_COLON, "sshd", "", "Accepted"),
        ("slice:app[12]: text", TAG_PID_COLON, "slice:app", "12", " text"),
        ("a-name-that-rsyslog-cut[123456789 text", NO_TAG, "", "", None),
        ("a-name-that-was-cut[123456789012 text", TAG_PID, "a-name-that-was-cut", "123456789012", " text"),
        ("word text", NO_TAG, "", "", None),
        ("app[]: text", NO_TAG, "", "", None),
        ("[12]: text", NO_TAG, "", "", None),
        ("app[1[2]: text", NO_TAG, "", "", None),
        ("CEF:0|a", NO_TAG, "", "", None),
        ("localhost:80 text", NO_TAG, "", "", None),
        ("https://example.com text", NO_TAG, "", "", None),
        ("c:\\windows text", NO_TAG, "", "", None),
        ("fe80::1 text", NO_TAG, "", "", None),
        ("a,b:text", NO_TAG, "", "", None),
        ("9a:text", NO_TAG, "", "", None),
        ("", NO_TAG, "", "", None),
    ],
)
def test_tags(text: str, kind: int, app: str, procid: str, rest: str | None) -> None:
    data = text.encode()
    for run in (find_tag.py,):
        end, found, app_end, procid_end = run(data, 0, len(data))
        assert found == kind
        if kind != NO_TAG:
            assert text[:app_end] == app
            assert text[app_end + 1 : procid_end] == procid
            assert text[end:] == rest
        else:
            assert end == 0


@given(st.ip_addresses(v=6))
def test_every_ipv6_address_is_one(address: ipaddress.IPv6Address) -> None:
    for text in (str(address), address.exploded, f"{address}%eth0"):
        assert is_address.py(text.encode(), 0, len(text))


@pytest.mark.parametrize("text", ["::ffff:192.0.2.1", "00:11:22:aa:bb:cc", "::", "1::"])
def test_other_addresses(text: str) -> None:
    assert is_address.py(text.encode(), 0, len(text))


@pytest.mark.parametrize(
    "text", ["", "host", "1:2", "1::2::3", "12345::", "::1.2", "::1%", "00:11:22:aa:bb", "1:2:3:4:5:6:7:8:9"]
)
def test_what_is_no_address(text: str) -> None:
    assert not is_address.py(text.encode(), 0, len(text))
