"""``logsink drain --wait``: what an answer of a receiver proves, and what is left of it in a store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from logsink.archive.dormancy import make_dormant
from logsink.archive.identity import settle
from logsink.archive.log import DeltaLog, Txn
from logsink.cli.drain import Said, _ask, _left, _understood
from logsink.errors import ArgumentError
from logsink.journal.segment import SegmentName
from logsink.store import open_store
from tests.unit.archive.tables import MIDNIGHT, segment, store_segment

OLD = "018bcfe5-6800-7abc-8def-0123456789ab"
ANSWER = {"pid": 7, "receivers": ["a", "b"], "receivers_unnamed": 0, "store": "s"}
WORKERS = {
    "pid": 7,
    "receivers": ["a", "b"],
    "receivers_unnamed": 0,
    "workers": {"1": {"receiver": "b"}, "2": {"store": "s"}},
}


@pytest.mark.parametrize("answer", [ANSWER, WORKERS | {"no_answer": []}])
def test_an_answer_that_says_all(answer: dict[str, Any]) -> None:
    assert _understood(7, answer) == Said(frozenset("ab"), "s")


@pytest.mark.parametrize(
    ("answer", "gap"),
    [
        (ANSWER | {"pid": 8}, "another process"),
        ({"ready": True, "receivers": ["a"], "store": "s"}, "another version of logsink"),
        (WORKERS | {"no_answer": [1, 3]}, "worker 1, 3 did not answer"),
        (ANSWER | {"receivers_unnamed": 2}, "2 more ids"),
        (ANSWER | {"receivers": []}, "did not say"),
        (ANSWER | {"store": ""}, "did not say"),
    ],
)
def test_an_answer_with_gaps(answer: dict[str, Any], gap: str) -> None:
    assert gap in _understood(7, answer).gap


def test_a_receiver_that_cannot_be_asked() -> None:
    assert "listen.http" in _ask(7, None, 1.0).gap
    assert "did not answer at http://127.0.0.1:1/readyz" in _ask(7, "127.0.0.1:1", 1.0).gap


def test_answers_add_up() -> None:
    whole, partial = Said(frozenset("a"), "s"), Said(frozenset("b"), gap="no answer")
    assert whole.add(partial) == partial.add(whole) == Said(frozenset("ab"), "s")
    assert partial.add(Said(frozenset(), gap="it has ended")).gap == "no answer"


async def test_what_is_left_of_a_dormant_receiver(tmp_path: Path) -> None:
    async with open_store(f"file://{tmp_path}") as store:
        log = DeltaLog(store, wall=lambda: 1e9)
        marker = await settle(log, create=True)
        await log.commit(await log.create(), [Txn(f"{OLD}.0", 5)])
        log = DeltaLog(store)
        await log.commit(await log.load(), [Txn("other.0", 1)])
        assert await make_dormant(log, idle=10.0, least=1) == 1
        said = Said(frozenset([OLD]), marker.id)
        await store_segment(store, segment(SegmentName(OLD, 0, 5), ["archived"], received=MIDNIGHT))
        assert await _left(store.url, said, time.monotonic()) == 0
        await store_segment(store, segment(SegmentName(OLD, 0, 6), ["left"], received=MIDNIGHT))
        assert await _left(store.url, said, time.monotonic()) == 1


async def test_nothing_is_left_in_the_receivers_own_store_only(tmp_path: Path) -> None:
    """A directory that is not mounted any more has an empty journal, too."""
    with pytest.raises(ArgumentError, match=r"uses store mine, and .* has no marker"):
        await _left(f"file://{tmp_path}/unmounted", Said(frozenset([OLD]), "mine"), time.monotonic())
