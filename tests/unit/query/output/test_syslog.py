"""Rows as syslog messages."""

from __future__ import annotations

import pytest

from logsink.query.output import syslog
from logsink.query.output.syslog import Raw
from tests.unit.query.archives import row
from tests.unit.query.output.lines import output


def test_raw_is_the_frame_with_lf_or_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog, "raw_frames", lambda rows: rows.column("raw").chunk(0))
    rows = [row(raw=b"<13>a"), row(raw="<13>é\nb".encode())]
    assert output(Raw(), *rows) == "<13>a\n<13>é\nb\n"
    assert output(Raw(octet_counted=True), *rows) == "5 <13>a8 <13>é\nb"
