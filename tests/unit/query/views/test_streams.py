"""Numbers of streams."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from logsink.query.request.conditions import ExactlyOneOf
from logsink.query.views.streams import Streams

ROWS = pa.table({"host": ["a", "b", "a", None], "app": ["x", "x", "y", "x"]})


def test_each_combination_of_values_has_a_number_and_others_have_none() -> None:
    streams = Streams(("host", "app"), ROWS)
    assert sorted(streams.of(ROWS).tolist()) == [0, 1, 2, 3]
    others = pa.table({"host": ["b", "a", "c", None], "app": ["y", "y", "x", "x"]})
    found = streams.of(others).tolist()
    assert found == [-1, streams.of(ROWS)[2], -1, streams.of(ROWS)[3]]


def test_without_columns_all_rows_are_one_stream() -> None:
    assert Streams((), ROWS).of(ROWS).tolist() == [0, 0, 0, 0]


def test_all_rows_of_a_stream_meet_its_conditions() -> None:
    streams = Streams(("host", "app"), ROWS)
    host, app = streams.conditions(streams.of(ROWS)[[0, 3]])
    assert isinstance(host, ExactlyOneOf) and isinstance(app, ExactlyOneOf)  # noqa: PT018
    assert (set(host.values), set(app.values)) == ({"a", None}, {"x"})
    met = host.mask(ROWS.column("host").combine_chunks()) & app.mask(ROWS.column("app").combine_chunks())
    assert np.flatnonzero(met).tolist() == [0, 3]
