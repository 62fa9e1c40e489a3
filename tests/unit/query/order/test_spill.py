"""Rows in temporary files, and rows turned around."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from logsink.errors import SpillError
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


def test_batches_of_long_rows_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "_BATCH_BYTES", 10_000)
    long = as_rows(table([row(n, message="x" * (n * 1000)) for n in range(20)]), COLUMNS)
    kept = Spill()
    kept.write(long)
    kept.write(long.slice(0, 0))
    kept.finish()
    batches = [kept.read(index) for index in range(len(kept))]
    assert pa.concat_tables(batches).column("time").equals(pa.chunked_array(long.column("time").chunks))
    assert all(batch.num_rows == 1 or batch.nbytes <= 10_100 for batch in batches)
    assert 10 < len(batches) < 20


def test_a_directory_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(
        SpillError, match=r"cannot write what does not fit into memory to .*gone: no such file"
    ) as found:
        Spill()
    assert "TMPDIR" in found.value.hint


FULL = """
import pyarrow as pa
from logsink.errors import SpillError
from logsink.query.order.spill import Spill
spill = Spill()
try:
    for n in range(1000):
        spill.write(pa.table({"a": [str(k * n * 7919) for k in range(3000)]}))
    spill.finish()
except SpillError as error:
    print(error)
"""


def test_a_full_disk() -> None:
    """A limit of the size of files is as good."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, preexec_fn=limited, check=True)
    assert done.stdout.startswith(b"cannot write what does not fit into memory to /")
    assert done.stdout.endswith(b": file too large\n")
    assert not done.stderr
