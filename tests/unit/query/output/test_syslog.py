"""Rows as syslog messages."""

from __future__ import annotations

import pytest

from logsink.query.output import syslog
from logsink.query.output.syslog import Raw, Syslog
from tests.unit.query.archives import row
from tests.unit.query.output.lines import TIME, output


def test_raw_is_the_frame_with_lf_or_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog, "raw_frames", lambda rows: rows.column("raw").chunk(0))
    rows = [row(raw=b"<13>a"), row(raw="<13>é\nb".encode())]
    assert output(Raw(), *rows) == "<13>a\n<13>é\nb\n"
    assert output(Raw(octet_counted=True), *rows) == "5 <13>a8 <13>é\nb"


FULL = {"host": "web1", "app": "sshd", "procid": "42", "msgid": "M", "facility": 4, "severity": 3}


def test_syslog_is_rfc_5424() -> None:
    full = row(**FULL, structured_data='[a b="c"]', message="hello") | {"time": TIME}
    assert output(Syslog(), full) == '<35>1 2026-11-22T03:12:05.123456Z web1 sshd 42 M [a b="c"] hello\n'
    assert output(Syslog(), row(message=None) | {"time": TIME}) == "<13>1 2026-11-22T03:12:05.123456Z - - - - -\n"


def test_what_ends_a_line_is_written_as_rsyslog_does_or_kept_where_lengths_are_counted() -> None:
    messages = ["a\nb", "a\0", "a\r", "a\rb"]
    lines = output(Syslog(), *(row(message=message) for message in messages)).split("\n")[:-1]
    assert [line.partition(" - - - - - ")[2] for line in lines] == ["a#012b", "a#000", "a#015", "a\rb"]
    counted = output(Syslog(octet_counted=True), row(message="a\n"))
    length, _, frame = counted.partition(" ")
    assert int(length) == len(frame)
    assert frame.endswith(" a\n\n")


def test_syslog_on_a_terminal_is_harmless() -> None:
    assert output(Syslog(terminal=True), row(message="\x1b[31m")).endswith(" \\x1b[31m\n")
