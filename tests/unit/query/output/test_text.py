"""Lines for people."""

from __future__ import annotations

import pytest

from logsink.query.output.text import Cat, Text, Verbose
from tests.unit.query.archives import START, Row, row
from tests.unit.query.output.lines import BERLIN, TIME, output


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"host": "web1", "app": "sshd", "procid": "42", "message": "hello"}, "web1 sshd[42]: hello"),
        ({"host": "web1", "app": "sshd", "message": "hello"}, "web1 sshd: hello"),
        ({"host": "web1", "procid": "42", "message": "hello"}, "web1 [42]: hello"),
        ({"host": "web1", "message": "hello"}, "web1 hello"),
        ({"app": "sshd", "message": "hello"}, "- sshd: hello"),
        ({"message": None}, "- "),
        ({"message": " one space is the protocol's"}, "- one space is the protocol's"),
        ({"message": "  a second is not"}, "-  a second is not"),
        ({"message": "a\tb\nc\r\x1b[31m\x00\x7f"}, r"- a\tb\nc\r\x1b[31m\x00\x7f"),
        ({"message": "\x9b31m \u202eevil\u2066 \u2028"}, r"- \x9b31m \u202eevil\u2066 \u2028"),
        ({"message": "größe — “fine” \\n"}, "- größe — “fine” \\n"),
        ({"host": "a\nb", "app": "c\x1bd", "procid": "\x07", "message": ""}, r"a\nb c\x1bd[\x07]: "),
    ],
)
def test_text(values: Row, line: str) -> None:
    assert output(Text(None), row() | {"time": TIME} | values) == f"2026-11-22 03:12:05.123Z {line}\n"


def test_text_shows_local_time() -> None:
    summer = row(message="s") | {"time": 1_782_880_200_000_000}  # 2026-07-01T04:30:00Z
    assert output(Text(BERLIN), row() | {"time": TIME}, summer) == (
        "2026-11-22 04:12:05.123 - hello\n2026-07-01 06:30:00.000 - s\n"
    )


def test_text_is_coloured_by_severity() -> None:
    lines = output(Text(None, colour=True), *(row(host="h", severity=s) for s in (3, 4, 6, None))).splitlines()
    assert [line[25:] for line in lines] == ["h\x1b[31m hello\x1b[0m", "h\x1b[33m hello\x1b[0m", "h hello", "h hello"]


def test_severity_is_a_letter_too() -> None:
    lines = output(Text(None, marks=True), *(row(host="h", severity=s) for s in (*range(8), None))).splitlines()
    assert [line[25:] for line in lines] == [f"{mark} h hello" for mark in "!!!EWnid-"]


@pytest.mark.parametrize(
    ("expression", "message", "shown"),
    [
        ("root", "for root, root", "for <root>, <root>"),
        ("[0-9]+", "port 22", "port <22>"),
        ("o*", "foo", "f<oo>"),
        ("\x1b", "a\x1bb", "a<\\x1b>b"),
        ("(a)(b)?", "xab", "x<ab>"),
        ("a|b", " ba", "<b><a>"),
        ("x", "\ufdd0x\ufdd1", "\\ufdd0<x>\\ufdd1"),
    ],
)
def test_matches_are_highlighted(expression: str, message: str, shown: str) -> None:
    (line,) = output(Text(None, highlight=expression), row(host="h", message=message)).splitlines()
    assert line[27:] == shown.replace("<", "\x1b[7m").replace(">", "\x1b[27m")


def test_text_of_chosen_fields_has_a_tab_between_them() -> None:
    full = row(host="h", severity=3, facility=4, message=" a\tb", flags=1) | {"time": TIME}
    fields = ("severity", "time", "host", "app", "message", "facility", "flags", "received", "nth")
    assert output(Text(None, fields=fields), full, row(message=None)).splitlines() == [
        "err\t2026-11-22 03:12:05.123Z\th\t-\ta\\tb\tauth\ttruncated\t2026-11-22 00:00:00.000Z\t0",
        "-\t2026-11-22 00:00:00.000Z\t-\t-\t-\t-\t-\t2026-11-22 00:00:00.000Z\t0",
    ]
    coloured = output(Text(None, fields=("host", "message"), colour=True), full)
    assert coloured == "\x1b[31mh\ta\\tb\x1b[0m\n"


def test_cat_is_the_message_alone() -> None:
    assert output(Cat(), row(message=" a\tb"), row(message=None), row(message="")) == " a\tb\n\n\n"
    assert output(Cat(terminal=True), row(message="a\tb\x1b")) == "a\\tb\\x1b\n"


def test_verbose_is_a_block_of_the_columns_that_have_values() -> None:
    columns = ["time", "received", "host", "severity", "facility", "flags", "raw", "message"]
    full = row(host="w", severity=3, facility=4, flags=1, raw=b"\xff", message="a\nb") | {
        "time": TIME,
        "received": None,
    }
    assert output(Verbose(columns, None), full).splitlines() == [
        "2026-11-22T03:12:05.123456Z",
        "    host=w",
        "    severity=err",
        "    facility=auth",
        "    flags=truncated",
        "    raw=/w==",
        "    message=a\\nb",
    ]
    berlin = output(Verbose(["time", "received"], BERLIN), row() | {"time": TIME, "received": START})
    assert berlin == "2026-11-22T04:12:05.123456+01:00\n    received=2026-11-22T01:00:00.000000+01:00\n"


def test_iso_has_the_offset_from_utc() -> None:
    line = output(Text(BERLIN, iso=True), row(message="m") | {"time": TIME})
    assert line == "2026-11-22T04:12:05.123456+01:00 - m\n"


def test_a_time_that_clocks_show_twice_has_its_offset() -> None:
    autumn = [row(message=str(n)) | {"time": 1_792_890_000_000_000 + n * 3_600_000_000} for n in (-2, -1, 0, 1)]
    shown = [line.split(" ")[1] for line in output(Text(BERLIN), *autumn).splitlines()]
    assert shown == ["01:00:00.000", "02:00:00.000+02:00", "02:00:00.000+01:00", "03:00:00.000"]


def test_chosen_fields_that_are_missing() -> None:
    fields = ["received", "host", "message"]
    assert output(Text(None, fields=fields), row(message=None, received=None)) == "-\t-\t-\n"
