"""The same rows from the journal, from the archive, and half from each: written, archived and queried by the real code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from logsink.archive.file import write_files
from logsink.archive.log import Add, DeltaLog, Txn
from logsink.cli.main import main
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.kernel import FEW
from logsink.parse import Frames, Origin, Settings, parse
from logsink.store import Store, open_store

START = 1_795_305_600_000_000
"""2026-11-22T00:00:00Z."""

RECEIVERS = ("0193-a", "0193-b")
READ = 7
"""Frames in a read."""

KINDS = (
    "<34>1 2026-11-22T{clock}.003000Z web-{n} sshd 42 ID47 - session {i} opened",
    '<165>1 2026-11-22T{clock}.003000Z web-{n} app - - [deploy@32473 role="web" deploy="d{n}"] größe {i} "quoted" \\ slash',
    "<13>Nov 22 {clock} db-{n} postgres[99]: slow query {i}\ttab",
    "<131>1 2026-11-22T{clock}Z web-{n} nginx 7 - - \ufefftimed out {i} \x1b[31mred",
    "no head at all {i}",
    "<999>odd {i}\nsecond line",
)


def frame(i: int) -> bytes:
    clock = f"{i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d}"
    text = KINDS[i % len(KINDS)].format(i=i, n=i % 5, clock=clock).encode()
    return text + b" \xff\xfe" if i % 11 == 0 else text


def segments(count: int, each: int) -> list[Segment]:
    """``count`` segments of ``each`` frames, over two receivers with two lanes each, which number theirs from 1."""
    made = []
    for number in range(count):
        bodies = [frame(number * each + k) for k in range(each)]
        reads = START + (number * 1000 + np.arange(each) // READ) * 1_000
        frames = Frames(
            np.frombuffer(b"".join(bodies), np.uint8),
            np.cumsum([0, *map(len, bodies)]).astype(np.int32),
            np.zeros(each, np.int32),
            reads.astype(np.int64),
            np.zeros(each, np.int32),
            (Origin("10.0.0.7", None, "tcp"),),
        )
        name = SegmentName(RECEIVERS[number % 2], number // 2 % 2, number // 4 + 1)
        made.append(Segment(name, Settings(), frames))
    return made


async def archive(store: Store, chosen: Sequence[Segment]) -> None:
    """What an archiver does with these segments, one commit for each; they stay in the journal, as they may for a while."""
    log = DeltaLog(store)
    for number, segment in enumerate(chosen):
        snapshot = await log.create()
        name, lanes = segment.name, {segment.name.app_id: (segment.name.sequence, segment.name.sequence)}
        rows = parse(segment.frames, segment.settings, name.receiver)
        actions: list[Add | Txn] = [Txn(name.app_id, name.sequence)]
        for new in write_files(rows, lanes, name.receiver, f"try{number}"):
            await store.put(new.file.key, memoryview(new.body))
            actions.append(Add(new.file))
        await log.commit(snapshot, actions)


async def store_and_archive(url: str, made: Sequence[Segment], chosen: Sequence[Segment]) -> None:
    async with open_store(url) as store:
        for segment in made:
            await store.put(segment.name.key, memoryview(encode_segment(segment)))
        await archive(store, chosen)


def query(url: str, *arguments: str) -> bytes:
    done = CliRunner().invoke(main, ["query", "--store", url, "-n", "all", "--utc", *arguments])
    assert done.exit_code in (0, 1), done.stderr
    return done.stdout_bytes


QUESTIONS = (
    ("-o", "json"),
    ("-o", "text", "-r"),
    ("-o", "json", "-p", "err"),
    ("-o", "json", "-H", "web-[13]", "-u", "sshd", "-u", "nginx"),
    ("-o", "json", "session 1"),
    ("-o", "json", "-n", "50", "slow", "größe"),
    ("-o", "cat", "-E", "^(timed|slow).* 1?[0-9]{2}\\b"),
    ("-o", "json", "-S", "2026-11-22 00:02", "-U", "2026-11-22 00:05"),
    ("-o", "raw", "--framing", "octet"),
)


@pytest.mark.parametrize(("count", "each"), [(12, FEW // 13), (8, FEW // 7)], ids=["interpreted", "compiled"])
def test_rows_do_not_depend_on_where_they_are(tmp_path: Path, count: int, each: int) -> None:
    made, answers = segments(count, each), list[dict[tuple[str, ...], bytes]]()
    order = [made[k::4] for k in range(4)]  # by lane: a lane is archived from its first segment on
    for archived in (0, count // 8, count // 4):
        url = f"file://{tmp_path}/{archived}"
        asyncio.run(store_and_archive(url, made, [segment for lane in order for segment in lane[:archived]]))
        answers.append({question: query(url, *question) for question in QUESTIONS})
    for question in QUESTIONS:
        assert answers[0][question], question
        assert answers[0][question] == answers[1][question] == answers[2][question], question

    rows = [json.loads(line) for line in answers[0][QUESTIONS[0]].splitlines()]
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert len({(r["receiver"], r["time"], r["received"], r["nth"]) for r in rows}) == len(rows) == count * each
    sent = sorted(frame(i) for i in range(count * each))
    assert sorted(counted(answers[0][QUESTIONS[-1]])) == sent


def counted(stream: bytes) -> list[bytes]:
    """Octet-counted frames."""
    frames = []
    while stream:
        length, _, rest = stream.partition(b" ")
        frames.append(rest[: int(length)])
        stream = rest[int(length) :]
    return frames
