"""Messages to patterns, by the kernel and by plain Python."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.query.views.patterns import to_patterns
from tests.support.forms import running


@pytest.mark.usefixtures("either_form")
@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("Accepted publickey for root from 10.0.0.7 port 50022 ssh2", "Accepted publickey for root from * port * ssh2"),
        ("id 550e8400-e29b-41d4-a716-446655440000 gone", "id * gone"),
        ("2026-11-22T03:12:05.123Z x", "* x"),
        ("[2001:db8::1]:514", "[*::*]:*"),
        ("key AAAAC3NzaC1lZDI1 SHA256 v2", "key * SHA256 v2"),
        ("dead beef 0xff c0ffee", "dead beef * *"),
        ("a1", "*"),
        ("web-101.prod", "web-*.prod"),
        ("at R16-M1-ND-C:J13-U01: x", "at *: x"),
        ("R74-M0-N1 R74-M0-N1 /lib/x86_64/v2/ssh2-b ssh2", "* * /lib/x86_*/v2/ssh2-b ssh2"),
        ("12:R1-M2-x-", "*-"),
        ("größe 7 ✓", "größe * ✓"),
        ("", ""),
        (None, None),
    ],
)
def test_patterns_of_messages(message: str | None, pattern: str | None) -> None:
    assert to_patterns(pa.array(["x", message, "y"])).to_pylist() == ["x", pattern, "y"]
    assert to_patterns(pa.array(["x 1", message, "y"]).slice(1)).to_pylist() == [pattern, "y"]


@given(st.lists(st.one_of(st.none(), st.text(), st.text("a1f-: ."))))
def test_patterns_are_shorter_and_stay(messages: list[str | None]) -> None:
    with running(compiled=False):
        found = to_patterns(pa.array(messages, pa.string()))
    found.validate(full=True)
    assert found.null_count == messages.count(None)
    for message, pattern in zip(messages, found.to_pylist(), strict=True):
        assert pattern is None if message is None else len(pattern) <= len(message)
