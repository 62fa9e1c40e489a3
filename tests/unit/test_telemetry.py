"""The log's lines as text and as JSON, and the names of metrics and events."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import Counter, Gauge, Histogram

from logsink import telemetry
from logsink.errors import Unavailable
from logsink.flags import Flag

EVENTS = [value for value in vars(telemetry).values() if isinstance(value, telemetry.Event)]
METRICS = [value for value in vars(telemetry).values() if isinstance(value, Counter | Gauge | Histogram)]


@contextmanager
def logged(*, worker: int = 0, level: str = "info", as_json: bool = False) -> Iterator[io.StringIO]:
    out = io.StringIO()
    try:
        telemetry.setup(worker, level=level, as_json=as_json, stream=out)
        yield out
    finally:
        telemetry.setup()


def test_a_line_of_text() -> None:
    with logged() as out:
        telemetry.LISTENING.log(address="127.0.0.1:514", transport="tcp")
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO listening on 127\.0\.0\.1:514 \(tcp\)\n"
    assert re.fullmatch(pattern, out.getvalue())


def test_a_line_of_json_has_the_fields() -> None:
    with logged(worker=2, as_json=True) as out:
        telemetry.MAINTENANCE_FAILED.log(error=Unavailable("cannot list: no reply", hint="wait"))
    line = json.loads(out.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "maintenance_failed",
        "message": "maintenance failed, trying again: cannot list: no reply (wait)",
        "worker": 2,
        "error": "cannot list: no reply (wait)",
    }


def test_lines_of_a_worker_say_so() -> None:
    with logged(worker=3) as out:
        telemetry.READY.log()
    assert out.getvalue().endswith(" INFO worker 3: ready\n")


def test_lines_below_the_level_are_not_written() -> None:
    with logged(level="warning") as out:
        telemetry.READY.log()
        telemetry.STORE_REACHED.log(tries=2)
    assert out.getvalue() == ""


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_follows(as_json: bool) -> None:
    with logged(as_json=as_json) as out:
        try:
            raise ZeroDivisionError("no")
        except ZeroDivisionError as error:
            telemetry.CRASHED.log(where="a test", error=error, trace=error)
    text = json.loads(out.getvalue())["message"] if as_json else out.getvalue()
    assert "unexpected error in a test: no\nTraceback" in text
    assert text.rstrip().endswith("ZeroDivisionError: no")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric._name)
def test_a_metric_is_a_name_and_a_sentence(metric: Counter | Gauge | Histogram) -> None:
    assert re.fullmatch(r"logsink_[a-z_]+", metric._name)
    assert re.fullmatch(r"[A-Z0-9].*\.", metric._documentation)
    assert len(metric._documentation) <= 120


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_an_event_is_a_name_and_a_text(event: telemetry.Event) -> None:
    assert re.fullmatch(r"[a-z_]+", event.name)
    assert not event.text.endswith(".")
    assert event.text[0] in "{0123456789" or event.text[0].islower() or event.text.startswith("logsink")


def test_flags_are_counted_bit_by_bit() -> None:
    def count(name: str) -> float:
        return telemetry.REGISTRY.get_sample_value("logsink_frames_flagged_total", {"flag": name}) or 0.0

    before = count("inflated"), count("truncated")
    telemetry.count_flags({int(Flag.INFLATED): 2, int(Flag.INFLATED | Flag.TRUNCATED): 3, 0: 9})
    assert (count("inflated"), count("truncated")) == (before[0] + 5, before[1] + 3)


@pytest.mark.parametrize("as_json", [True, False])
def test_lines_say_how_often_and_whose(as_json: bool) -> None:
    with logged(as_json=as_json) as out:
        for n in range(1000):
            telemetry.SESSION_FAILED.log(transport="relp", sender=f"10.0.0.{n % 4}", error="garbage")
        telemetry.flush(final=True)
    *first, last = out.getvalue().splitlines()
    assert len(first) == 4
    if as_json:
        line = json.loads(last)
        assert (line["event"], line["times"], line["by_sender"]["10.0.0.0"]) == ("session_failed", 996, 249)
    else:
        assert last.endswith("garbage (one of 996 in 0 s, by sender: 10.0.0.0 249, 10.0.0.1 249, 10.0.0.2 249, ...)")


def test_what_others_cause_is_limited() -> None:
    """Whatever names a sender, or is tried again while the store fails."""
    for event in vars(telemetry).values():
        if isinstance(event, telemetry.Event) and ("{sender}" in event.text or "again" in event.text):
            assert event.matter is not None, event.name
