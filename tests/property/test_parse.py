"""Any bytes at all: nothing is lost, nothing is read beyond a frame, and machine code does what the source says."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logsink.flags import Flag
from logsink.parse import RAW_COLUMNS, Settings, Workspace, parse, raw_frames
from logsink.parse.schema import ESCAPED_BYTES, UNESCAPED_COLUMNS, VERBATIM_COLUMNS
from tests.support.examples import examples
from tests.support.forms import running
from tests.support.frames import frames_of

CASES = json.loads((Path(__file__).parents[1] / "data" / "cases.json").read_text())
REAL = [case["frame"].encode(case.get("encoding", "utf-8")) for case in CASES]
RECEIVED = 1_772_366_400_000_000
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Africa/Monrovia"])

# The words that heads are made of, in any order: more of them parse, and go wrong late, than of random bytes.
WORDS = (
    b"<13>|<191>|<192>|<|>|1 |2 |- |-| |  |:|: |[|]|\"|=|\\|%|*|.|,|T|Z|+01:00|-00:00|+2|Jan  1 |Feb 29 |Dec 31 |feb 3 |"
    b"00:00:00|23:59:60|12:00:00.5|12:00:00.1234567|2026 |2026-01-01T|2024-02-29 |0001-01-01T00:00:00+23:59|"
    b"9999-12-31T23:59:59.999999-23:59|host |app: |app[12]: |app[12|2001:db8::1 |::1: |643: |UTC: |%A-1-B: |%SYS-5-CONFIG: |"
    b'[ deploy@32473 |a:b |a:b[1]: |gmt: %A-1-B: |00:11:22:aa:bb:cc |last message repeated |'
    b'[deploy@32473 role="a\\"b" |role=x |deploy="d"]|[x a=b[c] d]|[x y="z"]|Message forwarded from |From h: |'
    b"02/28/2026:09:15:00 GMT |2026:02:28-09:15:00 |28/Feb/2026:09:15:00 |1772270040.5 |RP/0/RSP0/CPU0:|*task: |#A-1-B: |"
    b"info |00077 |"
    b'(2026-02-28T09:15:00) |788a20abcdef,U6: |date=2026-02-28 time=09:15:00 |devname="fw" |tz="+0100" |'
    b'tz="(GMT-3:00)x" |eventtime=1772270040 |'
    b"CEF:0| +0100 | CET |\xef\xbb\xbf|\xff|\xc3\xbc|\xe2\x82|\xed\xa0\x80|\xf0\x9f\x98\x80|\n|\x00|\t|text"
).split(b"|")  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real frame with a few bytes put in, taken out or exchanged, or cut short."""
    frame = bytearray(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(frame)))
        frame[at : at + draw(st.integers(0, 2))] = draw(st.one_of(st.sampled_from(WORDS), st.binary(max_size=2)))
    return bytes(frame[: draw(st.sampled_from([None, -1, 30, len(frame) // 2]))])


FRAME = st.one_of(mutated(), st.lists(st.sampled_from(WORDS), max_size=14).map(b"".join), st.binary(max_size=60))
FRAMES = st.lists(FRAME, max_size=12)


def table_of(frames: list[bytes], zone: str = "UTC", *, compiled: bool = True, **around: bytes) -> pa.Table:
    config = Settings(default_timezone=zone)
    with running(compiled=compiled):
        table = parse(frames_of(frames, RECEIVED, **around), config, "r").table()
    table.validate(full=True)
    return table


@settings(max_examples=examples(200))
@given(FRAMES, ZONES)
@example([b"<13>Oct 25 02:30:00 h t: in an hour that comes twice"], "Europe/Berlin")
@example([b"<13>Mar 29 02:30:00 h t: in an hour that never comes"], "Europe/Berlin")
@example([b"<13>1971-12-31T23:00:00 h t: an offset of -00:44:30"], "Africa/Monrovia")
def test_frames_come_back_byte_for_byte(frames: list[bytes], zone: str) -> None:
    table = table_of(frames, zone)
    assert raw_frames(table).to_pylist() == frames
    assert pc.is_null(table["raw"]).to_pylist() == [w is not None for w in table["wire"].to_pylist()]


@settings(max_examples=examples(200))
@given(FRAMES)
def test_columns_that_are_said_to_stand_in_their_frame_do(frames: list[bytes]) -> None:
    for frame, row in zip(frames, table_of(frames).to_pylist(), strict=True):
        for column in (*VERBATIM_COLUMNS, *UNESCAPED_COLUMNS):
            value = row[column]
            if (
                value is None
                or "\ufffd" in value
                or (column in UNESCAPED_COLUMNS and any(chr(c) in value for c in ESCAPED_BYTES))
            ):
                continue
            assert value.encode() in frame, column


def mutant(chance: random.Random) -> bytes:
    """A real frame, or words, with a few bytes put in, taken out or exchanged: as ``FRAME``, a thousand times faster."""
    if chance.random() < 0.2:
        return b"".join(chance.choices(WORDS, k=chance.randrange(14)))
    frame = bytearray(chance.choice(REAL))
    for _ in range(chance.randrange(5)):
        at = chance.randrange(len(frame) + 1)
        put = chance.choice((b"", chance.choice(WORDS), chance.randbytes(1), bytes(frame[at // 2 : at])))
        frame[at : at + chance.choice((0, 0, 1, 2, 9))] = put
    return bytes(frame[: chance.choice((None, None, None, chance.randrange(80)))])


@settings(max_examples=examples(2))
@given(st.integers(0, 1 << 63))
def test_thousands_of_mutants_come_back(seed: int) -> None:
    chance = random.Random(seed)
    frames = [mutant(chance) for _ in range(4000)]
    table = table_of(frames, chance.choice(("UTC", "Europe/Berlin", "Australia/Lord_Howe")))
    assert raw_frames(table).to_pylist() == frames


@settings(max_examples=examples(25))
@given(FRAMES, st.booleans())
def test_frames_come_back_from_parquet(frames: list[bytes], dictionaries: bool) -> None:
    sink = io.BytesIO()
    pq.write_table(table_of(frames), sink, row_group_size=5, use_dictionary=dictionaries)
    read = pq.read_table(sink, columns=list(RAW_COLUMNS), read_dictionary=["host", "wire"] if dictionaries else [])
    assert raw_frames(read).to_pylist() == frames


@settings(max_examples=examples(100))
@given(FRAMES, ZONES)
def test_machine_code_does_what_the_source_says(frames: list[bytes], zone: str) -> None:
    assert table_of(frames, zone).equals(table_of(frames, zone, compiled=False))


@settings(max_examples=examples(100))
@given(FRAME, st.binary(max_size=20), st.binary(max_size=20))
@example(b"<13>1 2026-01-01T00:00:00Z h a p m", b"", b" - text")
@example(b"<13>1 2026-01-01T00:00:00", b"<1", b"Z h a p m - text")
@example(b"<13>Jan  1 00:00:00 h a[12", b"", b"]: text")
@example(b"text \xe2\x82", b"", b"\xac")
def test_nothing_is_read_beyond_a_frame(frame: bytes, before: bytes, after: bytes) -> None:
    assert table_of([frame], before=before, after=after).equals(table_of([frame]))


@settings(max_examples=examples(60))
@given(FRAMES)
def test_a_row_depends_on_its_frame_only(frames: list[bytes]) -> None:
    """Parsed alone and among others it is the same, ``nth`` excepted."""
    alone = [table_of([frame]).drop_columns(["nth"]).to_pylist()[0] for frame in frames]
    assert table_of(frames).drop_columns(["nth"]).to_pylist() == alone


@settings(max_examples=examples(60))
@given(st.lists(st.sampled_from([b"", b"\xff", b"\xc3", b"\xbc", b"a", b" ", b"\xf0\x9f", b"\xed\xa0"])).map(b"".join))
def test_what_is_not_utf8_is_replaced_as_python_does(text: bytes) -> None:
    [row] = table_of([b"<13>1 2026-01-01T00:00:00Z h\xc3\xbc a p m - " + text]).to_pylist()
    expected = text.decode("utf-8", "replace")
    assert row["message"] == expected.removeprefix("\ufeff")
    assert bool(row["flags"] & Flag.NOT_UTF8) == ("\ufffd" in expected)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 3, 5])), max_size=60))
def test_nth_counts_equal_times_of_a_read(rows: list[tuple[int, int]]) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    frames = frames_of([b"<13>1 2026-01-01T00:00:0%dZ - - - - -" % t for _, t in rows], [read for read, _ in rows])
    seen: Counter[Any] = Counter()
    expected = []
    for row in rows:
        expected.append(seen[row])
        seen[row] += 1
    for compiled in (False, True):
        with running(compiled=compiled):
            assert parse(frames, Settings(), "r").nth.tolist() == expected


@given(FRAMES, FRAMES, st.randoms(use_true_random=False))
def test_any_order_and_a_used_workspace_make_no_difference(
    first: list[bytes], second: list[bytes], chance: random.Random
) -> None:
    order = [chance.randrange(len(second)) for _ in range(chance.randrange(20))] if second else []
    workspace = Workspace()
    parse(frames_of(first, RECEIVED), Settings(), "r", workspace=workspace).table()
    rows = parse(frames_of(second, RECEIVED), Settings(), "r", workspace=workspace)
    taken = table_of(second).take(pa.array(order, pa.int64()))
    assert rows.table(np.array(order, np.int64)).to_pylist() == taken.to_pylist()
