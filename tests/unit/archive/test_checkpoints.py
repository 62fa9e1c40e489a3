"""Checkpoints are decoded as a whole, to the very files and the very digest to which their commits lead."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.archive.checkpoints import decode_checkpoint
from logsink.archive.fold import DamagedCheckpoint, Fold
from logsink.archive.snapshot import Snapshot

TEXTS = pa.map_(pa.string(), pa.string())
ADD = [("path", pa.string()), ("partitionValues", TEXTS), ("size", pa.int64()), ("stats", pa.string()), ("tags", TEXTS)]
TXN = [("appId", pa.string()), ("version", pa.int64()), ("lastUpdated", pa.int64())]


def checkpoint(*adds: dict[str, Any], fields: list[Any] = ADD) -> bytes:
    rows = [{"add": None, "txn": {"appId": "r.0", "version": 5, "lastUpdated": 7}}]
    rows += [{"add": add, "txn": None} for add in adds]
    sink = io.BytesIO()
    schema = pa.schema([("add", pa.struct(fields)), ("txn", pa.struct(TXN))])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    return sink.getvalue()


def file(path: str, tags: dict[str, str] | None = None, **others: object) -> dict[str, Any]:
    day = [("date", "2026-11-22")]
    return {"path": path, "partitionValues": day, "size": len(path), "stats": '{"numRecords":1}', "tags": tags} | others


FILES = {
    "of one kind": [file("date=2026-11-22/a", {"x": "1", "b": "2"}), file("date=2026-11-22/b", {"b": "3", "x": "é"})],
    "some without tags": [file("a"), file("b", {"x": "1"}), file("c", {}), file("d", {"y": "", "x": "2"}), file("e")],
    "without tags": [file("a"), file("b", stats=None), file("c", stats="")],
    "percent signs": [file("a%20b", {"x": "1"}), file("c%25"), file("d")],
    "several dates": [
        file("a", partitionValues=[("date", "2026-11-22")]),
        file("b", partitionValues=[("x", "y"), ("date", "2026-11-23")]),
    ],
    "none": [],
}


@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
def test_the_digest_is_that_of_the_files_added_one_by_one(files: list[dict[str, Any]]) -> None:
    fold, one_by_one = Fold(Snapshot()), Fold(Snapshot())
    body = checkpoint(*files)
    fold.checkpoint(body)
    for added in decode_checkpoint(body).files.values():
        assert added.tags == tuple(sorted(added.tags))
        one_by_one.add(added)
    one_by_one.move("r.0", 5, 7)
    assert str(fold.state) == str(one_by_one.state)
    assert len(decode_checkpoint(body).files) == len(files)


def test_columns_that_other_programs_leave_out() -> None:
    files = decode_checkpoint(checkpoint(file("a%20b"), fields=ADD[:3])).files
    assert [(one.path, one.statistics, one.tags) for one in files.values()] == [("a b", "{}", ())]


@pytest.mark.parametrize(
    "others",
    [
        {"path": "s3://elsewhere/x"},
        {"path": "%2Fx"},
        {"path": None},
        {"size": None},
        {"partitionValues": []},
        {"partitionValues": [("date", "today")]},
        {"partitionValues": [("date", None)]},
    ],
)
def test_a_file_that_makes_no_sense_damages_its_checkpoint(others: dict[str, object]) -> None:
    with pytest.raises(DamagedCheckpoint):
        Fold(Snapshot()).checkpoint(checkpoint(file("a") | others))
