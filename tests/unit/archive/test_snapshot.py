"""Reading the table's log: what a snapshot holds, which logs are refused, and listings that do not fit together."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import deltalake
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logsink.archive.log import CONFIGURATION, Remove, Txn
from logsink.archive.snapshot import HINT, LOG, ROOT, DataFile, Snapshot, commit_key
from logsink.errors import Damaged, FormatError
from logsink.journal.segment import SegmentName
from logsink.parse import TABLE_SCHEMA
from logsink.store.base import Entry, Store
from logsink.store.memory import MemoryStore
from tests.support.faulty import FaultyStore
from tests.unit.archive.tables import Clock, add, foreign, fresh, log_of

METADATA = {
    "id": "x",
    "format": {"provider": "parquet", "options": {}},
    "schemaString": deltalake.Schema.from_arrow(TABLE_SCHEMA).to_json(),
    "partitionColumns": ["date"],
    "configuration": {},
}
PROTOCOL = {"minReaderVersion": 1, "minWriterVersion": 2}


def checkpoint_name(version: int, part: int = 0, parts: int = 0) -> str:
    return f"{LOG}{version:020d}.checkpoint" + (f".{part:010d}.{parts:010d}" if parts else "") + ".parquet"


async def checkpoint_of(store: Store, directory: Path) -> pa.Table:
    """What deltalake would write as the checkpoint of the table in ``store``."""
    return checkpointed({entry.key: await store.get(entry.key) async for entry in store.list(LOG)}, directory)


def checkpointed(objects: dict[str, bytes], directory: Path) -> pa.Table:
    for key, body in objects.items():
        (directory / key).parent.mkdir(parents=True, exist_ok=True)
        (directory / key).write_bytes(body)
    deltalake.DeltaTable(directory / "logs").create_checkpoint()
    path = max(directory.glob("logs/_delta_log/*.checkpoint.parquet"))
    return pq.read_table(path)


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


async def table(store: Store, versions: int = 5) -> Snapshot:
    """A table at ``versions``: files v1.., the first removed at version 2, lane r.0 at the version's number."""
    log = log_of(store)
    await log.create()
    for version in range(1, versions + 1):
        snapshot = await log.load()
        gone = [Remove(snapshot.files[path], data_change=True) for path in snapshot.files if version == 2]
        await log.commit(snapshot, [add(f"v{version}"), Txn("r.0", version), *gone])
    return await fresh(store)


def same(a: Snapshot, b: Snapshot) -> bool:
    return (a.version, a.files, a.txn, a.moved, a.tombstones) == (b.version, b.files, b.txn, b.moved, b.tombstones)


async def test_no_table() -> None:
    snapshot = await fresh(MemoryStore())
    assert (snapshot.version, dict(snapshot.files), dict(snapshot.txn)) == (-1, {}, {})


async def test_version_0_is_what_deltalake_would_write() -> None:
    store = MemoryStore()
    await log_of(store).create()
    _, protocol, metadata = (orjson.loads(line) for line in (await store.get(commit_key(0))).splitlines())
    assert protocol["protocol"] == PROTOCOL
    assert json.loads(metadata["metaData"]["schemaString"]) == json.loads(METADATA["schemaString"])
    assert metadata["metaData"]["configuration"] == CONFIGURATION


async def test_a_snapshot_covers_segments_up_to_the_txn_of_their_lane() -> None:
    snapshot = await table(MemoryStore(), 3)
    assert snapshot.covers(SegmentName("r", 0, 3))
    assert not snapshot.covers(SegmentName("r", 0, 4))
    assert not snapshot.covers(SegmentName("r", 1, 1))


@pytest.mark.parametrize("hinted", [True, False])
@pytest.mark.parametrize("parts", [0, 1, 3])
async def test_a_checkpoint_holds_what_its_commits_said(tmp_path: Path, parts: int, hinted: bool) -> None:
    store = MemoryStore()
    expected = await table(store)
    whole = await checkpoint_of(store, tmp_path)
    if hinted:
        await store.put(HINT, b'{"version":5,"size":7}')
    step = -(-len(whole) // (parts or 1))
    for part in range(parts or 1):
        await store.put(
            checkpoint_name(5, part + 1 if parts else 0, parts), parquet(whole[part * step : part * step + step])
        )
    await store.delete([commit_key(version) for version in range(6)])
    found = await fresh(store)
    assert same(found, expected)
    assert found.checkpoint == 5
    await log_of(store).commit(found, [Txn("r.0", 6)])
    assert (await fresh(store)).txn == {"r.0": 6}


async def test_an_incomplete_checkpoint_does_not_count(tmp_path: Path) -> None:
    store = MemoryStore()
    expected = await table(store)
    whole = parquet(await checkpoint_of(store, tmp_path))
    await store.put(checkpoint_name(5, 1, 2), whole)
    await store.put(HINT, b'{"version":5,"size":7,"parts":2}')
    found = await fresh(store)
    assert same(found, expected)
    assert found.checkpoint == -1


@pytest.mark.parametrize("hint", [b"", b"{}", b"[]", b'{"version":null}', b'{"version":3}', b'{"version":99}', b"\xff"])
async def test_the_hint_is_only_a_hint(hint: bytes) -> None:
    store = MemoryStore()
    expected = await table(store)
    await store.put(HINT, hint)
    assert same(await fresh(store), expected)


async def test_other_objects_in_the_log_are_passed_over() -> None:
    store = MemoryStore()
    expected = await table(store)
    for name in (
        "00000000000000000003.00000000000000000004.compacted.json",
        "00000000000000000003.crc",
        "x.json",
        "99999999999999999999.json",
        "99999999999999999999.checkpoint.parquet",
        "_x/y",
    ):
        await store.put(LOG + name, b"?")
    assert same(await fresh(store), expected)


async def test_a_missing_commit_is_damage_after_a_few_listings() -> None:
    store = MemoryStore()
    await table(store)
    await store.delete([commit_key(3)])
    found = await fresh(store)
    assert list(map(str, found.damage)) == [f"{commit_key(3)} is missing"]
    assert found.version == 5


async def test_a_commit_gone_between_listing_and_reading_means_list_again(tmp_path: Path) -> None:
    class CleanedUp(MemoryStore):
        """Commit 2 vanishes, with all up to the checkpoint that appears, when somebody has listed it and wants it."""

        body = b""

        async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            if key == commit_key(2) and self.body:
                await self.delete([commit_key(version) for version in range(6)])
                await self.put(checkpoint_name(5), self.body)
            return await super().get(key, start, end)

    store = CleanedUp()
    expected = await table(store)
    store.body = parquet(await checkpoint_of(store, tmp_path))
    found = await fresh(store)
    assert found.checkpoint == 5
    assert same(found, expected)


async def test_known_commits_are_not_read_again_while_their_listing_stands(tmp_path: Path) -> None:
    store, clock = FaultyStore(MemoryStore()), Clock()
    await table(store)
    log = log_of(store, clock)
    first = await log.load()
    store.calls.clear()
    clock.time += 5
    again = await log.load()
    assert again.loaded == first.loaded + 5
    assert same(again, first)
    await log_of(store).commit(again, [Txn("r.0", 6)])
    store.calls.clear()
    assert (await log.load()).txn == {"r.0": 6}
    assert [call.key for call in store.calls if call.verb == "get"] == [commit_key(6)]
    body = parquet(await checkpoint_of(store, tmp_path))
    await store.put(checkpoint_name(6), body)
    store.calls.clear()
    assert (await log.load()).checkpoint == 6
    assert not [call.key for call in store.calls if call.verb == "get"], "nothing that is known is read from it"


async def test_a_cached_version_that_is_gone_is_forgotten() -> None:
    store = MemoryStore()
    log = log_of(store)
    await table(store)
    await log.load()
    await store.delete([entry.key async for entry in store.list()])
    await table(store, 2)
    assert (await log.load()).version == 2


@pytest.mark.parametrize(
    ("protocol", "metadata", "text"),
    [
        ({"minReaderVersion": 2, "minWriterVersion": 2}, {}, "protocol"),
        ({"minReaderVersion": 1, "minWriterVersion": 3}, {}, "protocol"),
        ({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"]}, {}, "deletionVectors"),
        (PROTOCOL, {"partitionColumns": ["date", "host"]}, "partitioned"),
        (PROTOCOL, {"partitionColumns": []}, "partitioned"),
        (PROTOCOL, {"format": {"provider": "orc"}}, "Parquet"),
        (PROTOCOL, {"configuration": {"delta.setTransactionRetentionDuration": "interval 1 day"}}, "forget"),
        (PROTOCOL, {"schemaString": "{"}, "schema"),
        (PROTOCOL, {"schemaString": METADATA["schemaString"].replace('"host"', '"hast"')}, "column host"),
        (PROTOCOL, {"schemaString": METADATA["schemaString"].replace('"byte"', '"short"')}, "column facility"),
        (PROTOCOL, {"schemaString": METADATA["schemaString"].replace('"nullable":true', '"nullable":false')}, "column"),
    ],
)
async def test_a_table_that_is_not_ours_is_refused(
    protocol: dict[str, object], metadata: dict[str, object], text: str
) -> None:
    store = MemoryStore()
    await foreign(store, 0, {"protocol": protocol}, {"metaData": METADATA | metadata})
    with pytest.raises(FormatError, match=text):
        await fresh(store)


async def test_a_first_commit_that_describes_no_table_is_damage() -> None:
    store = MemoryStore()
    await foreign(store, 0, {"protocol": {}}, {"metaData": METADATA})
    assert [str(one) for one in (await fresh(store)).damage] == [f"{commit_key(0)} holds no protocol or no metadata"]


async def test_a_table_that_somebody_upgrades_is_refused_from_then_on() -> None:
    store = MemoryStore()
    log = log_of(store)
    await log.create()
    await foreign(store, 1, {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7}})
    with pytest.raises(FormatError, match="protocol"):
        await log.load()


@pytest.mark.parametrize("name", ["parquet", "json"])
async def test_a_checkpoint_of_the_second_kind_is_refused(name: str) -> None:
    store = MemoryStore()
    await table(store, 1)
    await store.put(f"{LOG}{1:020d}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.{name}", b"")
    with pytest.raises(FormatError, match="second kind"):
        await fresh(store)


async def test_columns_of_a_newer_version_are_tolerated() -> None:
    store = MemoryStore()
    newer = deltalake.Schema.from_arrow(TABLE_SCHEMA.append(pa.field("colour", pa.string()))).to_json()
    await foreign(store, 0, {"protocol": PROTOCOL}, {"metaData": METADATA | {"schemaString": newer}})
    log = log_of(store)
    assert await log.commit(await log.load(), [add("a")]) == 1
    stricter = deltalake.Schema.from_arrow(
        TABLE_SCHEMA.append(pa.field("colour", pa.string(), nullable=False))
    ).to_json()
    await foreign(store, 2, {"metaData": METADATA | {"schemaString": stricter}})
    with pytest.raises(FormatError, match="colour"):
        await log.load()


@pytest.mark.parametrize(
    "action",
    [
        {"add": {"path": "x"}},
        {"add": {"path": "s3://elsewhere/x", "size": 1, "partitionValues": {"date": "2026-11-22"}}},
        {"add": {"path": "x", "size": 1, "partitionValues": {"date": None}}},
        {"add": {"path": "x", "size": 1, "partitionValues": {}}},
        {"txn": {"version": 1}},
        {"remove": []},
    ],
)
async def test_a_commit_that_makes_no_sense_is_damage(action: dict[str, object]) -> None:
    store = MemoryStore()
    await table(store, 1)
    await foreign(store, 2, action)
    (damage,) = (await fresh(store)).damage
    assert damage.key == commit_key(2)
    with pytest.raises(Damaged, match=f"cannot commit in memory://: {commit_key(2)} cannot be read"):
        await log_of(store).commit(await fresh(store), [add("b")])


@pytest.mark.parametrize("body", [b"{", b"[]\n", b"1\n"])
async def test_bytes_that_are_no_commit_are_damage(body: bytes) -> None:
    store = MemoryStore()
    await table(store, 1)
    await store.put(commit_key(2), body)
    assert [damage.key for damage in (await fresh(store)).damage] == [commit_key(2)]


DAMAGES = {
    "half": lambda body: body[: len(body) // 2],
    "empty": lambda _: b"",
    "no footer": lambda body: body[:-8] + bytes(8),
    "another file": lambda _: b"PAR1",
}


async def more(store: Store, commits: int) -> Snapshot:
    """The table after so many commits more."""
    log = log_of(store)
    for _ in range(commits):
        snapshot = await log.load()
        await log.commit(snapshot, [add(f"v{snapshot.version + 1}"), Txn("r.0", snapshot.version + 1)])
    return await fresh(store)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize("hinted", [True, False])
async def test_a_damaged_checkpoint_is_passed_over(
    damage: str, older: bool, hinted: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An older one and the commits say the same, or the commits alone; it is said once."""
    store = MemoryStore()
    await table(store, 4)
    if older:
        await store.put(checkpoint_name(4), parquet(await checkpoint_of(store, tmp_path / "4")))
        await store.put(HINT, orjson.dumps({"version": 4}))
    await more(store, 5)
    whole = parquet(await checkpoint_of(store, tmp_path / "9"))
    expected = await more(store, 4)
    await store.put(checkpoint_name(9), DAMAGES[damage](whole))
    if hinted:
        await store.put(HINT, orjson.dumps({"version": 9}))
    log = log_of(store)
    for _ in range(3):
        found = await log.load()
        assert same(found, expected)
        assert found.checkpoint == (4 if older else -1)
    assert found.version == 13
    assert [record.message.partition(" is damaged")[0] for record in caplog.records] == ["the checkpoint of version 9"]
    await more(store, 1)
    assert (await log.load()).version == 14


async def test_a_damaged_checkpoint_whose_commits_are_gone_is_damage(tmp_path: Path) -> None:
    """Also where everything after it is gone: an older version must not be taken for the newest."""
    store = MemoryStore()
    await table(store, 9)
    await store.put(checkpoint_name(9), b"")
    for missing in ([8, 9], range(10)):
        await store.delete([commit_key(version) for version in missing])
        found = await fresh(store)
        gap = f"{commit_key(missing[0])} is missing, as are the commits after it up to version 9"
        assert list(map(str, found.damage)) == [gap, f"{checkpoint_name(9)} cannot be used"]


@pytest.mark.parametrize("left", [[], [HINT], [f"{LOG}00000000000000000009.crc"]])
async def test_data_files_without_a_log_are_no_new_table(left: list[str]) -> None:
    store = MemoryStore()
    await store.put(f"{ROOT}date=2026-11-22/a.parquet", b"rows")
    for key in left:
        await store.put(key, b"{}")
    assert [damage.key for damage in (await fresh(store)).damage] == [LOG]
    with pytest.raises(Damaged, match=r"logs/_delta_log/ is gone, and data files are there") as caught:
        await log_of(store).create()
    assert "lifecycle" in caught.value.hint
    assert len([entry async for entry in store.list()]) == 1 + len(left)


async def test_a_table_made_while_its_log_was_looked_for_is_no_damage() -> None:
    """Another receiver has made the table, and put data files, between two listings."""
    inner = MemoryStore()
    lists = 0

    async def made() -> None:
        await table(inner, 2)
        await inner.put(f"{ROOT}date=2026-11-22/a.parquet", b"rows")

    class Late(MemoryStore):
        async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
            nonlocal lists
            lists += 1
            if lists == 2:
                await made()
            async for entry in inner.list(prefix, after):
                yield entry

        async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            return await inner.get(key, start, end)

    assert (await fresh(Late())).intact
    assert lists > 2


def test_statistics() -> None:
    text = orjson.dumps(
        {
            "numRecords": 3,
            "minValues": {"time": "2026-11-22T00:00:00.000001Z", "received": "2026-11-22T00:00:00.123Z", "host": "a"},
            "maxValues": {
                "time": "2026-11-22T00:00:00Z",
                "received": "2026-11-22T00:00:00.123Z",
                "severity": 7,
                "app": None,
            },
            "nullCount": {"time": 0, "app": 3},
        }
    ).decode()
    stats = DataFile("x", datetime.date(2026, 11, 22), 1, text).stats
    midnight = 1_795_305_600_000_000
    assert stats.rows == 3
    assert stats.minimum == {"time": midnight + 1, "received": midnight + 123_000, "host": "a"}
    assert stats.maximum == {"time": midnight, "received": midnight + 123_999, "severity": 7}
    assert stats.nulls == {"time": 0, "app": 3}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"numRecords":null}', '{"numRecords":1,"minValues":3}'])
def test_statistics_without_a_row_count_are_refused(text: str) -> None:
    with pytest.raises(FormatError, match="statistics"):
        _ = DataFile("x", datetime.date(2026, 11, 22), 1, text).stats
