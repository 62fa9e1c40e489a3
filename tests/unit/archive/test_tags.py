"""Tags of data files: what ``add`` and ``remove`` say to prove them comes back from commits and from checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import deltalake
import orjson

from logsink.archive.log import Add, Remove
from logsink.archive.snapshot import commit_key
from logsink.damage import Damage
from logsink.store.local import LocalStore
from tests.unit.archive.tables import data_file, fresh, log_of

TAGS = (("logsink.lanes", '{"r.0":[[1,2]]}'), ("logsink.sha256", "00ff"))


async def test_tags_come_back(tmp_path: Path) -> None:
    async with LocalStore(tmp_path) as store:
        log = log_of(store)
        tagged = [replace(data_file(name), tags=TAGS) for name in ("a", "b")]
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


def test_what_a_damage_says() -> None:
    assert str(Damage("logs/x", "is missing")) == "logs/x is missing"
    assert str(Damage("logs/x", "is missing", 1)) == "logs/x is missing (1 row)"
    assert str(Damage("logs/x", "is missing", 1200)) == "logs/x is missing (1,200 rows)"
