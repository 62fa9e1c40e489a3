"""What real senders send, and the row it becomes: every case of tests/data/cases.json, whole and among others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from logsink.flags import names
from logsink.parse import Settings, parse, raw_frames
from tests.support.forms import running
from tests.support.frames import frames_of

plain_parse = running(compiled=False)(parse)

RECEIVED = int(datetime(2026, 2, 28, 12, tzinfo=UTC).timestamp()) * 1_000_000
CASES = json.loads((Path(__file__).parents[2] / "data" / "cases.json").read_text())
FRAMES = [case["frame"].encode(case.get("encoding", "utf-8")) for case in CASES]
COLUMNS = (
    "host",
    "app",
    "procid",
    "msgid",
    "facility",
    "severity",
    "structured_data",
    "message",
    "environment",
    "role",
    "deploy",
    "instance",
    "wire",
)


def rows_of(frames: list[bytes], compiled: bool) -> list[dict[str, Any]]:
    """Each frame's row as the cases write it."""
    with running(compiled=compiled):
        table = parse(frames_of(frames, RECEIVED), Settings(), "r").table()
    table.validate(full=True)
    return [
        {
            "time": row["time"].isoformat().replace("+00:00", "Z"),
            **{name: row[name] for name in COLUMNS if row[name] is not None},
            "flags": names(row["flags"]),
        }
        for row in table.to_pylist()
    ]


@pytest.mark.parametrize(("case", "frame"), list(zip(CASES, FRAMES, strict=True)), ids=[case["name"] for case in CASES])
def test_sender(case: dict[str, Any], frame: bytes) -> None:
    assert rows_of([frame], compiled=False) == [case["row"]]


def test_senders_together_in_machine_code() -> None:
    frames = FRAMES * 3
    assert rows_of(frames, compiled=True) == [case["row"] for case in CASES] * 3


def test_every_frame_comes_back() -> None:
    table = plain_parse(frames_of(FRAMES, RECEIVED), Settings(), "r").table()
    assert raw_frames(table).to_pylist() == FRAMES


def test_names_are_unique() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)
