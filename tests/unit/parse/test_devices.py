"""What network devices put where a program would put a tag: each mark and key, and what merely looks like one."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from logsink.parse.devices import (
    TIME_INFERRED,
    is_event,
    is_host,
    is_mnemonic,
    is_model,
    is_serial,
    is_task,
    is_uptime,
    read_epoch_value,
    read_pairs,
    read_preface,
    skip_bracket,
    skip_counter,
    skip_marks,
    skip_node,
)
from logsink.parse.scanning import NONE
from logsink.parse.shape import HOST, SPANS
from logsink.parse.times import ZONE_ASSUMED

RECEIVED = 1_795_867_200_000_000  # 2026-11-28T12:00:00Z
NO_ZONE = np.zeros(1, np.int64)


def whole(kernel, text: str, *more: object) -> object:
    return kernel.py(text.encode(), 0, len(text), *more)


@pytest.mark.parametrize(
    ("text", "hashed", "found"),
    [
        ("%SYS-5-CONFIG: x", False, True),
        ("%ASA-6-302015:", False, True),
        ("#A-1-B: x", True, True),
        ("#A-1-B: x", False, False),
        ("%A-8-B: x", False, False),
        ("%A-1-B x", False, False),
        ("%A-1:", False, False),
        ("x", False, False),
        ("", False, False),
    ],
)
def test_mnemonics(text: str, hashed: bool, found: bool) -> None:
    assert whole(is_mnemonic, text, hashed) == found


def test_names() -> None:
    assert all(whole(is_host, text) for text in ("r1", "10.0.0.1", "2001:db8::1", "a_b"))
    assert not any(whole(is_host, text) for text in ("", "#ILO", "*task", "a=b", "a|b", '"a"', "0-PPE-0"))
    assert all(whole(is_uptime, text) for text in ("1w2d", "00:12:34", "3y1w"))
    assert not any(whole(is_uptime, text) for text in ("", "w2d", "r1"))
    assert whole(is_task, "*spamApTask0: x")
    assert not any(whole(is_task, text) for text in ("spamApTask0: x", "*spamApTask0 x", "*spamApTask0:"))


def test_counters_and_nodes() -> None:
    assert whole(skip_counter, "643: x") == 5
    assert all(whole(skip_counter, text) == NONE for text in ("643:x", "643", ": x", "a: x"))
    assert whole(skip_node, "RP/0/RSP0/CPU0:x") == 15
    assert all(whole(skip_node, text) == NONE for text in ("RP/0:x", "rp/0/0:x", "RP/0/RSP0/CPU0"))


def test_marks() -> None:
    assert whole(is_event, "00077")
    assert not any(whole(is_event, text) for text in ("10077", "0077", "0007a"))
    assert whole(is_model, "788a20abcdef,U6-Pro-6.6.55+15189:")
    assert whole(is_model, "U7PG2,788a20abcdef,v4.3.21:")
    assert not any(
        whole(is_model, t)
        for t in ("788a20abcde,U6-Pro-6.6:", "788a20abcdef,U6", "788a20abcdef,U6=1:", "a:b,788a20abcdef:")
    )
    assert is_serial.py(b"80F90AB12345 (", 0, 12, 14)
    assert not is_serial.py(b"80F90AB12345 [", 0, 12, 14)
    assert not is_serial.py(b"80f90ab12345 (", 0, 12, 14)
    assert whole(skip_bracket, "(2026-11-28T11:00:00) x") == 21
    assert whole(skip_bracket, "[2026-11-28T11:00:00] x") == 21
    assert whole(skip_bracket, '("U7PG2,788a20,v4.0") x') == 21
    assert all(whole(skip_bracket, t) == NONE for t in ("(x) y", "(12) y", "(2026-11-28T11:00:00", "2026", "("))


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("info tmm1[12345]: x", "tmm1[12345]: x"),
        ("notice sshd: x", "sshd: x"),
        ("00077 ports: x", "ports: x"),
        ("80F90AB12345 (2026-11-28T11:00:00) firewall: x", "firewall: x"),
        ("788a20abcdef,U6-Pro-6.6.55+15189: hostapd[2030]: x", "hostapd[2030]: x"),
        ('("U7PG2,788a20,v4.0"): kernel: x', "kernel: x"),
        ("info disk: full", None),
        ("info", None),
        ("00077 ports", None),
        ("word app: x", None),
    ],
)
def test_the_tag_behind_marks(text: str, tag: str | None) -> None:
    at = whole(skip_marks, text)
    assert (None if at == NONE else text[at:]) == tag


@pytest.mark.parametrize(
    ("text", "rest", "host"),
    [
        ("45: r1: 000045: *Nov 28 11:00:00: %SYS-5-X: x", "%SYS-5-X: x", "r1"),
        ("2345: asr9k-1 RP/0/RSP0/CPU0:Nov 28 12:00:00.1 : ifmgr[2]: x", "ifmgr[2]: x", "asr9k-1"),
        ("wlc1: *spamApTask0: Nov 28 12:00:00.1: %CAPWAP-3-X: x", "%CAPWAP-3-X: x", "wlc1"),
        (": Nov 28 12:00:00: %SYS-5-X: x", "%SYS-5-X: x", None),
        ("45: 1w2d: %SYS-5-X: x", "%SYS-5-X: x", None),
        ("45: word x", None, None),
        ("word x", None, None),
    ],
)
def test_what_cisco_puts_before_a_mnemonic(text: str, rest: str | None, host: str | None) -> None:
    spans = np.full((1, SPANS), -1, np.int32)
    at, _, _ = whole(read_preface, text, True, RECEIVED, NO_ZONE, 2, spans, 0)
    assert (None if at == NONE else text[at:]) == rest
    if rest:
        start, end = spans[0, 2 * HOST], spans[0, 2 * HOST + 1]
        assert (None if start < 0 else text[start:end]) == host


@pytest.mark.parametrize(
    ("text", "time", "host", "flags"),
    [
        ('date=2026-11-28 time=11:30:00 tz="+0100" devname="fw 1" x=1', "2026-11-28T10:30:00Z", "fw 1", 0),
        ("date=2026-11-28 time=11:30:00 devname=fw", "2026-11-28T11:30:00Z", "fw", ZONE_ASSUMED),
        ("eventtime=1795867200 devname=fw", "2026-11-28T12:00:00Z", "fw", 0),
        ("eventtime=1795867200123 x=1", "2026-11-28T12:00:00.123Z", None, 0),
        ('timestamp="2026-11-28T11:30:00Z", device_name="a\\"b"', "2026-11-28T11:30:00Z", 'a\\"b', 0),
        ('time="2026-11-28 11:30:00 UTC" fw=10.0.0.1', "2026-11-28T11:30:00Z", "10.0.0.1", 0),
        ("devname=fw x=1", None, "fw", TIME_INFERRED),
    ],
)
def test_pairs_of_firewalls(text: str, time: str | None, host: str | None, flags: int) -> None:
    found, at, seen, start, end = whole(read_pairs, text, RECEIVED, NO_ZONE)
    assert found
    expected = RECEIVED if time is None else round(datetime.fromisoformat(time).astimezone(UTC).timestamp() * 1e6)
    assert (at, seen) == (expected, flags)
    assert (None if start == NONE else text[start:end]) == host


@pytest.mark.parametrize(
    "text", ["", "word", "x=1 y=2", "devname=fw", "eventtime=1795867200", "=1", "date=2026-11-28 x=1"]
)
def test_pairs_of_nobody(text: str) -> None:
    assert whole(read_pairs, text, RECEIVED, NO_ZONE)[0] is False


def test_units_of_times_since_the_epoch() -> None:
    for digits in ("1795867200", "1795867200000", "1795867200000000", "1795867200000000999"):
        assert whole(read_epoch_value, digits) == RECEIVED
    assert whole(read_epoch_value, "17958672001") == NONE
    assert whole(read_epoch_value, "179586720x") == NONE
