"""No Python object per message, and no Python instruction: what is done for a read, a segment or a round costs the same for

ten times as many messages. Counted, not timed: bytecodes that were executed, and blocks of memory that objects held at most.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from logsink.archive.file import write_files
from logsink.journal import Appended
from logsink.journal.fill import Fill, Memory
from logsink.journal.segment import Segment, SegmentName, decode_segment, encode_segment
from logsink.net.intake import Intake
from logsink.net.tcp import TcpConnection
from logsink.parse import Origin, Origins, Settings, Workspace, parse
from logsink.wire.batch import Batch, Scratch
from logsink.wire.datagrams import SLOT, Datagrams
from logsink.wire.relp import RelpSession
from tests.support.frames import frames_of

FEW, MANY = 210, 2100
SENDERS = 200
"""Of datagrams, in turn."""
EACH = 16
"""Instructions from one count of blocks to the next: counting takes 0.3 ms where as much is held as by all tests."""
MODERN = b"<134>1 2026-11-23T04:00:00.003492Z web-1 nginx 6275 - - GET /orders/17 200"
LEGACY = b"<134>Nov 23 04:00:00 web-1 nginx[6275]: GET /orders/17 200"
LOOSE = b"<134>nginx says hello"
ALL_WAYS = [MODERN, LEGACY, LOOSE]
"""A message for each way that the parser may take."""
ORIGIN = Origin("192.0.2.1", None, "tcp")


class Meter:
    """Counts while it is entered: ``instructions`` of Python in this thread, and the most ``blocks`` of objects at a time."""

    def __enter__(self) -> Meter:
        self.instructions = self.blocks = 0
        self._before, self._held = sys.gettrace(), sys.getallocatedblocks()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.instructions += 1
        if event == "return" or (event == "opcode" and self.instructions % EACH == 0):
            self.blocks = max(self.blocks, sys.getallocatedblocks() - self._held)
        return self._trace


class Taken:
    """In place of a journal: what a read gives goes into a fill."""

    durable = 0

    def __init__(self) -> None:
        self.fill = Fill(1, Memory(1 << 20, 1 << 14).loan())

    def append(self, batch: Batch, origin: Origin, _: object) -> Appended:
        weight, nbytes = self.fill.weight, self.fill.nbytes
        self.fill.append(batch, 1, origin)
        return Appended(1, self.fill.nbytes - nbytes, self.fill.weight - weight)

    def watch(self, *_: object) -> None: ...


class Transport(asyncio.Transport):
    """Of a connection that only receives."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})


def read_lines(messages: list[bytes]) -> Callable[[], object]:
    return _read(b"".join(message + b"\n" for message in messages))


def read_counted(messages: list[bytes]) -> Callable[[], object]:
    return _read(b"".join(b"%d %b" % (len(message), message) for message in messages))


def _read(data: bytes) -> Callable[[], object]:
    """One read of a TCP connection, as far as the journal."""
    intake = Intake(max_message=8192, max_connections=1, memory_limit=1 << 30, ack_delay=-1.0)
    intake.attach(Taken())  # type: ignore[arg-type]
    connection = TcpConnection(intake)
    connection.accepted(None)
    connection.connection_made(Transport())

    def read() -> None:
        view = connection.get_buffer(-1)
        view[: len(data)] = data
        connection.buffer_updated(len(data))

    read()  # the first read of a connection is judged
    return read


def read_datagrams(messages: list[bytes]) -> Callable[[], object]:
    """Datagrams that the kernel has handed over, as far as the journal."""
    intake = Intake(max_message=8192, max_connections=1, memory_limit=1 << 30, ack_delay=-1.0)
    intake.attach(Taken())  # type: ignore[arg-type]
    slots = np.zeros(len(messages) * SLOT, np.uint8)
    datagrams = Datagrams(slots, intake.buffer, intake.scratch, 8192)
    for number, message in enumerate(messages):
        slots[number * SLOT : number * SLOT + len(message)] = np.frombuffer(message, np.uint8)
        datagrams.lengths[number] = len(message)
        datagrams.addresses[number, 1] = number % SENDERS
    known = [ORIGIN._replace(sender=f"192.0.2.{number}") for number in range(SENDERS)]

    def read() -> None:
        taken, batch, codes = datagrams.take(0, len(messages))
        assert taken == len(batch) == len(messages)
        intake.take_mixed(batch, Origins(known, codes))

    return read


def read_relp(messages: list[bytes]) -> Callable[[], object]:
    """One read of a RELP session, and its answers."""
    opening, size = b"1 open 30 relp_version=0\ncommands=syslog\n", 1 << 19
    data = opening + b"".join(b"%d syslog %d %b\n" % (n, len(m), m) for n, m in enumerate(messages, 2))
    buffer = np.zeros(size, np.uint8)
    buffer[: len(data)] = np.frombuffer(data, np.uint8)

    def read() -> None:
        session = RelpSession(Scratch(size), 8192)
        assert len(session.receive(buffer, len(data))) == len(messages)
        session.acknowledge(len(messages))
        while session.take_output():
            pass

    return read


def store(messages: list[bytes]) -> Callable[[], object]:
    """A segment to the octets of its object, and back."""
    segment = Segment(SegmentName("r", 0, 1), Settings(), frames_of(messages))
    return lambda: decode_segment(encode_segment(segment))


def archive(messages: list[bytes]) -> Callable[[], object]:
    """A round's frames to a data file."""
    frames, workspace = frames_of(messages), Workspace()
    return lambda: list(write_files(parse(frames, Settings(), "r", workspace=workspace), {"r.0": (1, 1)}, "r", "0"))


@pytest.mark.parametrize("stage", [read_lines, read_counted, read_datagrams, read_relp, store, archive])
async def test_ten_times_as_many_messages_cost_python_nothing(
    stage: Callable[[list[bytes]], Callable[[], object]],
) -> None:
    found = []
    for count in (FEW, MANY):
        work = stage(ALL_WAYS * (count // len(ALL_WAYS)))
        work()  # kernels are loaded, workspaces made
        with Meter() as meter:
            work()
        found.append(meter)
    few, many = found
    assert few.instructions > 0
    assert many.instructions - few.instructions < (MANY - FEW) / 10
    assert many.blocks - few.blocks < (MANY - FEW) / 10


@pytest.mark.parametrize(
    "work",
    [lambda column: [value + 1 for value in column], lambda column: (column.tolist(), None)],
    ids=["loop", "objects"],
)
def test_what_the_meter_is_for(work: Callable[[Any], object]) -> None:
    column = np.arange(1000, 1000 + MANY)
    with Meter() as meter:
        work(column)
    assert max(meter.instructions, meter.blocks) > MANY / 2
