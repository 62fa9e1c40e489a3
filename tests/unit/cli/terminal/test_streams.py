"""Standard streams as a process may get them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from logsink.cli.terminal import streams
from logsink.errors import OutputError, ReaderGone


def test_a_pipe_that_nobody_reads() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    out = streams._stream(None, writing, streams._Output(writing, streams._unwritable))
    out.write("a line\n")
    with pytest.raises(ReaderGone, match="nobody reads it"):
        out.flush()
    out.write("what comes behind it is dropped\n")
    out.flush()
    os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        out = streams._stream(None, full.fileno(), streams._Output(full.fileno(), streams._unwritable))
        out.write("a line\n")
        with pytest.raises(OutputError, match="no space left on device"):
            out.flush()
        out.flush()


def test_a_socket_that_does_not_block_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    data, got = b"x" * (4 << 20), bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(theirs.recv(1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    out = streams._stream(None, ours.fileno(), streams._Output(ours.fileno(), streams._unwritable))
    out.buffer.write(data)
    out.buffer.flush()
    reader.join()
    assert got == data
    ours.close()
    theirs.close()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_reserved(closed: str, tmp_path: Path) -> None:
    """A file that is opened later gets none of the numbers 0 to 2."""
    code = (
        "from logsink.cli.terminal import streams\nstreams.take()\n"
        f"file = open({str(tmp_path / 'file')!r}, 'w')\nfile.write(str(file.fileno()))"
    )
    command = f'exec "$0" -c "$1" {closed}'
    subprocess.run(["sh", "-c", command, sys.executable, code], check=True, capture_output=True)
    assert int((tmp_path / "file").read_text()) > 2


def test_a_closed_standard_output_is_an_error() -> None:
    code = (
        "from logsink.cli.terminal import streams\nfrom logsink.errors import OutputError\nstreams.take()\n"
        "try: streams.refuse_closed()\nexcept OutputError as error: import sys; sys.stderr.write(str(error))"
    )
    done = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], check=True, capture_output=True)
    assert done.stderr == b"cannot write to standard output: it is closed"
