"""Rows in temporary files, and rows turned around."""

from __future__ import annotations

import pyarrow as pa
import pytest

from logsink.query.columns import as_rows
from logsink.query.order import spill
from logsink.query.order.spill import Backwards, Spill
from tests.unit.query.archives import row, table

COLUMNS = ("time", "host", "message")


def rows(*times: int) -> pa.Table:
    return as_rows(table([row(time, host=f"h{time % 2}", message=str(time)) for time in times]), COLUMNS)


def test_batches_come_back_with_their_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "BATCH", 2)
    kept = Spill()
    kept.write(rows(1, 2, 3))
    kept.write(rows(4))
    kept.finish()
    kept.finish()
    assert len(kept) == 3
    assert kept.read(2) == rows(4)
    assert kept.read(0) == rows(1, 2)
    assert kept.read(1).schema == rows(1).schema


@pytest.mark.parametrize("memory", [0, 500, 1 << 20])
def test_backwards(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "BATCH", 2)
    turned = Backwards(memory)
    for part in ((9, 8, 7), (6,), (5, 4), (3, 2, 1)):
        turned.add(rows(*part))
    assert pa.concat_tables(turned).column("message").to_pylist() == [str(n) for n in range(1, 10)]
