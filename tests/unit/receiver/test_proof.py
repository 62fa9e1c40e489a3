"""What ``/readyz`` knows of the store: a put has just worked, or why none did."""

from __future__ import annotations

import asyncio

import pytest

from logsink.receiver import proof
from logsink.receiver.proof import FRESH, KEY, PutProof
from logsink.store import GuardedStore
from logsink.store.memory import MemoryStore
from tests.support.faulty import Call, Fail, Fate, FaultyStore, Pass


class Scene:
    """A proof over a store whose fate and clock are ours; ``puts`` are those of the proof."""

    def __init__(self) -> None:
        self.now, self.fate = 1000.0, Pass()
        self.inner = FaultyStore(MemoryStore(), self.decide)
        self.store = GuardedStore(self.inner, clock=lambda: self.now)
        self.proof = PutProof(self.store)

    def decide(self, call: Call) -> Fate:
        return self.fate

    @property
    def puts(self) -> int:
        return sum(call.key == KEY for call in self.inner.calls)


async def test_an_idle_receiver_puts_once_a_minute_and_only_when_asked() -> None:
    scene = Scene()
    await scene.proof.renew()
    assert (scene.proof.error, scene.puts) == ("", 1)
    scene.now += FRESH
    await scene.proof.renew()
    assert scene.puts == 1
    scene.now += 1.0
    await scene.proof.renew()
    assert (scene.proof.error, scene.puts) == ("", 2)
    assert await scene.inner.get(KEY) == b""


@pytest.mark.parametrize("conditional", [False, True])
async def test_what_the_journal_stores_is_proof_enough(conditional: bool) -> None:
    scene = Scene()
    await (scene.store.put_absent("a", b"x") if conditional else scene.store.put("a", b"x"))
    await scene.proof.renew()
    assert (scene.proof.error, scene.puts) == ("", 0)


async def test_an_object_that_was_there_is_no_proof() -> None:
    scene = Scene()
    await scene.inner.put("a", b"x")
    assert not await scene.store.put_absent("a", b"y")
    assert scene.store.age == float("inf")


async def test_a_store_that_fails_is_tried_again_at_the_next_question() -> None:
    scene = Scene()
    scene.fate = Fail()
    await scene.proof.renew()
    assert "injected" in scene.proof.error
    scene.fate = Pass()
    await scene.proof.renew()
    assert (scene.proof.error, scene.puts) == ("", 2)


async def test_a_store_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "PATIENCE", 0.01)
    scene, gate = Scene(), asyncio.Event()
    scene.fate = Pass(gate=gate)
    await scene.proof.renew()
    assert "no answer" in scene.proof.error
    await scene.proof.renew()
    assert scene.puts == 1  # the first try goes on
    gate.set()
    await scene.proof.renew()
    assert (scene.proof.error, scene.puts) == ("", 1)
    scene.now += FRESH + 1
    gate.clear()
    await scene.proof.renew()
    scene.proof.close()
