"""Memory of a query's process does not grow with the archive: the same questions of 150 row groups and of 1,500.

The row groups are hard links to one file. The files have no counts, so that the command reads each of them. Nor does memory
grow with the result: that of a sum of different messages does not fit into it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from logsink.archive.file import write_files
from logsink.archive.log import Add, DeltaLog
from logsink.parse import Frames, Origin, Settings, parse
from logsink.store import open_store

ROWS = 20_000
FEW, MANY = 150, 1500
GROWTH = 30 << 10
"""Kilobytes that ten times as many row groups may take more. Footers that stay take twice that."""


DIFFERENT = 8
"""Files of messages of which each is there once: ``LARGEST`` of them, of half a kilobyte, take 90 MB."""
LARGEST = 20_000
MOST = 460 << 10
"""Kilobytes that a sum of them may take. In memory it takes 600 MB."""


def frames(rows: int, seed: int = 1, filling: bytes = b"") -> Frames:
    rng = np.random.default_rng(seed)
    drawn = zip(*(rng.integers(0, high, rows).tolist() for high in (200, 50, 30_000, 1 << 40)), strict=True)
    lines = [
        b"<14>1 2026-11-28T%02d:%02d:%02dZ host%d app%d %d - - request %x took %d ms%b"
        % (n // 3600 % 24, n // 60 % 60, n % 60, host, app, process, number, number % 977, filling)
        for n, (host, app, process, number) in enumerate(drawn)
    ]
    return Frames(
        np.frombuffer(b"".join(lines), np.uint8),
        np.cumsum([0, *map(len, lines)]).astype(np.int32),
        np.zeros(rows, np.int32),
        np.full(rows, 1_795_900_000_000_000, np.int64),
        np.zeros(rows, np.int32),
        (Origin("192.0.2.1", None, "tcp"),),
    )


async def fill(directory: Path, copies: int) -> None:
    """Make a store of so many files of one row group each."""
    async with open_store(f"file://{directory}") as store:
        log = DeltaLog(store)
        await log.create()
        parsed = parse(frames(ROWS), Settings(), "receiver")
        (new,) = write_files(parsed, {"receiver.0": (1, 1)}, "receiver", "1")
        await store.put(new.file.key, memoryview(new.body))
        file = new.file.tagged(tag for tag in new.file.tags if tag[0] != "logsink.lanes")
        folder = file.path.rpartition("/")[0]
        files = [file._replace(path=f"{folder}/copy-{n}.parquet") for n in range(copies)]
        for copy in files:
            os.link(directory / new.file.key, directory / copy.key)
        await log.commit(await log.load(), [Add(copy) for copy in files])


async def fill_with_different(directory: Path) -> None:
    """Make a store of files in which no message is there twice."""
    async with open_store(f"file://{directory}") as store:
        log, adds = DeltaLog(store), []
        await log.create()
        for n in range(DIFFERENT):
            parsed = parse(frames(LARGEST, n, b" and so on" * 50), Settings(), f"receiver-{n}")
            (new,) = write_files(parsed, {f"receiver-{n}.0": (1, 1)}, f"receiver-{n}", "1")
            await store.put(new.file.key, memoryview(new.body))
            adds.append(Add(new.file))
        await log.commit(await log.load(), adds)


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""
"""A small process between: the peak of a program is at least that of the process that starts it, and tests are large."""


def peak(directory: Path, question: list[str], output: int = subprocess.DEVNULL, temporary: Path | None = None) -> int:
    """Return the most memory that the command took, in kilobytes."""
    command = [sys.executable, "-m", "logsink", "query", "--store", f"file://{directory}", "-q", *question]
    environ = os.environ | ({} if temporary is None else {"TMPDIR": str(temporary)})
    measured = [sys.executable, "-c", MEASURE, *command]
    done = subprocess.run(measured, stdout=output, stderr=subprocess.PIPE, env=environ, check=True)
    return int(done.stderr.split()[-1])


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directories = [tmp_path_factory.mktemp("memory") / str(copies) for copies in (FEW, MANY)]
    for directory, copies in zip(directories, (FEW, MANY), strict=True):
        directory.mkdir()
        asyncio.run(fill(directory, copies))
    return directories


@pytest.mark.parametrize("question", [["--stats", "by=app"], ["--top", "procid"]], ids=" ".join)
def test_memory_of_a_sum_does_not_grow(stores: list[Path], question: list[str]) -> None:
    few, many = (peak(directory, question) for directory in stores)
    assert many - few < GROWTH


def test_memory_of_a_sum_does_not_grow_with_its_result(tmp_path: Path) -> None:
    store, temporary, output = (tmp_path / name for name in ("store", "temporary", "output"))
    store.mkdir()
    temporary.mkdir()
    asyncio.run(fill_with_different(store))
    with output.open("wb") as file:
        taken = peak(store, ["--values", "message"], file.fileno(), temporary)
    lines = output.read_bytes().splitlines()
    assert len(lines) == DIFFERENT * LARGEST
    assert lines == sorted(set(lines))
    assert taken < MOST
    assert os.listdir(temporary) == []
