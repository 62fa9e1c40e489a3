"""What real programs sent, octet for octet (tests/data/capture.py), over real sockets, and the rows it becomes."""

from __future__ import annotations

import asyncio
import json
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from logsink.flags import names
from logsink.kinds import Address
from logsink.net.tcp import TcpConnection
from logsink.net.udp import UdpListener
from logsink.parse import Settings, parse, raw_frames
from tests.support import bench
from tests.support.forms import running
from tests.support.frames import frames_of
from tests.unit.parse.test_senders import COLUMNS

plain_parse = running(compiled=False)(parse)

DATA = Path(__file__).parents[2] / "data"
CAPTURES = {
    f"{file.parent.name}/{file.stem}": file for file in sorted(DATA.glob("*/*.json")) if file.parent.name != "golden"
}


async def received(capture: dict[str, Any]) -> list[tuple[bytes, int]]:
    """Frames and flags, as the listeners take them."""
    made = await bench.make()
    parts = [part.encode("latin-1") for part in capture["data"]]
    try:
        if capture["transport"] == "tcp":
            port = await made.listen(TcpConnection)
            for part in parts:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(part)
                writer.close()
                await bench.until(lambda: made.intake.connections)
                await made.intake.empty.wait()
        else:
            listener = await UdpListener.bound(made.intake, Address("127.0.0.1", 0))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for part in parts:
                    sock.sendto(part, listener.socket.getsockname())
                    await asyncio.sleep(0)
            while len(await made.rows()) < len(parts):  # noqa: ASYNC110
                await asyncio.sleep(0)
            listener.close()
        return [(frame, flags) for frame, flags, _, _ in await made.rows()]
    finally:
        await bench.close(made)


def rows(frames: list[tuple[bytes, int]], time: str) -> list[dict[str, Any]]:
    """Rows as captures write them; the time of receipt is left out."""
    at = int(datetime.fromisoformat(time).timestamp()) * 1_000_000
    given = frames_of([frame for frame, _ in frames], at)
    given.flags[:] = [flags for _, flags in frames]
    table = plain_parse(given, Settings(), "r").table()
    assert raw_frames(table).to_pylist() == [frame for frame, _ in frames]
    return [
        {
            "time": row["time"].isoformat().replace("+00:00", "Z"),
            **{name: row[name] for name in COLUMNS if row[name] is not None},
            "flags": names(row["flags"]),
        }
        for row in table.to_pylist()
    ]


@pytest.mark.parametrize("name", CAPTURES)
async def test_capture(name: str) -> None:
    capture = json.loads(CAPTURES[name].read_text(encoding="utf8"))
    assert rows(await received(capture), capture["received"]) == capture["rows"]


def test_there_are_captures_of_every_sender() -> None:
    senders = {name.partition("/")[0] for name in CAPTURES}
    assert senders >= {"rsyslog", "syslog-ng", "logger", "haproxy", "nginx", "python", "java"}
