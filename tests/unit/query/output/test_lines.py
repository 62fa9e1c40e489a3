"""Rows as output."""

from __future__ import annotations

import io
import json
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from logsink.flags import Flag
from logsink.query.columns import as_rows
from logsink.query.output import lines as rendering
from logsink.query.output.lines import Cat, Json, Raw, Renderer, Text, render
from logsink.query.output.timestamps import local, stamps
from tests.unit.query.archives import START, Row, row, table

BERLIN = ZoneInfo("Europe/Berlin")
TIME = START + 11_525_123_456  # 2026-11-22T03:12:05.123456Z


def output(renderer: Renderer, *rows: Row) -> str:
    sink = io.BytesIO()
    for part in render(renderer, as_rows(table(rows), renderer.columns)):
        sink.write(part)
    return sink.getvalue().decode()


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


def test_json_leaves_out_nulls_and_keeps_the_order_of_the_schema() -> None:
    full = row(
        host="w",
        app='a"b',
        procid="1",
        msgid="M",
        facility=1,
        severity=0,
        message=" x\ty\\z\x1b é",
        structured_data='[a b="c"]',
        environment="prod",
        role="web",
        deploy="d1",
        instance="i",
        sender="10.0.0.1",
        identity="CN=x",
        transport="tls",
        wire="w",
        raw=b"r",
        flags=int(Flag.TRUNCATED | Flag.NOT_UTF8),
    )
    assert output(Json(), full | {"time": TIME}) == (
        '{"time":"2026-11-22T03:12:05.123456Z","received":"2026-11-22T00:00:00.000000Z","nth":0,"host":"w","app":"a\\"b",'
        '"procid":"1","msgid":"M","facility":1,"severity":0,"structured_data":"[a b=\\"c\\"]","message":" x\\ty\\\\z\\u001b é",'
        '"environment":"prod","role":"web","deploy":"d1","instance":"i","sender":"10.0.0.1","identity":"CN=x","transport":"tls",'
        '"receiver":"r1","flags":["truncated","not_utf8"]}\n'
    )
    bare = {"time": TIME, "flags": 0, "message": ""}
    assert output(Json(), bare) == '{"time":"2026-11-22T03:12:05.123456Z","message":"","flags":[]}\n'


def test_json_of_nulls_beside_values() -> None:
    lines = output(Json(), {"time": TIME, "received": START, "severity": 3, "nth": 7}, {"time": TIME}).splitlines()
    assert [sorted(json.loads(line)) for line in lines] == [["nth", "received", "severity", "time"], ["time"]]


def test_cat_is_the_message_alone() -> None:
    assert output(Cat(), row(message=" a\tb"), row(message=None), row(message="")) == " a\tb\n\n\n"
    assert output(Cat(terminal=True), row(message="a\tb\x1b")) == "a\\tb\\x1b\n"


def test_raw_is_the_frame_with_lf_or_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "raw_frames", lambda rows: rows.column("raw").chunk(0))
    rows = [row(raw=b"<13>a"), row(raw="<13>é\nb".encode())]
    assert output(Raw(), *rows) == "<13>a\n<13>é\nb\n"
    assert output(Raw(octet=True), *rows) == "5 <13>a8 <13>é\nb"


def test_large_tables_are_rendered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_BYTES", 500)
    rows = [row(i, message=f"message {i}") for i in range(100)]
    content = as_rows(table(rows), Text(None).columns)
    parts = list(render(Text(None), content))
    assert len(parts) > 5
    assert b"".join(parts).decode().splitlines() == output(Text(None), *rows).splitlines()
    assert len(b"".join(parts).splitlines()) == 100


def test_nothing_renders_to_nothing() -> None:
    assert output(Text(None)) == ""
    assert output(Json()) == ""


def test_stamps_before_the_epoch_and_far_from_each_other() -> None:
    instants = np.array([-1, 0, 253_402_300_799_999_999, -62_135_596_800_000_000], np.int64)
    assert stamps(instants, "[{date}|{clock}.{milli}{micro}]").to_pylist() == [
        "[1969-12-31|23:59:59.999999]",
        "[1970-01-01|00:00:00.000000]",
        "[9999-12-31|23:59:59.999999]",
        "[0001-01-01|00:00:00.000000]",
    ]


def test_local_time_follows_the_zone_at_each_instant() -> None:
    around = np.array(
        [1_792_889_999_999_999, 1_792_890_000_000_000], np.int64
    )  # the end of summer time, 2026-10-25T01:00Z
    assert stamps(local(around, BERLIN), "{clock}").to_pylist() == ["02:59:59", "02:00:00"]
    beyond = np.array([1 << 61], np.int64)
    assert local(beyond, BERLIN).tolist() == beyond.tolist()
