"""What stands behind the time of RFC 3164, by both versions of the parsing rules."""

from __future__ import annotations

import numpy as np
import pytest

from logsink.parse.rfc3164 import read_rfc3164
from logsink.parse.shape import SPANS

RECEIVED = 1_795_867_200_000_000  # 2026-11-28T12:00:00Z
NO_ZONE = np.zeros(1, np.int64)
BOTH = (1, 2)


@pytest.mark.parametrize(
    ("text", "rules", "host", "app", "procid", "message"),
    [
        ("h app[12]: text", BOTH, "h", "app", "12", " text"),
        ("h app: text", BOTH, "h", "app", None, " text"),
        ("h text", BOTH, "h", None, None, "text"),
        ("- app: text", BOTH, None, "app", None, " text"),
        ("app: text", BOTH, None, "app", None, " text"),
        ("2001:db8::1 app: text", BOTH, "2001:db8::1", "app", None, " text"),
        ("h  app[12]: text", BOTH, "h", "app", "12", " text"),
        ("h  error: text", BOTH, "h", None, None, " error: text"),
        (" h app: text", BOTH, "h", "app", None, " text"),
        ("word", BOTH, None, None, None, "word"),
        ("-", BOTH, None, None, None, None),
        ("", BOTH, None, None, None, ""),
        ("last message repeated 2 times", BOTH, None, None, None, "last message repeated 2 times"),
        ("Message forwarded from h: app: text", BOTH, "h", "app", None, " text"),
        ("From h: app[12]: text", BOTH, "h", "app", "12", " text"),
        ("h : %ASA-6-302015: text", BOTH, "h", "%ASA-6-302015", None, " text"),
        ("a=b app: text", (1,), "a=b", "app", None, " text"),
        ("a=b app: text", (2,), None, None, None, "a=b app: text"),
        ("h\tapp: text", (2,), "h", "app", None, " text"),
        ("h\ttext", (2,), "h", None, None, "text"),
        ("h \tat a.b.C", (2,), "h", None, None, "\tat a.b.C"),
        ("h info sshd: text", (1,), "h", None, None, "info sshd: text"),
        ("h info sshd: text", (2,), "h", "sshd", None, " text"),
        ("h 45: Nov 28 11:00:00: %SYS-5-X: text", (2,), "h", "%SYS-5-X", None, " text"),
        ("h app: \ufefftext", (2,), "h", "app", None, "text"),
        ("h \ufeffapp: text", (2,), "h", "app", None, " text"),
    ],
)
def test_fields(
    text: str, rules: tuple[int, ...], host: str | None, app: str | None, procid: str | None, message: str | None
) -> None:
    data = b" " + text.encode()  # one byte is looked at before it
    for version in rules:
        spans = np.full((1, SPANS), -1, np.int32)
        read_rfc3164.py(data, 1, len(data), RECEIVED, NO_ZONE, version, spans, 0)
        found = [None if start < 0 else data[start:end].decode() for start, end in spans.reshape(-1, 2).tolist()]
        assert [*found[:3], found[5]] == [host, app, procid, message], version
