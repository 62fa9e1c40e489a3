"""Tags of data files: what ``add`` and ``remove`` say to prove them comes back from commits and from checkpoints."""

from __future__ import annotations

from pathlib import Path

import deltalake
import orjson

from logsink.archive.fold import Fold
from logsink.archive.log import Add, Remove
from logsink.archive.snapshot import Snapshot, commit_key
from logsink.damage import Damage
from logsink.store.local import LocalStore
from tests.unit.archive.tables import data_file, fresh, log_of

TAGS = (("logsink.lanes", '{"r.0":[[1,2]]}'), ("logsink.sha256", "00ff"))


async def test_tags_come_back(tmp_path: Path) -> None:
    async with LocalStore(tmp_path) as store:
        log = log_of(store)
        tagged = [data_file(name).tagged(TAGS) for name in ("a", "b")]
        snapshot = await log.create()
        version = await log.commit(snapshot, [Add(file) for file in (*tagged, data_file("plain"))])
        before = await fresh(store)
        assert {path: file.tags for path, file in before.files.items()} == {
            tagged[0].path: TAGS,
            tagged[1].path: TAGS,
            data_file("plain").path: (),
        }
        deltalake.DeltaTable(f"{tmp_path}/logs").create_checkpoint()
        assert (await fresh(store)).checkpoint == version
        assert (await fresh(store)).files == before.files

        removal = await log.commit(before, [Remove(tagged[0], data_change=False)])
        lines = [orjson.loads(line) for line in (await store.get(commit_key(removal))).splitlines()]
        assert lines[1]["remove"]["tags"] == dict(TAGS)


def test_tags_are_sorted_and_split_again() -> None:
    for tags in ((), (("a", ""),), (("a", "b"), ("é", "c"))):
        assert data_file("x").tagged(reversed(tags)).tags == tags


def test_a_tag_that_has_a_zero_byte_damages_its_commit() -> None:
    """The digest of the table's state tells texts apart by zero bytes."""
    fold, line = Fold(Snapshot()), Add(data_file("x").tagged(TAGS)).line(0)
    for value, damage in (("a b", False), ("a\0b", True)):
        fold.commit(0, orjson.dumps({"add": line | {"tags": {"logsink.lanes": value}}}))
        assert ["zero byte" in one.what for one in fold.damage] == [True] * damage


def test_what_a_damage_says() -> None:
    assert str(Damage("logs/x", "is missing")) == "logs/x is missing"
    assert str(Damage("logs/x", "is missing", 1)) == "logs/x is missing (1 row)"
    assert str(Damage("logs/x", "is missing", 1200)) == "logs/x is missing (1,200 rows)"
