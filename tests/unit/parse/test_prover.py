"""The prover: believes no column, and compares every byte."""

from __future__ import annotations

import numpy as np
import pytest

from logsink.flags import Flag
from logsink.parse.prover import check_date, check_fraction, check_pri, check_time_of_day, prove
from logsink.parse.scanning import NONE
from logsink.parse.shape import (
    BSD,
    BSD_BARE,
    BSD_ZERO,
    RFC5424,
    TIME_DIGITS,
    TIME_KIND,
    TIME_ZONE,
    TIME_ZONE_BIAS,
    WITH_FIELD,
    WITH_MESSAGE,
    WITH_PRI,
    ZULU,
)
from logsink.parse.templates import RFC3339, Templates

MODERN = b'<13>1 2026-02-28T09:15:00.5Z host app 7 ID [x y="z"] text'
PARTS = ["<13>1 2026-02-28T09:15:00.5Z ", "host", " ", "app", " ", "7", " ", "ID", " ", '[x y="z"]', " ", "text"]
EDGES = np.cumsum([len(part) for part in PARTS])[:-1]  # where each field begins and ends, but the message's end
SHAPE = (
    RFC5424 | ZULU << TIME_KIND | 1 << TIME_DIGITS | TIME_ZONE_BIAS << TIME_ZONE | WITH_PRI
    | WITH_MESSAGE | 0b11111 << WITH_FIELD
)  # fmt: skip
PROVED = {
    "data": np.frombuffer(MODERN, np.uint8),
    "offsets": np.array([0, len(MODERN)], np.int32),
    "spans": np.append(EDGES, len(MODERN)).astype(np.int32).reshape(1, 12),
    "time": np.array([1_772_270_100_500_000]),
    "facility": np.array([1], np.int8),
    "severity": np.array([5], np.int8),
    "flags": np.zeros(1, np.int32),
}


def proved(**changed: np.ndarray) -> bool:
    """Tell whether the row of ``MODERN`` is proved with these columns in place of its own.

    Behind another row of the same second, where the prover compares texts of times, the answer is the same.
    """
    columns = {**PROVED, **changed}
    begin = len(MODERN)
    second = {name: np.concatenate([PROVED[name], columns[name]]) for name in columns if name != "offsets"}
    second["spans"][1] += np.int32(begin)
    second["offsets"] = np.concatenate([PROVED["offsets"][:1], columns["offsets"] + np.int32(begin)])
    alone, after = _proved(columns), _proved({name: second[name] for name in columns})
    if columns["offsets"][0] == 0:  # else the row before would be longer
        assert after == [True, *alone]
    return alone[0]


def _proved(columns: dict[str, np.ndarray]) -> list[bool]:
    templates = Templates()
    templates.extend(np.array([SHAPE]))
    rows = len(columns["time"])
    found = []
    for run in (prove, prove.py):
        wire = np.full(rows, 7, np.int32)
        run(*columns.values(), np.zeros(rows, np.int32), *templates.program, wire)
        found.append([code == 0 for code in wire.tolist()])
    assert found[0] == found[1]
    return found[0]


def test_the_prover_believes_no_column() -> None:
    assert proved()
    assert not proved(time=PROVED["time"] + 100_000)
    assert not proved(time=PROVED["time"] + 86_400_000_000)
    assert not proved(time=PROVED["time"] + 1)
    assert not proved(time=PROVED["time"] - 1_000_000)
    assert not proved(facility=np.array([2], np.int8))
    assert not proved(severity=np.array([-1], np.int8))
    assert not proved(flags=np.array([Flag.NOT_UTF8], np.int32))
    for edge in range(12):
        for by in (-1, 1):
            spans = PROVED["spans"].copy()
            spans[0, edge] += by
            assert not proved(spans=spans), edge


def test_the_prover_compares_every_byte() -> None:
    in_fields = {p for start, end in PROVED["spans"].reshape(6, 2) for p in range(start, end)}
    for p in range(len(MODERN)):
        data = PROVED["data"].copy()
        data[p] ^= 1
        assert proved(data=data) == (p in in_fields), p
    assert not proved(offsets=np.array([0, len(MODERN) - 1], np.int32))
    assert not proved(offsets=np.array([1, len(MODERN)], np.int32))


@pytest.mark.parametrize(("value", "text"), [(0, b"0"), (13, b"13"), (191, b"191"), (13, b"13>")])
def test_pri(value: int, text: bytes) -> None:
    assert check_pri.py(text, 0, len(text), value) == len(str(value))


@pytest.mark.parametrize(("value", "text"), [(-1, b"-1"), (13, b"1"), (13, b"31"), (7, b"8"), (191, b"19")])
def test_another_pri(value: int, text: bytes) -> None:
    assert check_pri.py(text, 0, len(text), value) == NONE


@pytest.mark.parametrize(
    ("style", "day", "text"),
    [
        (RFC3339, 5, b"2026-01-05T"),
        (BSD, 5, b"Jan  5 "),
        (BSD, 15, b"Jan 15 "),
        (BSD_ZERO, 5, b"Jan 05 "),
        (BSD_BARE, 5, b"Jan 5 "),
    ],
)
def test_dates(style: int, day: int, text: bytes) -> None:
    frame = text + b"09:15:07"
    assert check_date.py(frame, 0, len(frame), style, 2026, 1, day) == len(text)
    for p in range(len(text)):
        changed = bytearray(frame)
        changed[p] ^= 1
        assert check_date.py(bytes(changed), 0, len(frame), style, 2026, 1, day) == NONE, p
        assert check_date.py(frame, 0, p, style, 2026, 1, day) == NONE, p


def test_times_of_day_and_fractions() -> None:
    assert check_time_of_day.py(b"09:15:07", 0, 8, 33_307) == 8
    assert check_fraction.py(b".25", 0, 3, 250_000, 2) == 3
    for p in range(8):
        changed = bytearray(b"09:15:07")
        changed[p] ^= 1
        assert check_time_of_day.py(bytes(changed), 0, 8, 33_307) == NONE, p
    assert check_time_of_day.py(b"09:15:07", 0, 7, 33_307) == NONE
    for text in (b",25", b".2x", b".26", b".2"):
        assert check_fraction.py(text, 0, len(text), 250_000, 2) == NONE
