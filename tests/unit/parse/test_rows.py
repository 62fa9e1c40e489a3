"""Columns: codes and dictionaries, tables in any order, what belongs to whom."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from logsink.flags import Flag
from logsink.parse import ROWS_SCHEMA, Frames, Origin, Settings, Workspace, parse
from logsink.parse.schema import CODED_COLUMNS, FILE_SCHEMA
from tests.support.forms import running
from tests.support.frames import frames_of

plain_parse = running(compiled=False)(parse)

FORMS = pytest.mark.usefixtures("either_form")


def test_the_table_has_the_schema_of_the_files() -> None:
    table = plain_parse(frames_of([b"<13>x"]), Settings(), "r").table()
    assert table.schema == ROWS_SCHEMA
    plain = pa.schema(
        [f.with_type(f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in ROWS_SCHEMA]
    )
    assert plain == FILE_SCHEMA
    assert [f.name for f in ROWS_SCHEMA if pa.types.is_dictionary(f.type)] == [
        f.name for f in FILE_SCHEMA if f.name in CODED_COLUMNS
    ]


@FORMS
def test_no_frames() -> None:
    rows = parse(frames_of([]), Settings(), "r")
    assert len(rows) == 0
    assert rows.table() == ROWS_SCHEMA.empty_table()


@FORMS
def test_more_distinct_values_than_any_table_begins_with() -> None:
    count = 3000
    frames = [
        b'<13>1 2026-01-01T00:00:00Z h%d a - - [deploy@32473 role="r%d"] x' % (i % count, i % count)
        for i in range(2 * count)
    ]
    rows = parse(frames_of(frames), Settings(), "r")
    codes, values = rows.code("host")
    assert codes.tolist() == [*range(count)] * 2
    assert values.to_pylist() == [f"h{i}" for i in range(count)]
    assert rows.table()["role"].to_pylist() == [f"r{i}" for i in range(count)] * 2


@FORMS
def test_more_shapes_than_any_table_begins_with() -> None:
    zones = [f"{sign}{hour:02d}:{minute:02d}" for sign in "+-" for hour in range(24) for minute in range(0, 60, 2)]
    frames = [f"<13>1 2026-01-01T00:00:00{zone} - - - - -".encode() for zone in zones]
    table = parse(frames_of(frames), Settings(), "r").table()
    assert table["wire"].null_count == 0
    assert len(set(table["wire"].to_pylist())) == len(zones)


@FORMS
def test_values_that_replacement_makes_equal_are_one() -> None:
    frames = [b"<13>1 - h\xff%d a - - - x" % i for i in (0, 1)] + [b"<13>1 - h\xfe0 a - - - x"]
    codes, values = parse(frames_of(frames), Settings(), "r").code("host")
    assert codes.tolist() == [0, 1, 0]
    assert values.to_pylist() == ["h\ufffd0", "h\ufffd1"]


def test_origins_and_receiver() -> None:
    origins = [
        Origin("192.0.2.1", None, "tcp"),
        Origin(None, "CN=web", "relp-tls"),
        Origin("192.0.2.1", "CN=web", "tls"),
    ]
    frames = frames_of([b"a", b"b", b"c", b"d"])
    frames = Frames(
        frames.data, frames.offsets, frames.flags, frames.received, np.array([2, 0, 1, 0], np.int32), origins
    )
    table = plain_parse(frames, Settings(), "receiver-1").table()
    assert table["sender"].to_pylist() == ["192.0.2.1", "192.0.2.1", None, "192.0.2.1"]
    assert table["identity"].to_pylist() == ["CN=web", None, "CN=web", None]
    assert table["transport"].to_pylist() == ["tls", "tcp", "relp-tls", "tcp"]
    assert table["receiver"].to_pylist() == ["receiver-1"] * 4


def test_what_framing_saw_is_kept() -> None:
    frames = frames_of([b"<13>x", b"<13>1 - - - - - -"])
    frames.flags[:] = [Flag.TRUNCATED, Flag.INFLATED | Flag.MAYBE_RESENT]
    before = frames.flags.copy()
    flags = plain_parse(frames, Settings(), "r").flags.tolist()
    assert flags[0] == Flag.TRUNCATED | Flag.TIME_INFERRED | Flag.UNPARSED
    assert flags[1] == Flag.INFLATED | Flag.MAYBE_RESENT | Flag.TIME_INFERRED
    assert frames.flags.tolist() == before.tolist()


@pytest.mark.parametrize(
    ("sd", "expected"),
    [
        ('[deploy@32473 role="web"]', {"role": "web"}),
        ('[deploy@32473 role=""]', {"role": ""}),
        ('[a b="1"][deploy@32473 instance="i"]', {"instance": "i"}),
        ('[deploy@32473 deploy="1" deploy="2"]', {"deploy": "1"}),
        ('[deploy@32473 deploy="1"][deploy@32473 deploy="2" role="r"]', {"deploy": "1", "role": "r"}),
        ('[deploy@32473 environment="a\\"b\\\\c\\]d\\e"]', {"environment": 'a"b\\c]d\\e'}),
        ("[deploy@32473 role=web instance=i]", {"role": "web", "instance": "i"}),
        ('[deploy@324 role="web"][deploy@324733 role="web"]', {}),
        ('[deploy@32473 roles="web" rol="x" Role="y"]', {}),
        ("[deploy@32473]", {}),
        ('[other@1 role="[deploy@32473 role=\\"x\\"\\]"]', {}),
    ],
)
@FORMS
def test_the_deploy_element(sd: str, expected: dict[str, str]) -> None:
    frame = f"<13>1 - h a - - {sd} x".encode()
    [row] = parse(frames_of([frame]), Settings(), "r").table().to_pylist()
    assert {
        name: row[name] for name in ("environment", "role", "deploy", "instance") if row[name] is not None
    } == expected
    assert row["structured_data"] == sd


def test_the_deploy_element_has_the_configured_name() -> None:
    frame = b'<13>1 - h a - - [deploy@32473 role="no"][mine role="yes"] x'
    [row] = plain_parse(frames_of([frame]), Settings(deploy_sd_id="mine"), "r").table().to_pylist()
    assert row["role"] == "yes"


def test_rows_keep_their_memory_unless_a_workspace_is_shared() -> None:
    first, second = frames_of([b"<13>one"]), frames_of([b"<14>two"])
    alone = plain_parse(first, Settings(), "r").table()
    plain_parse(second, Settings(), "r").table()
    assert alone["message"].to_pylist() == ["one"]
    workspace = Workspace()
    plain_parse(first, Settings(), "r", workspace=workspace).table()
    held = workspace.nbytes
    table = plain_parse(second, Settings(), "r", workspace=workspace).table()
    assert table["message"].to_pylist() == ["two"]
    assert workspace.nbytes == held


def test_many_rows_that_go_back_in_time_within_their_reads() -> None:
    """Each read sorts its times backwards: the count of equal times must not cost its square, nor mix reads."""
    per_read, reads = 500, 20
    frames = [
        b"<13>1 2026-01-01T00:%02d:00Z - - - - -" % (i % 60) for _ in range(reads) for i in range(per_read, 0, -1)
    ]
    received = [read for read in range(reads) for _ in range(per_read)]
    nth = parse(frames_of(frames, received), Settings(), "r").nth.reshape(reads, per_read)
    assert (nth == nth[0]).all()
    assert nth[0].tolist() == [k // 60 for k in range(per_read)]


@FORMS
def test_sizes_are_those_of_the_messages_in_the_table() -> None:
    head = b"<13>1 2026-01-01T00:00:00Z h a - - -"
    frames = [head, head + b" ", head + b" x", head + b" \xff\xfe", head + " é".encode(), b"\xff"]
    rows = parse(frames_of(frames), Settings(), "r")
    assert rows.sizes.tolist() == [0, 0, 1, 6, 2, 3]
    assert [len((text or "").encode()) for text in rows.table()["message"].to_pylist()] == rows.sizes.tolist()
