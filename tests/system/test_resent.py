"""What ``-o syslog`` writes, sent again, by a plain connection and by rsyslogd; first, util-linux's logger sent some of it."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from logsink.query.output.syslog import Syslog
from tests.support.programs import require
from tests.support.receiver import Receiver, query
from tests.support.rsyslog import SYSLOG23, Rsyslog, tcp

FRAMES = (
    b"<34>1 2003-10-11T22:14:15.003000Z mymachine.example.com su 77 ID47 - 'su root' failed on /dev/pts/8",
    b'<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [exampleSDID@32473 iut="3" q="a \\"b\\" \\] \\\\"][x@1 k=""] An event',
    b"<0>1 2026-11-22T03:12:05.123456+05:30 h a p m [id@1] ",
    b"<191>1 2026-11-22T03:12:05Z - - - - -",
    b"<13>Nov 22 03:12:05 host tag[42]:  two spaces, 100% \\n #012",
    b"<14>1 2026-11-22T03:12:05Z h a - - - \xef\xbb\xbfgr\xc3\xb6\xc3\x9fer \xf0\x9f\xa6\x80 \xe2\x80\xae \x1b[31m\ttab",
    b"<14>1 2026-11-22T03:12:05Z h a - - - bytes \xff\xfe end",
    b"<14>1 2026-11-22T03:12:05Z h a - - - - dash",
)
LINES = (
    b"<11>1 2026-11-22T03:12:06Z h java - - - boom\n\tat a.B.c(B.java:7)\n\nCaused by: x",
    b"<11>1 2026-11-22T03:12:06Z h java - - - ends with LF\n\n",
    b"<11>1 2026-11-22T03:12:06Z h java - - - ends with CR\r\n",
    b"<11>1 2026-11-22T03:12:06Z h java - - - holds\x00NUL\x00\n",
    b'<11>1 2026-11-22T03:12:06Z h java - - [x@1 k="a\nb"] lines in a value',
)
ESCAPES = str.maketrans({"\n": "#012", "\x00": "#000"})


def columns(url: str) -> list[dict[str, Any]]:
    """The values that have a place in RFC 5424, in no order."""
    rows = [json.loads(line) for line in query(url, "-n", "all", "-o", "json").splitlines()]
    return sorted(({name: row.get(name) for name in Syslog.columns} for row in rows), key=repr)


def counted(frames: tuple[bytes, ...]) -> bytes:
    return b"".join(b"%d %b" % (len(frame), frame) for frame in frames)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with all of these."""
    directory = tmp_path_factory.mktemp("first")
    logger = require("logger")
    with Receiver(f"file://{directory}/store", directory / "serve") as receiver:
        port = receiver.port("tcp")
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(counted(FRAMES + LINES))
        for more in (
            (),
            ("--rfc5424", "-t", "deployer", "--id=4711", "--msgid", "DONE"),
            ("--rfc3164", "-p", "local4.err"),
        ):
            subprocess.run(
                [logger, "-n", "127.0.0.1", "-P", str(port), "-T", *more, "deploy finished: größer"], check=True
            )
        receiver.wait_for("logsink_frames_total", len(FRAMES + LINES) + 3)
    return receiver.store


def test_octet_counted_it_gives_the_same_columns(url: str, tmp_path: Path) -> None:
    with Receiver(f"file://{tmp_path}/store", tmp_path / "serve") as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
            sock.sendall(query(url, "-o", "syslog", "--framing", "octet"))
        receiver.wait_for("logsink_frames_total", len(FRAMES + LINES) + 3)
    assert columns(receiver.store) == columns(url)


def test_in_lines_it_gives_the_same_but_for_what_ends_a_line(url: str, tmp_path: Path) -> None:
    with Receiver(f"file://{tmp_path}/store", tmp_path / "serve") as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
            sock.sendall(query(url, "-o", "syslog"))
        receiver.wait_for("logsink_frames_total", len(FRAMES + LINES) + 3)
    expected = columns(url)
    for row in expected:
        for name in ("message", "structured_data"):
            if row[name] is not None:
                row[name] = row[name].translate(ESCAPES)
        if (row["message"] or "").endswith("\r"):
            row["message"] = row["message"][:-1] + "#015"
    assert columns(receiver.store) == sorted(expected, key=repr)


def test_by_rsyslogd(url: str, tmp_path: Path) -> None:
    """rsyslogd escapes control characters, and has no message without a value."""
    lines = [line for line in query(url, "-o", "syslog").splitlines() if min(line) >= 0x20]
    with Receiver(f"file://{tmp_path}/store", tmp_path / "serve") as receiver:
        (tmp_path / "rsyslog").mkdir()
        action = tcp(receiver.port("tcp"), octet_counted=True)
        with Rsyslog(tmp_path / "rsyslog", action, template=SYSLOG23) as rsyslog:
            rsyslog.send(lines)
            rsyslog.wait(len(lines))
        receiver.wait_for("logsink_frames_total", len(lines))
    with Receiver(f"file://{tmp_path}/direct", tmp_path / "serve2") as direct:
        with socket.create_connection(("127.0.0.1", direct.port("tcp"))) as sock:
            sock.sendall(b"\n".join(lines) + b"\n")
        direct.wait_for("logsink_frames_total", len(lines))
    assert columns(receiver.store) == sorted(
        ({**row, "message": row["message"] or ""} for row in columns(direct.store)), key=repr
    )
