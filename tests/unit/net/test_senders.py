"""What is remembered of senders stays within its limits, and what is forgotten is counted."""

from __future__ import annotations

import numpy as np
import pytest

from logsink import telemetry
from logsink.net import senders
from logsink.net.senders import AGE, Senders
from logsink.parse import Origin
from logsink.wire import History, Taken


class Session:
    """A connection that only counts what it is told."""

    def __init__(self) -> None:
        self.told = 0

    def hung_up(self) -> bool:
        return False

    def older_left(self) -> None:
        self.told += 1


def origin(sender: str, identity: str | None = None) -> Origin:
    return Origin(sender, identity, "relp")


def forgotten() -> float:
    return telemetry.REGISTRY.get_sample_value("logsink_relp_resends_forgotten_total") or 0.0


def broken(known: Senders, sender: str, frames: int, at: float = 0.0) -> None:
    """A session of ``sender`` takes so many frames and breaks before an answer."""
    session, history = Session(), History()
    one = known.enter(origin(sender), session)
    history.add(Taken(0, frames, 1, np.arange(2 * frames, dtype=np.int64)))
    known.remember(history, frames)
    known.leave(one, session, history, closed=False, now=at)


def lists(known: Senders, sender: str, at: float = 0.0) -> list[int]:
    """Frames of each list of ``sender``, the newest first."""
    return [len(one) for one in known.broken(known.enter(origin(sender), Session()), at)]


def test_a_sender_is_its_certificate_or_its_address() -> None:
    known = Senders(100)
    one = known.enter(origin("192.0.2.1", "CN=web"), Session())
    assert known.enter(origin("192.0.2.2", "CN=web"), Session()) is one
    assert known.enter(origin("192.0.2.1"), Session()) is not one


def test_lists_are_given_newest_first_and_forgotten_with_age() -> None:
    known, before = Senders(100), forgotten()
    broken(known, "a", 3, at=0.0)
    broken(known, "a", 5, at=10.0)
    assert lists(known, "a", 10.0) == [5, 3]
    assert lists(known, "a", AGE + 5.0) == [5]
    assert forgotten() == before + 3


def test_a_sender_has_so_many_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "LISTS", 2)
    known, before = Senders(100), forgotten()
    for frames in (1, 2, 3):
        broken(known, "a", frames)
    assert lists(known, "a") == [3, 2]
    assert forgotten() == before + 1


def test_where_all_frames_are_too_many_the_latest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "FRAMES", 10)
    known, before = Senders(100), forgotten()
    for sender in ("a", "b", "c"):
        broken(known, sender, 4)
    assert [lists(known, sender) for sender in ("a", "b", "c")] == [[4], [4], []]
    assert forgotten() == before + 4


def test_a_history_that_is_too_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "FRAMES", 10)
    known, history, before = Senders(100), History(), forgotten()
    history.add(Taken(0, 12, 1, np.arange(24, dtype=np.int64)))
    known.remember(history, 12)
    assert history.frames == 0
    assert forgotten() == before + 12


def test_so_many_senders_without_a_session_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "SENDERS", 2)
    known = Senders(100)
    for sender in ("a", "b", "c"):
        broken(known, sender, 1)
    assert [lists(known, sender) for sender in ("a", "b", "c")] == [[], [1], [1]]


def test_other_sessions_of_the_sender_are_told() -> None:
    known, first, second = Senders(100), Session(), Session()
    one = known.enter(origin("a"), first)
    known.enter(origin("a"), second)
    known.leave(one, first, History(), closed=True, now=0.0)
    assert (first.told, second.told) == (0, 1)


def test_what_is_held_back_is_bounded() -> None:
    known = Senders(100)
    assert known.hold(60)
    assert not known.hold(41)
    assert known.hold(40)
    known.hold(-60)
    assert known.hold(60)
