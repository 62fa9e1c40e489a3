"""More stores, each of which shows what one check finds. They are made when they are asked for."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import orjson

from logsink.archive.chain import MEMBER, parse
from logsink.archive.coverage import Coverage
from logsink.archive.log import DeltaLog
from logsink.archive.snapshot import commit_key
from logsink.journal import SegmentName, decode_segment
from logsink.journal.segment import encode_segment
from logsink.store import open_store
from tests.damage import stores
from tests.damage.aims import LOG, commits
from tests.damage.kinds import kind_of
from tests.damage.stores import LATER, Builder, Template

Bodies = Mapping[str, bytes | None]


def write(template: Template, name: str, bodies: Bodies) -> Template:
    """A store like ``template`` with other contents, which are as they should be, in a directory of its own."""
    directory = Path(tempfile.mkdtemp(prefix="store-", dir=template.directory.parent))
    objects = {key: body for key, body in {**template.objects, **bodies}.items() if body is not None}
    for key, body in objects.items():
        path = directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    counting = template.counting & objects.keys()
    return Template(
        name, objects, template.sent, template.frames, counting, {}, *stores.claims(objects), directory=directory
    )


async def waiting(directory: Path) -> Template:
    """A receiver is gone, with its segments; its files are not merged. What the next one stored waits, and names all that."""
    build = Builder("waiting", directory)
    await build.day(1, 9)
    await build.upkeep(orphan_after=-1.0)
    await build.day(0, 3, archiving=False)
    return await build.finish()


async def merged_again(directory: Path) -> Template:
    """A date was merged, then more of it was archived, and merged with that; the files of both merges are still there."""
    build = Builder("merged again", directory)
    for _ in range(2):
        await build.day(3, 9)
        await build.upkeep(orphan_after=-1.0, compact_after=0.0)
    return await build.finish()


async def checkpointed(template: Template) -> Template:
    """The newest version has a checkpoint."""
    made = write(template, "checkpointed", {})
    await stores.maintain(f"file://{made.directory}", LATER._replace(checkpoint_every=1))
    return write(made, "checkpointed", stores.read_objects(made.directory))


async def older(template: Template) -> Template:
    """An older logsink has made the table: its commits are not sealed, and say less of files."""
    bodies: dict[str, bytes | None] = {}
    for key in template.objects:
        if key.startswith(LOG):
            bodies[key] = _unsealed(template.objects[key]) if kind_of(template, key) == "commit" else None
    return write(template, "older", bodies)


async def older_checkpointed(template: Template) -> Template:
    """The same, with two checkpoints."""
    from deltalake import DeltaTable

    made = write(await older(template), "older, checkpointed", {})
    for version in (commits(made)[-2], commits(made)[-1]):
        DeltaTable(str(made.directory / "logs"), version=version).create_checkpoint()
    return write(made, "older, checkpointed", stores.read_objects(made.directory))


def _unsealed(body: bytes) -> bytes:
    actions = parse(body)
    actions[0]["commitInfo"].pop(MEMBER)
    for one in actions:
        for name in ("add", "remove"):
            one.get(name, {}).pop("tags", None)
    return b"".join(orjson.dumps(one) + b"\n" for one in actions)


async def settled(template: Template) -> Template:
    """A receiver of an older version died before its last commit. Its last segments wait, the others have left the journal."""
    first = min(name.receiver for key in template.objects if (name := SegmentName.from_key(key)) is not None)
    mine = [version for version in commits(template) if first.encode() in template.objects[commit_key(version)]]
    bodies: dict[str, bytes | None] = {}
    for version in range(mine[-1], commits(template)[-1] + 1):
        bodies[commit_key(version)] = None
        adds = [one["add"] for one in parse(template.objects[commit_key(version)]) if "add" in one]
        bodies |= {f"logs/{add['path']}": None for add in adds}
    made = write(template, "settled", bodies)
    async with open_store(f"file://{made.directory}") as store:
        coverage = Coverage(await DeltaLog(store).load())
    for key in made.objects:
        if (name := SegmentName.from_key(key)) is not None:
            segment = decode_segment(made.objects[key])._replace(stored={}, commit=-1)
            bodies[key] = None if coverage.proves(name) else encode_segment(segment).to_pybytes()
    made = write(template, "settled", bodies)
    waits = {key for key in made.objects if key.startswith("journal/")}
    made.counting = frozenset(key for key in made.counting if key.startswith("logs/")) | waits
    return made


async def dormant(template: Template) -> Template:
    """All receivers are dormant, also those whose segments are in the journal."""
    made = write(template, "dormant", {})
    await stores.dormant(f"file://{made.directory}", waiting=True)
    return write(made, "dormant", stores.read_objects(made.directory))


async def merged_alone(template: Template) -> Template:
    """Only files that count are there: what was merged into them is deleted."""
    gone = [key for key in template.objects if key.startswith("logs/date=") and key not in template.counting]
    return write(template, "merged alone", dict.fromkeys(gone))


async def two_lanes(template: Template) -> Template:
    """What waits in the journal is of two lanes, each of whose segments names the last ones of the other."""
    waits = sorted(name for key in template.counting if (name := SegmentName.from_key(key)) is not None)
    lane, other = waits[0].lane, waits[0].lane + 7
    numbers = {lane: waits[0].sequence, other: 1}
    bodies: dict[str, bytes | None] = {name.key: None for name in waits}
    frames = dict(template.frames)
    for at, old in enumerate(name for name in waits if name.lane == lane and name.receiver == waits[0].receiver):
        mine = (lane, other)[at % 2]
        name = old._replace(lane=mine, sequence=numbers[mine])
        stored = {old._replace(lane=one).app_id: last - 1 for one, last in numbers.items() if one != mine and last > 1}
        segment = decode_segment(template.objects[old.key])._replace(name=name, stored=stored)
        bodies[name.key] = encode_segment(segment).to_pybytes()
        frames[name.key] = template.frames[old.key]
        numbers[mine] += 1
    made = write(template, "two lanes", bodies)
    made.frames, made.counting = frames, made.counting | {key for key, body in bodies.items() if body is not None}
    made.sent = sum((frames[key] for key in made.counting), Counter())
    return made


MADE: Mapping[str, Callable[[Path], Awaitable[Template]]] = {"waiting": waiting, "merged again": merged_again}
DERIVED: Mapping[str, tuple[str, Callable[[Template], Awaitable[Template]]]] = {
    "merged alone": ("merged again", merged_alone),
    "checkpointed": ("merged", checkpointed),
    "older": ("running", older),
    "older, checkpointed": ("merged", older_checkpointed),
    "two lanes": ("running", two_lanes),
    "dormant": ("running", dormant),
    "settled": ("running", settled),
}


async def template_of(name: str, known: dict[str, Template]) -> Template:
    """The store of this name: from ``known``, where it is added."""
    if name not in known:
        if name in MADE:
            place = tempfile.mkdtemp(prefix="store-", dir=next(iter(known.values())).directory.parent)
            known[name] = await MADE[name](Path(place))
        else:
            source, make = DERIVED[name]
            known[name] = await make(await template_of(source, known))
    return known[name]
