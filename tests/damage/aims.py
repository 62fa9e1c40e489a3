"""Aimed damages: what only one check can find. Most rewrite the table's log consistently, as a faulty writer or a person would.

Each takes what ``damages`` do, and returns new contents by key; nothing where the template has nothing to be damaged so.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from logsink.archive.chain import MEMBER, parse, seal
from logsink.archive.fold import Fold
from logsink.archive.ledger import decode_ledger, encode_ledger
from logsink.archive.log import DeltaLog
from logsink.archive.proof import chunk_span, footer_size
from logsink.archive.snapshot import Snapshot, commit_key
from logsink.journal import SegmentName, decode_segment
from logsink.store import MARKER
from logsink.store.marker import decode_marker, encode_marker
from logsink.store.memory import MemoryStore
from tests.damage.kinds import added, kind_of, lane_of, version_of
from tests.damage.stores import Template

Bodies = Mapping[str, bytes | None]
Actions = list[dict[str, Any]]
Aim = Callable[[random.Random, Template], Bodies]

LOG = "logs/_delta_log/"


def live(template: Template) -> list[str]:
    """The keys of the live data files."""
    return sorted(key for key in template.counting if key.startswith("logs/date="))


def commits(template: Template) -> list[int]:
    """The versions whose commits are there."""
    return sorted(version_of(key) for key in template.objects if kind_of(template, key) == "commit")


def rewritten(template: Template, edit: Callable[[int, Actions], None]) -> dict[str, bytes | None]:
    """The log without checkpoints, sealed as it should be, after ``edit`` has changed the actions of each version."""
    versions = commits(template)
    if versions[0]:  # the log begins with a checkpoint
        return {}
    bodies: dict[str, bytes | None] = {
        key: None for key in template.objects if key.startswith(LOG) and kind_of(template, key) != "commit"
    }
    fold = Fold(Snapshot())
    for version in versions:
        actions = parse(template.objects[commit_key(version)])
        said = actions[0]["commitInfo"].pop(MEMBER)
        edit(version, actions)
        state = fold.state_after(actions)
        body = seal(actions, version=version, store=said["store"], previous=fold.head, state=state)
        fold.commit(version, body)
        bodies[commit_key(version)] = body
    assert not fold.damage, fold.damage
    return bodies


def lanes_of(template: Template, key: str) -> dict[str, list[list[int]]]:
    """The lanes whose rows a live file holds, as the log says."""
    for version in commits(template):
        for action in parse(template.objects[commit_key(version)]):
            if (add := action.get("add")) and f"logs/{add['path']}" == key:
                return orjson.loads(add.get("tags", {}).get("logsink.lanes", "{}"))  # type: ignore[no-any-return]
    return {}


def lower_positions(rng: random.Random, template: Template) -> Bodies:
    """Lanes that are dormant are said to stand before where they do."""
    bodies: dict[str, bytes | None] = {}
    for key in sorted(key for key in template.objects if key.startswith("dormant/")):
        said = orjson.loads(template.objects[key])
        for lanes in said["lanes"].values():
            lanes.update({lane: max(0, last - 2) for lane, last in lanes.items()})
        bodies[key] = orjson.dumps(said, option=orjson.OPT_SORT_KEYS) + b"\n"
    return bodies


def later(template: Template, *, first: bool = False) -> list[str]:
    """Live files that are not merged, and hold later segments of lanes of which others hold earlier ones; or ``first`` ones."""
    found = []
    for key in live(template):
        lanes = lanes_of(template, key)
        begins = [one[0][0] for one in lanes.values()]
        if begins and kind_of(template, key) == "file" and (min(begins) == 1 if first else min(begins) > 1):
            found.append(key)
    return found


def _without(*paths: str) -> Callable[[int, Actions], None]:
    def edit(_: int, actions: Actions) -> None:
        actions[:] = [
            one for one in actions if not any((one.get(name) or {}).get("path") in paths for name in ("add", "remove"))
        ]

    return edit


def forgotten(rng: random.Random, template: Template) -> Bodies:
    """The log never knew one of the live files, which is still there."""
    key = rng.choice(later(template))
    return rewritten(template, _without(key.removeprefix("logs/")))


def vanished(rng: random.Random, template: Template) -> Bodies:
    """The log never knew one of the live files, which is gone."""
    return _vanished(template, rng.choice(later(template)))


def vanished_first(rng: random.Random, template: Template) -> Bodies:
    """The same of the first file of a lane, as if its rows had been retired."""
    return _vanished(template, rng.choice(later(template, first=True)))


def _vanished(template: Template, *keys: str) -> Bodies:
    bodies = rewritten(template, _without(*(key.removeprefix("logs/") for key in keys)))
    return {**bodies, **dict.fromkeys(keys)} if bodies else {}


def doubled(rng: random.Random, template: Template) -> Bodies:
    """The log has one of the live files twice, by two names."""
    key = rng.choice(live(template))
    path = key.removeprefix("logs/")
    other = path.removesuffix(".parquet")[:-1] + ("0" if path[-9] != "0" else "1") + ".parquet"

    def edit(_: int, actions: Actions) -> None:
        actions += [
            {"add": {**one["add"], "path": other}} for one in actions if (one.get("add") or {}).get("path") == path
        ]

    bodies = rewritten(template, edit)
    return {**bodies, f"logs/{other}": template.objects[key]} if bodies else {}


def other_digests(rng: random.Random, template: Template) -> Bodies:
    """The log has other row digests for one of the live files, as of other rows."""
    path = rng.choice(live(template)).removeprefix("logs/")

    def edit(_: int, actions: Actions) -> None:
        for one in actions:
            if (add := one.get("add")) and add["path"] == path:
                hours = orjson.loads(add["tags"]["logsink.digests"])
                hour = rng.choice(sorted(hours))
                hours[hour][1] = f"{int(hours[hour][1], 16) ^ 1:032x}"
                add["tags"]["logsink.digests"] = orjson.dumps(hours).decode()

    return rewritten(template, edit)


def other_times(rng: random.Random, template: Template) -> Bodies:
    """The log says the same of the table, by commits of which one has another time."""
    chosen = rng.choice(commits(template)[:-1])

    def edit(version: int, actions: Actions) -> None:
        if version == chosen:
            actions[0]["commitInfo"]["timestamp"] += 1000

    return rewritten(template, edit)


def begun_anew(rng: random.Random, template: Template) -> Bodies:
    """Somebody has put an empty table in the place of the log."""
    del rng

    async def version_0() -> bytes:
        store = MemoryStore()
        await DeltaLog(store, store_id=decode_marker(template.objects[MARKER]).id).create()
        return await store.get(commit_key(0))

    return {key: None for key in template.objects if key.startswith(LOG)} | {commit_key(0): asyncio.run(version_0())}


def newest_commit(rng: random.Random, template: Template) -> Bodies:
    """The newest commit of data files is lost, with all that came after it."""
    del rng
    last = max(version_of(key) for key, body in template.objects.items() if added(body))
    return {key: None for key in template.objects if version_of(key) >= last}


def newest_segment(rng: random.Random, template: Template) -> Bodies:
    """The newest segment of a lane is lost that a segment of another lane names."""
    names = [name for key in template.counting if (name := SegmentName.from_key(key)) is not None]
    claims: dict[str, int] = {}
    for name in names:
        claims.update(decode_segment(template.objects[name.key]).stored)
    ends = {name.app_id: name for name in sorted(names)}
    named = sorted(name for app_id, name in ends.items() if claims.get(app_id) == name.sequence)
    return {rng.choice(named).key: None} if named else {}


def segment_between(rng: random.Random, template: Template) -> Bodies:
    """A segment is lost that no commit covers, and after which others of its lane are there."""
    keys = sorted(key for key in template.counting if lane_of(key))
    between = [key for key, after in itertools.pairwise(keys) if lane_of(key) == lane_of(after)]
    return {rng.choice(between): None} if between else {}


def merge_before(rng: random.Random, template: Template) -> Bodies:
    """The commit of a merge is lost whose output was merged again."""
    merges = [v for v in commits(template) if b'"OPTIMIZE"' in template.objects[commit_key(v)]]
    return {commit_key(rng.choice(merges[:-1])): None} if len(merges) > 1 else {}


def bit_of_newest_commit(rng: random.Random, template: Template) -> Bodies:
    """One bit of the newest commit is flipped, in its time."""
    key = commit_key(commits(template)[-1])
    body = bytearray(template.objects[key])
    body[body.index(b'"timestamp":') + len(b'"timestamp":') + rng.randrange(1, 13)] ^= 1
    return {key: bytes(body)}


def bit_of_segment(rng: random.Random, template: Template) -> Bodies:
    """One bit of a segment is flipped, that no commit covers, so that its stream can still be read and says other frames."""
    key = rng.choice(sorted(key for key in template.counting if lane_of(key)))
    body = template.objects[key]
    for _ in range(2000):
        flipped = bytearray(body)
        flipped[rng.randrange(len(body) - 24)] ^= 1 << rng.randrange(8)
        with suppress(pa.ArrowException, OSError, ValueError, KeyError):
            if _frames_in(bytes(flipped)) != _frames_in(body):
                return {key: bytes(flipped)}
    return {}


def _frames_in(body: bytes) -> object:
    table = pa.ipc.open_stream(body[:-24]).read_all()
    table.validate(full=True)
    return table["frame"].to_pylist()


def bit_of_rows(rng: random.Random, template: Template) -> Bodies:
    """One bit of a data file is flipped, in the pages of its messages."""
    key = rng.choice(later(template) or live(template))
    body = bytearray(template.objects[key])
    metadata = pq.read_metadata(pa.BufferReader(bytes(body)))
    column = metadata.row_group(0).column(metadata.schema.names.index("message"))
    start, end = chunk_span(column)
    body[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    return {key: bytes(body)}


def thinner(rng: random.Random, template: Template) -> Bodies:
    """A checkpoint lacks one of its files."""
    keys = sorted(key for key in template.objects if kind_of(template, key) == "checkpoint")
    if not keys:
        return {}
    key = rng.choice(keys)
    table = pq.read_table(pa.BufferReader(template.objects[key]), partitioning=None)
    gone = rng.choice([row for row, add in enumerate(table["add"].to_pylist()) if add is not None])
    left = [row for row in range(table.num_rows) if row != gone]
    sink = pa.BufferOutputStream()
    pq.write_table(table.take(left), sink)
    return {key: sink.getvalue().to_pybytes()}


def thinner_alone(rng: random.Random, template: Template) -> Bodies:
    """The newest checkpoint lacks one of its files, and the commit that proves it is gone."""
    newest = max(version_of(key) for key in template.objects if kind_of(template, key) == "checkpoint")
    log = {key: body for key, body in template.objects.items() if version_of(key) == newest}
    return {**thinner(rng, replace(template, objects=log)), commit_key(newest): None}


def foreign(rng: random.Random, template: Template) -> Bodies:
    """Another program takes a file out of the table."""
    path = rng.choice(live(template)).removeprefix("logs/")
    version = max(map(version_of, template.objects)) + 1
    remove = {"path": path, "deletionTimestamp": 1795920000000, "dataChange": True}
    lines = [{"commitInfo": {"timestamp": 1795920000000, "engineInfo": "delta-rs:py-1.0.0"}}, {"remove": remove}]
    return {commit_key(version): b"".join(orjson.dumps(line) + b"\n" for line in lines)}


def no_log(rng: random.Random, template: Template) -> Bodies:
    """All of the log is lost."""
    del rng
    return {key: None for key in template.objects if key.startswith(LOG)}


def no_log_and_a_bit(rng: random.Random, template: Template) -> Bodies:
    """All of the log is lost, and a bit of the rows of a data file is flipped."""
    return {**no_log(rng, template), **bit_of_rows(rng, template)}


def vanished_date(rng: random.Random, template: Template) -> Bodies:
    """The log never knew the files of a date, which are gone, with their lanes. It has a ledger, and is not the oldest."""
    dates = sorted({key.split("/")[1].removeprefix("date=") for key in live(template)})
    date = rng.choice([date for date in dates[1:] if f"ledger/{date}.json" in template.objects])
    gone = [key for key in live(template) if f"/date={date}/" in key]
    return _vanished(template, *gone)


def miscounted(rng: random.Random, template: Template) -> Bodies:
    """A commit of an older version says another number of rows of a file."""
    keys = [key for key in template.objects if kind_of(template, key) == "commit"]
    key = rng.choice([key for key in sorted(keys) if b"numRecords" in template.objects[key]])
    body = template.objects[key]
    at = body.index(b"numRecords") + len(b'numRecords\\":')
    return {key: body[:at] + bytes([body[at] ^ 1 or ord("2")]) + body[at + 1 :]}


def bit_of_bounds(rng: random.Random, template: Template) -> Bodies:
    """One bit of a data file is flipped, in the least or greatest host that its footer says."""
    key = rng.choice(live(template))
    body = bytearray(template.objects[key])
    start = len(body) - footer_size(bytes(body[-8:]))
    places = [at for at in range(start, len(body)) if body[at : at + 4] == b"web-"]
    body[rng.choice(places)] ^= 2
    return {key: bytes(body)}


def bit_of_magic(rng: random.Random, template: Template) -> Bodies:
    """One bit of a data file is flipped, before its first column chunk."""
    key = rng.choice(live(template))
    body = bytearray(template.objects[key])
    body[rng.randrange(4)] ^= 1 << rng.randrange(8)
    return {key: bytes(body)}


def merged_file(rng: random.Random, template: Template) -> Bodies:
    """A merged file is lost whose inputs are still there."""
    keys = [key for key in live(template) if kind_of(template, key) == "file, merged"]
    return {rng.choice(keys): None} if keys else {}


def other_marker(rng: random.Random, template: Template) -> Bodies:
    """The marker is that of another store."""
    marker = decode_marker(template.objects[MARKER])
    return {MARKER: encode_marker(marker._replace(id=marker.id[:-4] + f"{rng.randrange(1 << 16):04x}"))}


def false_ledger(body: bytes, hours: Mapping[str, tuple[int, int]], rows: int) -> bytes:
    """A ledger with other sums, under the signature that it had."""
    ledger = decode_ledger(body)
    forged = ledger._replace(hours=dict(hours), rows=rows, signature=None, objects=())
    members = orjson.loads(encode_ledger(forged)) | {"signature": ledger.signature and ledger.signature._asdict()}
    return orjson.dumps(members)
