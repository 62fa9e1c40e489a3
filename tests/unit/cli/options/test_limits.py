"""Limits are digits, or "all"."""

from __future__ import annotations

import pytest

from logsink.cli.options.limits import limit_of
from logsink.errors import ArgumentError


def test_limits() -> None:
    assert (limit_of("all"), limit_of("0"), limit_of("0", follow=True), limit_of("12")) == (None, None, 0, 12)
    for text in ("", "-1", "many", "²", "1" * 19):
        with pytest.raises(ArgumentError):
            limit_of(text)
