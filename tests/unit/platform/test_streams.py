"""Lines for a stream that nobody reads: real pipes, full ones and closed ones."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import pytest

from logsink.platform.streams import PIECE, PatientHandler


class Pipe:
    """A pipe, its end for writing as a stream."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.stream: TextIO = os.fdopen(writer, "w")

    def fill(self) -> None:
        """Write until it is full."""
        descriptor = self.stream.fileno()
        os.set_blocking(descriptor, False)
        with suppress(BlockingIOError):
            while True:
                os.write(descriptor, b"x" * 1000)
        with suppress(BlockingIOError):
            while True:
                os.write(descriptor, b"x")
        os.set_blocking(descriptor, True)

    def read(self) -> str:
        """Read what is there."""
        os.set_blocking(self.reader, False)
        found = b""
        with suppress(BlockingIOError):
            while part := os.read(self.reader, 1 << 20):
                found += part
        return found.decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    with suppress(OSError):
        os.close(made.reader)
    with suppress(OSError):
        made.stream.close()


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("logsink", logging.INFO, __file__, 1, text, (), None)


def test_lines_are_dropped_and_counted_while_nobody_reads(pipe: Pipe) -> None:
    dropped: list[None] = []
    handler = PatientHandler(pipe.stream, lambda: dropped.append(None))
    handler.emit(record("first"))
    assert pipe.read() == "first\n"
    pipe.fill()
    for _ in range(3):
        handler.emit(record("lost"))  # it would stand still here
    assert len(dropped) == 3
    assert set(pipe.read()) == {"x"}
    handler.emit(record("last"))
    handler.emit(record("behind"))
    assert pipe.read() == "3 lines of this log were dropped, or cut: nobody read them\nlast\nbehind\n"


def test_of_a_long_line_as_much_is_written_as_there_is_room_for(pipe: Pipe) -> None:
    handler = PatientHandler(pipe.stream, lambda: None)
    long = "y" * (1 << 20)
    handler.emit(record(long))
    there = pipe.read()
    assert PIECE <= len(there) < len(long)
    assert set(there) == {"y"}
    handler.emit(record("next"))
    assert pipe.read() == "\n1 lines of this log were dropped, or cut: nobody read them\nnext\n"


def test_a_pipe_that_was_closed_ends_nothing(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler = PatientHandler(pipe.stream, lambda: None)
    os.close(pipe.reader)
    handler.emit(record("x"))


def test_a_stream_in_memory_takes_everything() -> None:
    stream = io.StringIO()
    PatientHandler(stream, lambda: None).emit(record("\udcff text"))
    assert stream.getvalue() == "\udcff text\n"
