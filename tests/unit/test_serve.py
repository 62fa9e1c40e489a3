"""What a receiver does before it listens."""

from __future__ import annotations

import logging
import resource

import pytest

from logsink import kernel, serve


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "now", "warned"),
    [
        (1024, 1 << 20, 10_000, 10_000 + serve.FILES, False),
        (1024, resource.RLIM_INFINITY, 10_000, 10_000 + serve.FILES, False),
        (65536, 65536, 10_000, 65536, False),
        (1024, 4096, 10_000, 4096, True),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 10_000, resource.RLIM_INFINITY, False),
    ],
)
def test_files_for_all_connections(
    soft: int,
    hard: int,
    wanted: int,
    now: int,
    warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.__setitem__(slice(None), given))
    with caplog.at_level(logging.WARNING):
        serve._allow_files(wanted)
    assert limits == [now, hard]
    assert ("LimitNOFILE" in caplog.text) == warned


def test_whatever_the_event_loop_calls_is_compiled() -> None:
    kernel.compile_all(*serve.LOOP)
    rooms = tuple(f"logsink.{room}." for room in ("wire", "journal", "net"))
    called = [one for one in kernel._every if one.function.__module__.startswith(rooms)]
    assert len(called) > 5
    assert [one for one in called if one._compiled is None] == []
