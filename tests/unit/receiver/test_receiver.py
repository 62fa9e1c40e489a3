"""What a receiver does before it listens."""

from __future__ import annotations

import asyncio
import logging
import resource
import uuid

import pytest

from logsink.kernel import compile_all, decorator
from logsink.net.http import HTTP_CONNECTIONS
from logsink.receiver import receiver

ALL = 10_000 + HTTP_CONNECTIONS + receiver.FILES


@pytest.mark.parametrize(
    ("soft", "hard", "now", "allowed"),
    [
        (1024, 1 << 20, ALL, (10_000, HTTP_CONNECTIONS)),
        (1024, resource.RLIM_INFINITY, ALL, (10_000, HTTP_CONNECTIONS)),
        (65536, 65536, 65536, (10_000, HTTP_CONNECTIONS)),
        (1024, 4096, 4096, (4096 - receiver.FILES - HTTP_CONNECTIONS, HTTP_CONNECTIONS)),
        (256, 256, 256, (56, 8)),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY, (10_000, HTTP_CONNECTIONS)),
    ],
)
def test_files_are_kept_back_from_connections(
    soft: int,
    hard: int,
    now: int,
    allowed: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.__setitem__(slice(None), given))
    with caplog.at_level(logging.WARNING):
        assert receiver.allow_connections(10_000) == allowed
    assert limits == [now, hard]
    assert ("LimitNOFILE" in caplog.text) == (allowed != (10_000, HTTP_CONNECTIONS))


def test_whatever_the_event_loop_calls_is_compiled() -> None:
    compile_all(*receiver.LOOP_ROOMS)
    rooms = tuple(f"logsink.{room}." for room in ("wire", "journal", "net"))
    called = [one for one in decorator._every if one.function.__module__.startswith(rooms)]
    assert len(called) > 5
    assert [one for one in called if one._compiled is None] == []


def test_receiver_ids_are_time_ordered_uuids() -> None:
    first, second = uuid.UUID(receiver.new_receiver()), uuid.UUID(receiver.new_receiver())
    assert first.version == second.version == 7
    assert first.variant == uuid.RFC_4122
    assert first.int >> 80 <= second.int >> 80
    assert first != second


def test_errors_that_nobody_has_caught_are_logged_but_for_those_of_a_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.new_event_loop()
    with caplog.at_level(logging.ERROR):
        receiver.unexpected(loop, {"message": "callback", "exception": OSError("gone"), "transport": object()})
        assert caplog.records == []
        receiver.unexpected(loop, {"message": "callback", "exception": ValueError("odd")})
    loop.close()
    assert "unexpected error in callback: odd" in caplog.text
