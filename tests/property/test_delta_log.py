"""Snapshots and commits against an independent implementation: the same files, lanes and version, whatever has happened."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, PostCommitHookProperties
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logsink.archive.log import Add, DeltaLog, Remove, Txn
from logsink.archive.snapshot import DataFile, Snapshot
from logsink.errors import Conflict, Unavailable
from logsink.store.base import Bytes
from logsink.store.local import LocalStore
from tests.support.examples import examples
from tests.unit.archive.tables import foreign

DATE = datetime.date(2026, 11, 22)
LANES = st.dictionaries(st.sampled_from(["r.0", "r.1", "s.0"]), st.integers(1, 3), max_size=2)
NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
LONG_AGO = 40 * 86_400


class Unsure(LocalStore):
    """A directory whose conditional puts can lose their reply, or fail, once."""

    mood = ""

    async def put_absent(self, key: str, body: Bytes) -> bool:
        mood, self.mood = self.mood, ""
        if mood == "fail":
            raise Unavailable("cannot put: made to fail")
        done = await super().put_absent(key, body)
        if mood == "lose":
            raise Unavailable("cannot put: reply lost")
        return done


class Table(RuleBasedStateMachine):
    """``files`` and ``txn`` are what must be in the table at ``version``."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.store = Unsure(self.directory)
        self.log = DeltaLog(self.store, sleep=lambda seconds: asyncio.sleep(0))
        self.files: dict[str, DataFile] = {}
        self.txn: dict[str, int] = {}
        self.version = 0
        self.names = 0
        self.stale: Snapshot | None = None

    def teardown(self) -> None:
        self.run(self.store.aclose())
        self.loop.close()
        shutil.rmtree(self.directory)

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @property
    def oracle(self) -> DeltaTable:
        return DeltaTable(self.directory / "logs")

    def new_file(self) -> DataFile:
        self.names += 1
        statistics = json.dumps({"numRecords": self.names, "minValues": {"host": "a"}})
        return DataFile(f"date={DATE}/f-{self.names}.parquet", DATE, 100 + self.names, statistics)

    @initialize()
    def create(self) -> None:
        self.stale = self.run(self.log.create())

    @rule(adds=st.integers(0, 3), lanes=LANES, remove=st.booleans(), mood=st.sampled_from(["", "", "lose", "fail"]))
    def commit(self, adds: int, lanes: dict[str, int], remove: bool, mood: str) -> None:
        self._commit(self.run(self.log.load()), adds, lanes, remove, mood)

    @rule(lanes=LANES, remove=st.booleans(), mood=st.sampled_from(["", "lose", "fail"]))
    def commit_on_an_old_snapshot(self, lanes: dict[str, int], remove: bool, mood: str) -> None:
        assert self.stale is not None
        self._commit(self.stale, 1, lanes, remove, mood)

    def _commit(self, snapshot: Snapshot, adds: int, lanes: dict[str, int], remove: bool, mood: str) -> None:
        added = [self.new_file() for _ in range(adds)]
        moved = {lane: snapshot.txn.get(lane, 0) + step for lane, step in lanes.items()}
        removed = list(snapshot.files.values())[:1] if remove else []
        actions = [
            *(Add(file) for file in added),
            *(Txn(lane, version) for lane, version in moved.items()),
            *(Remove(file, data_change=True) for file in removed),
        ]
        current = all(self.txn.get(lane, 0) == snapshot.txn.get(lane, 0) for lane in lanes)
        current = current and all(file.path in self.files for file in removed)
        self.store.mood = mood
        try:
            version = self.run(self.log.commit(snapshot, actions))
        except Conflict:
            assert not current
            return
        finally:
            self.store.mood = ""
        assert current
        assert version == self.version + 1
        self._done(added, moved, [file.path for file in removed])

    def _done(self, added: list[DataFile], moved: dict[str, int], removed: list[str]) -> None:
        self.version += 1
        self.txn |= moved
        self.files |= {file.path: file for file in added}
        for path in removed:
            del self.files[path]

    @rule(lanes=LANES, remove=st.booleans())
    def foreign_commit(self, lanes: dict[str, int], remove: bool) -> None:
        """A commit of an older logsink, without a seal."""
        file = self.new_file()
        moved = {lane: self.txn.get(lane, 0) + step for lane, step in lanes.items()}
        removed = list(self.files)[-1:] if remove else []
        values = {"date": str(DATE)}
        now = 1_795_300_000_000
        actions: list[dict[str, object]] = [
            {"txn": {"appId": lane, "version": version, "lastUpdated": now}} for lane, version in moved.items()
        ]
        added = {"path": file.path, "size": file.size, "partitionValues": values, "modificationTime": 1}
        actions.append({"add": added | {"dataChange": True, "stats": file.statistics}})
        gone = {"deletionTimestamp": now, "dataChange": True, "size": 1, "partitionValues": values}
        actions += [{"remove": {"path": path} | gone} for path in removed]
        self.run(foreign(self.store, self.version + 1, *actions))
        self._done([file], moved, removed)

    @rule()
    def keep_this_snapshot(self) -> None:
        self.stale = self.run(self.log.load())

    @rule()
    def checkpoint(self) -> None:
        self.oracle.create_checkpoint()

    @precondition(lambda self: any(self.directory.glob("logs/_delta_log/*.checkpoint.parquet")))
    @rule()
    def clean_up(self) -> None:
        """Everything before the newest checkpoint that a snapshot still in use does not need."""
        checkpoints = sorted(path.name for path in self.directory.glob("logs/_delta_log/*.checkpoint.parquet"))
        for path in self.directory.glob("logs/_delta_log/*"):
            if path.name < checkpoints[-1]:
                os.utime(path, (path.stat().st_mtime - LONG_AGO,) * 2)
        self.oracle.cleanup_metadata()
        self.stale = self.run(self.log.load())

    @invariant()
    def everybody_sees_the_same(self) -> None:
        if not self.directory.joinpath("logs").exists():
            return
        oracle = self.oracle
        actions = pa.table(oracle.get_add_actions(flatten=True)).to_pydict()
        assert oracle.version() == self.version
        assert sorted(actions["path"]) == sorted(self.files)
        assert dict(zip(actions["path"], actions["num_records"], strict=True)) == {
            path: file.rows for path, file in self.files.items()
        }
        for lane in ("r.0", "r.1", "s.0"):
            assert oracle.transaction_version(lane) == self.txn.get(lane)
        for log in (self.log, DeltaLog(self.store)):
            snapshot = self.run(log.load())
            assert snapshot.version == self.version
            assert snapshot.txn == self.txn
            assert {path: (f.size, f.rows) for path, f in snapshot.files.items()} == {
                path: (f.size, f.rows) for path, f in self.files.items()
            }


TestTable = Table.TestCase
TestTable.settings = settings(max_examples=examples(8), stateful_step_count=25, deadline=None)
