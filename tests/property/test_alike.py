"""Any frames from anywhere, in segments of which some are archived: a question finds what it means of the parsed rows.

Real frames, real parser, real rounds: a row is found, and is the same, whether it stands in the journal or in the table.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import fnmatch
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.archive.log import DeltaLog
from logsink.archive.rounds import Rounds
from logsink.flags import Flag
from logsink.journal.segment import Segment, SegmentName, encode_segment
from logsink.parse import FILE_SCHEMA, Frames, Origin, Settings, parse
from logsink.query import Query, search
from logsink.query.request.interpret import to_filter
from logsink.query.request.severities import FACILITIES
from logsink.query.request.terms import GLOB_COLUMNS, SearchTerms
from logsink.store.memory import MemoryStore
from tests.property.test_parse import FRAME
from tests.support.examples import examples

Row = dict[str, Any]

RECEIVED = 1_772_366_400_000_000
SETTINGS = Settings("Europe/Berlin")
ORIGINS = (
    Origin("192.0.2.1", None, "tcp"),
    Origin("2001:db8::1", "CN=web-1,O=Ex\\, Ltd", "relp-tls"),
    Origin(None, None, "relp"),
)


@st.composite
def segments(draw: st.DrawFn) -> list[Segment]:
    """Up to five of one lane, whole reads in each."""
    found, read = [], 0
    for sequence in range(1, draw(st.integers(1, 5)) + 1):
        reads = draw(st.lists(st.lists(FRAME, min_size=1, max_size=4), min_size=1, max_size=3))
        counts = [len(one) for one in reads]
        bodies = [frame for one in reads for frame in one]
        received = RECEIVED + np.arange(read, read + len(reads)) * draw(st.sampled_from((1, 86_400_000_000)))
        codes = draw(st.lists(st.integers(0, len(ORIGINS) - 1), min_size=len(reads), max_size=len(reads)))
        flags = draw(
            st.lists(st.sampled_from((0, 0, int(Flag.MAYBE_RESENT))), min_size=len(reads), max_size=len(reads))
        )
        frames = Frames(
            np.frombuffer(b"".join(bodies), np.uint8),
            np.cumsum([0, *map(len, bodies)]).astype(np.int32),
            np.repeat(np.array(flags, np.int32), counts),
            np.repeat(received.astype(np.int64), counts),
            np.repeat(np.array(codes, np.int32), counts),
            ORIGINS,
        )
        found.append(Segment(SegmentName("r1", 0, sequence), SETTINGS, frames))
        read += len(reads)
    return found


def parsed(some: Sequence[Segment]) -> list[Row]:
    """What the archive has to hold of these segments."""
    rows = []
    for segment in some:
        table = parse(segment.frames, segment.settings, segment.name.receiver).table()
        rows += as_rows([table.select(FILE_SCHEMA.names)])
    return sorted(rows, key=lambda row: (row["time"], row["received"], row["nth"]))


def as_rows(tables: Sequence[pa.Table]) -> list[Row]:
    """Rows with instants as numbers, for years that Python does not know."""
    rows = []
    for table in tables:
        for name in ("time", "received"):
            table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
        rows += table.to_pylist()
    return rows


@st.composite
def questions(draw: st.DrawFn, rows: Sequence[Row]) -> dict[str, Any]:
    """What somebody asks who has one of the rows in mind, as ``SearchTerms`` takes it."""
    row = draw(st.sampled_from(rows))
    asked: dict[str, Any] = {}
    for column in draw(st.lists(st.sampled_from(GLOB_COLUMNS), max_size=3, unique=True)):
        if row[column]:
            asked[column] = (draw(globs(row[column])),)
    message = row["message"]
    if message and draw(st.booleans()):
        at = draw(st.integers(0, len(message) - 1))
        asked["pattern"] = (message[at : at + draw(st.integers(1, 12))],)
        asked["invert_match"] = draw(st.booleans())
    if row["severity"] is not None and draw(st.booleans()):
        asked["priority"] = str(row["severity"])
    if row["facility"] is not None and draw(st.booleans()):
        asked["facility"] = (FACILITIES[row["facility"]],)
    if draw(st.booleans()):
        asked["flag"] = (draw(st.sampled_from(("maybe_resent", "!maybe_resent"))),)
    if draw(st.booleans()):
        asked["since"] = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=RECEIVED)
    return asked


@st.composite
def globs(draw: st.DrawFn, value: str) -> str:
    """What matches ``value``, or all but what does."""
    at = draw(st.integers(0, len(value)))
    glob = "".join(f"[{c}]" if c in "*?[" else c for c in value)
    if draw(st.booleans()):
        glob = "".join(f"[{c}]" if c in "*?[" else c for c in value[:at]) + draw(st.sampled_from(("*", "?*", "?")))
    exclude = draw(st.sampled_from((False, False, True))) or glob.startswith("!")
    return f"!{glob}" if exclude else glob


def meets(row: Row, asked: dict[str, Any]) -> bool:
    """Whether the row is wanted."""
    for column in GLOB_COLUMNS:
        for glob in asked.get(column, ()):
            matched = row[column] is not None and fnmatch.fnmatchcase(row[column], glob.removeprefix("!"))
            if matched is glob.startswith("!"):
                return False
    if "pattern" in asked:
        held = row["message"] is not None and asked["pattern"][0] in row["message"]
        if held is asked["invert_match"]:
            return False
    if "priority" in asked and (row["severity"] is None or row["severity"] > int(asked["priority"])):
        return False
    if "facility" in asked and (row["facility"] is None or FACILITIES[row["facility"]] != asked["facility"][0]):
        return False
    if "flag" in asked and bool(row["flags"] & Flag.MAYBE_RESENT) is asked["flag"][0].startswith("!"):
        return False
    return "since" not in asked or row["time"] >= RECEIVED


@settings(max_examples=examples(80))
@given(st.data())
def test_journal_and_table_answer_alike(data: st.DataObject) -> None:
    some = data.draw(segments())
    rows = parsed(some)
    asked = data.draw(questions(rows))
    archived = data.draw(st.integers(0, len(some)))
    limit = data.draw(st.none() | st.integers(1, 5))
    query = Query(to_filter(SearchTerms(**asked), RECEIVED, dt.UTC), tuple(FILE_SCHEMA.names), limit)

    async def run() -> list[Row]:
        store = MemoryStore()
        for segment in some:
            await store.put(segment.name.key, encode_segment(segment))
        log = DeltaLog(store)
        rounds = Rounds(log)
        snapshot = await log.create()
        if archived:
            await rounds.archive(snapshot, {segment.name: segment for segment in some[:archived]})
        rounds.close()
        async with aclosing(search(store, query)) as found:
            return as_rows([table async for table in found])

    wanted = [row for row in rows if meets(row, asked)]
    assert asyncio.run(run()) == (wanted if limit is None else wanted[-limit:])
