"""What is remembered of senders stays within its limits, and what is forgotten is counted."""

from __future__ import annotations

import numpy as np
import pytest

from logsink import telemetry
from logsink.net import senders
from logsink.net.senders import AGE, LIST, Senders
from logsink.parse import Origin
from logsink.wire import Digests, History, Taken


class Session:
    """A connection that only counts what it is told; ``cut`` of its frames are not confirmed."""

    def __init__(self, cut: int = 0) -> None:
        self.told = 0
        self.cut = cut

    def hung_up(self) -> bool:
        return False

    def older_left(self) -> None:
        self.told += 1

    def unconfirmed(self) -> Digests:
        return np.arange(2 * self.cut, dtype=np.int64)


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


def answered(known: Senders, sender: str, frames: int, at: float = 0.0, *, flagged: int = 100) -> None:
    """A session of ``sender`` has so many frames acknowledged and breaks; its first ``flagged`` are flagged."""
    session, history = Session(), History()
    one = known.enter(origin(sender), session)
    history.add(Taken(0, frames, 1, np.arange(2 * frames, dtype=np.int64)))
    known.remember(history, frames)
    known.release(history.answered(frames))
    known.leave(one, session, history, closed=False, now=at, doubtful=flagged)


def answered_lists(known: Senders, sender: str, at: float = 0.0) -> list[int]:
    """Frames of each list of ``sender`` with everything acknowledged, the newest first."""
    session = Session()
    one = known.enter(origin(sender), session)
    found = [len(digests) // 2 for digests in known.answered(one, session, at)]
    one.sessions.discard(session)
    return found


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


def test_acknowledged_frames_are_remembered_apart_and_not_counted_when_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(senders, "LISTS", 3)
    known, before = Senders(100), forgotten()
    broken(known, "a", 9)
    for frames in (1, 2, 3, 4):
        answered(known, "a", frames, at=float(frames))
    assert answered_lists(known, "a") == [4, 3, 2]
    assert answered_lists(known, "a", AGE + 3.5) == [4]
    assert known._frames == 9
    assert forgotten() == before


def test_of_acknowledged_frames_those_of_the_window_that_are_flagged_are_remembered() -> None:
    known = Senders(100, window=10)
    answered(known, "a", 12, flagged=7)
    answered(known, "a", 12, flagged=2)
    answered(known, "a", 12)
    assert answered_lists(known, "a") == [10, 5]


def test_so_many_acknowledged_frames_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "ANSWERED", 2 * LIST + 10)
    known = Senders(100)
    for sender in ("a", "b", "b"):
        answered(known, sender, 5)
    assert (answered_lists(known, "a"), answered_lists(known, "b")) == ([], [5, 5])
    answered(known, "a", 2 * LIST + 11)
    assert (answered_lists(known, "a"), answered_lists(known, "b")) == ([], [])
    assert known._answered_size == 0


def test_a_close_without_other_sessions_forgets_acknowledged_frames() -> None:
    known, session, other = Senders(100), Session(), Session()
    one = known.enter(origin("a"), session)
    known.enter(origin("a"), other)
    answered(known, "a", 5)
    known.leave(one, session, History(), closed=True, now=0.0)
    assert answered_lists(known, "a") == [5]
    known.leave(one, other, History(), closed=True, now=0.0)
    assert answered_lists(known, "a") == []
    assert known._answered_size == 0


def test_a_sender_that_is_forgotten_takes_its_acknowledged_frames_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "SENDERS", 2)
    known = Senders(100)
    for sender in ("a", "b", "c"):
        answered(known, sender, 1)
    assert len(known._answered) == 2
    assert [answered_lists(known, sender) for sender in ("a", "b", "c")] == [[], [1], [1]]


def test_open_sessions_are_asked_unless_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "LISTS", 3)
    known = Senders(100)
    for cut in (0, 7):
        known.enter(origin("a"), Session(cut))
    answered(known, "a", 5)
    assert answered_lists(known, "a") == [7, 5]
    known.enter(origin("a"), Session())
    assert answered_lists(known, "a") == [5]


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
