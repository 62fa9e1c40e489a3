"""Rows as JSON objects."""

from __future__ import annotations

import json

from logsink.flags import Flag
from logsink.query.output.json_lines import Json, JsonPretty
from tests.unit.query.archives import START, row
from tests.unit.query.output.lines import TIME, output


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


def test_json_without_time_first_and_with_bytes() -> None:
    assert output(Json(["host", "raw"]), row(host="h", raw=b"\xff"), row(raw=None)) == '{"host":"h","raw":"/w=="}\n{}\n'


def test_json_pretty_is_the_same_object_indented() -> None:
    shown = output(JsonPretty(["host", "message"]), row(host="h", message="\u202e"))
    assert shown == '{\n  "host": "h",\n  "message": "\\u202e"\n}\n'
