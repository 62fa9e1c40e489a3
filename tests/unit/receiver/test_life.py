"""Events of a receiver's own life in its journal: whole frames, never more than a few, never from within the journal."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Iterator

import pytest

from logsink import telemetry
from logsink.parse import Origin
from logsink.receiver import life
from logsink.receiver.life import Life
from logsink.wire import Batch


class Kept:
    """In place of a journal: the frames that were appended, and an event that it logs meanwhile."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.paused = self.inside = False
        self.logs: telemetry.Event | None = None

    def append(self, batch: Batch, origin: Origin) -> None:
        assert not self.inside, "called from within itself"
        self.inside = True
        assert origin == Origin(None, None, "internal")
        self.frames.append(bytes(batch.data[batch.starts[0] : batch.ends[0]]))
        if self.logs is not None:
            self.logs.log(tries=2, key="k")
        self.inside = False

    @property
    def names(self) -> list[str]:
        return [frame.split(b" ")[5].decode() for frame in self.frames]


@pytest.fixture
def journal() -> Iterator[Kept]:
    yield Kept()
    telemetry.keep(None)


@pytest.fixture
async def lived(journal: Kept) -> Life:
    return Life(journal, "deploy@32473")  # type: ignore[arg-type]


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_is_kept_is_a_syslog_message_of_its_own(journal: Kept, lived: Life) -> None:
    lived.begin("it is ready")
    telemetry.STORE_BACK.log(id="1")
    telemetry.COMMITTED.log(version=1, rows=1, segments=1, files=1, bytes=1)
    telemetry.READY.log()
    await turns()
    assert journal.names == ["ready", "store_back"]
    pattern = rb'<46>1 \d{4}-\S+Z (\S+) logsink \d+ ready \[deploy@32473 role="logsink" instance="\1"\] it is ready'
    assert re.fullmatch(pattern, journal.frames[0])
    telemetry.STORE_ABSENT.log(error="line\none")
    await turns()
    assert journal.frames[-1].startswith(b"<43>1 ")
    assert journal.frames[-1].endswith(b"nothing is stored or acknowledged: line one")
    lived.close()
    telemetry.STORE_BACK.log(id="1")
    await turns()
    assert len(journal.frames) == 3


async def test_a_quiet_log_keeps_them_all_the_same(journal: Kept, lived: Life) -> None:
    lived.begin("ready")
    logging.getLogger("logsink").setLevel(logging.CRITICAL)
    telemetry.STORE_BACK.log(id="1")
    await turns()
    assert journal.names == ["ready", "store_back"]


async def test_an_event_that_appending_causes_comes_later_and_ends(journal: Kept, lived: Life) -> None:
    journal.logs = telemetry.PUT_RECOVERED
    lived.begin("ready")
    lived.append("more", logging.INFO, "text")
    await turns()
    assert journal.names == ["ready", "more", "put_recovered"]  # of which the next is counted, as in the log


async def test_there_is_a_limit_for_a_minute_which_the_next_one_tells(
    journal: Kept, lived: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000_020.0
    monkeypatch.setattr(life.time, "time", lambda: now)
    for _ in range(life.PER_MINUTE + 5):
        lived.append("much", logging.INFO, "text")
    assert len(journal.frames) == life.PER_MINUTE
    now += 60
    lived.append("much", logging.INFO, "text")
    lived.append("much", logging.INFO, "text")
    assert journal.frames[-2].endswith(b"text (5 events before this one were left out)")
    assert journal.frames[-1].endswith(b"] text")


async def test_nothing_is_added_to_a_full_journal(journal: Kept, lived: Life) -> None:
    journal.paused = True
    lived.append("pause", logging.INFO, "text")
    assert journal.frames == []
    journal.paused = False
    lived.append("resume", logging.INFO, "text")
    assert journal.frames[0].endswith(b"(1 events before this one were left out)")


async def test_threads_may_log(journal: Kept, lived: Life) -> None:
    lived.begin("ready")
    thread = threading.Thread(target=lambda: telemetry.STORE_BACK.log(id="1"))
    thread.start()
    thread.join()
    await turns()
    assert journal.names == ["ready", "store_back"]


async def test_a_long_text_is_cut(journal: Kept, lived: Life) -> None:
    lived.append("long", logging.INFO, "ä" * (2 * life.LONGEST))
    assert journal.frames[0].decode().count("ä") == life.LONGEST
