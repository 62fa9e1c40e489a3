"""Questions about one damaged store, of which each asks one thing and has it judged. A check that is taken out names those that
show it (``without``).
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvloop

from logsink.archive.ledger import decode_ledger, encode_ledger, make
from logsink.archive.log import DeltaLog
from logsink.archive.maintenance import Maintenance
from logsink.archive.rounds import Rounds
from logsink.archive.signing import signer
from logsink.archive.snapshot import Snapshot
from logsink.errors import FormatError, NotFound
from logsink.journal import decode_segment
from logsink.parse import FILE_SCHEMA, raw_frames
from logsink.place import Directory, parse
from logsink.store import guarded, open_store
from tests.damage import asks, stores
from tests.damage.aims import false_ledger
from tests.damage.kinds import added
from tests.damage.oracle import Judge
from tests.damage.stores import Frames, Template
from tests.support.relp_client import RelpClient

NEW = 2 * 10**6
"""Number of the first frame that is sent after a damage."""


class Asked(NamedTuple):
    """What a question is about: a copy of ``template`` at ``url``, and the answer's judge."""

    judge: Judge
    url: str
    rng: random.Random

    @property
    def template(self) -> Template:
        return self.judge.template


Question = Callable[[Asked], None]


def _rows(on: Asked, ask: str, run: Callable[[str], asks.Said] = asks.rows, *, repaired: bool = False) -> None:
    on.judge.rows(ask, lambda: run(on.url), repaired=repaired)


def _upkeep(on: Asked) -> bool:
    return on.judge.bug("maintain", asks.upkeep(on.url))


def query(on: Asked) -> None:
    _rows(on, "query")


def newest(on: Asked) -> None:
    _rows(on, "query -r", asks.newest)


def verify(on: Asked) -> None:
    on.judge.verified(asks.verify(on.url))


def verify_ends(on: Asked) -> None:
    """A check that does not read data files whole."""
    on.judge.verified(asks.verify(on.url, deep=False))


def verify_notes(on: Asked) -> None:
    """A check must find something, whatever it names."""
    said = asks.verify(on.url)
    if not on.judge.bug("verify", said.bug) and said.code != 2:
        on.judge.fault("verify", "not verified", said.out.decode(errors="replace") + said.err)


def maintain(on: Asked) -> None:
    """Upkeep never deletes the last copy of a row, of which nothing is damaged."""
    before = copies(on.url)
    if _upkeep(on):
        return
    lost = (before - copies(on.url)) & on.template.sent.keys()
    if lost:
        on.judge.fault("maintain", "lost", f"upkeep has deleted the last copy of {len(lost)} rows: {min(lost)!r}")


def maintained(on: Asked) -> None:
    _upkeep(on)
    _rows(on, "query after maintain")


def adopted(on: Asked) -> None:
    """Nothing is archived into a log that is not what segments know."""
    before = _commits(on.url)
    asyncio.run(stores.maintain(on.url, stores.LATER._replace(orphan_after=-1.0)))
    if more := _commits(on.url) - before:
        on.judge.fault("maintain", "silent", f"a commit in the place of a lost one: {min(more)}")


def _commits(url: str) -> set[str]:
    """The commits that put data files into the table, not those that only set its properties."""

    async def keys() -> set[str]:
        async with open_store(url) as store:
            commits = [entry.key async for entry in store.list("logs/_delta_log/") if entry.key.endswith(".json")]
            return {key for key in commits if added(await store.get(key))}

    return asyncio.run(keys())


def recorded(on: Asked) -> None:
    """What upkeep has recorded as lost is named until an operator accepts it."""
    _upkeep(on)
    verify_notes(on)


def repaired(on: Asked) -> None:
    on.judge.repaired(asks.repair(on.url), asks.verify(on.url))
    _rows(on, "query after repair", repaired=True)


@functools.lru_cache(maxsize=4096)
def frames_of(key: str, body: bytes) -> frozenset[bytes]:
    """The frames that an object holds; none of one that cannot be read."""
    try:
        if key.startswith("journal/"):
            frames = decode_segment(body).frames
            data, ends = frames.data.tobytes(), frames.offsets.tolist()
            return frozenset(data[a:b] for a, b in itertools.pairwise(ends))
        if key.startswith("logs/date="):
            table = pq.read_table(pa.BufferReader(body), partitioning=None)
            return frozenset(
                raw_frames(table.select([n for n in FILE_SCHEMA.names if n in table.column_names])).to_pylist()
            )
    except (FormatError, pa.ArrowException, OSError):
        pass
    return frozenset()


def copies(url: str) -> set[bytes]:
    """The frames of which there is a copy somewhere in a store."""

    async def read() -> set[bytes]:
        found = set[bytes]()
        async with open_store(url) as store:
            for key in [entry.key async for entry in store.list()]:
                if key.startswith(("journal/", "logs/date=")):
                    try:
                        found |= frames_of(key, await store.get(key))
                    except NotFound:
                        continue
        return found

    return asyncio.run(read())


# --- processes that know what was there before


def beneath(on: Asked) -> None:
    """Upkeep that has seen the log as it was writes nothing once that is damaged."""

    async def run() -> tuple[set[str], set[str]]:
        async with open_store(on.url) as store:
            for key in on.judge.changed:
                await store.put(key, on.template.objects[key])
            log = DeltaLog(store)
            await log.load()
            await store.delete(list(on.judge.changed))
            before = {entry.key async for entry in store.list()}
            rounds = Rounds(log)
            maintenance = Maintenance(rounds, stores.DEFAULTS.archive, stores.EAGER)
            try:
                await maintenance.once(thorough=True)
            finally:
                maintenance.close()
                rounds.close()
            return before, {entry.key async for entry in store.list()}

    before, after = asyncio.run(run())
    if before != after:
        on.judge.fault("maintain", "silent", f"upkeep goes on: {min(before ^ after)}")


def received(on: Asked) -> None:
    """A receiver makes no answer right that is wrong."""

    async def run() -> None:
        async with stores.receiving(on.url, patience=5.0) as port:
            await stores.send(port, Frames(NEW).take(24))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    _rows_or_damage(on)


def _rows_or_damage(on: Asked) -> None:
    said = asks.rows(on.url)
    if said.code != 2 and (lost := on.template.sent.keys() - said.frames.keys()):
        on.judge.fault("query after receiver", "silent", f"{len(lost)} rows are missing; {said.err[-600:]}")


# --- a store that is exchanged for another one, and put back, while a receiver runs


def exchanged(on: Asked) -> None:
    """The content of a directory is exchanged while a receiver runs, and put back: what was acknowledged is there."""
    place = parse(on.url)
    assert isinstance(place, Directory)
    frames = Frames(NEW).take(48)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guarded, "FRESH", 0.1)
        patch.setattr(guarded, "EVERY", 0.05)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # on which receivers run
            taken = runner.run(_exchanged(on.url, place.path, frames))
    if lost := set(taken) - set(asks.rows(on.url).frames):
        on.judge.fault("query after receiver", "unusable", f"{len(lost)} of {len(taken)} acknowledged rows are gone")


async def _exchanged(url: str, root: Path, frames: list[bytes]) -> list[bytes]:
    """Send a half of the frames to the store, and the others while it is away; return what was acknowledged."""
    away = root.with_name(root.name + ".away")
    taken: list[bytes] = []
    half = len(frames) // 2
    async with stores.receiving(url, archiving=False) as port:
        await stores.send(port, frames[:half], taken=taken)
        away.mkdir()
        for path in list(root.iterdir()):
            path.rename(away / path.name)
        await asyncio.sleep(0.3)  # the time for which a look at the marker counts is what is tested
        client = RelpClient(port, window=100)
        client.acknowledged = taken
        await client.send(*frames[half:])
        await asyncio.sleep(0.3)
        client.drop()
        acknowledged = list(taken)
        for path in list(root.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in list(away.iterdir()):
            path.rename(root / path.name)
        away.rmdir()
    return acknowledged


# --- ledgers that were kept elsewhere


@functools.cache
def _key() -> Path:
    """A file with a private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path = Path(tempfile.mkdtemp()) / "key.pem"
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def kept_ledger(template: Template, url: str) -> bytes:
    """The signed ledger of the date of a damaged file, or of any, as it was. The log has forgotten its commit meanwhile."""

    async def write() -> bytes:
        async with open_store(f"file://{template.directory}") as store:
            snapshot = await DeltaLog(store).load()
        dates = sorted({file.date for file in snapshot.files.values()})
        async with open_store(url) as store:
            now = await DeltaLog(store).load()
        changed = [file.date for path, file in snapshot.files.items() if path not in now.files]
        made = make(
            snapshot,
            (changed or dates)[0],
            store=snapshot.store,
            by="a test",
            written="2026-11-23T02:00:00+00:00",
            previous=None,
        )
        return encode_ledger(made._replace(version=10**9), signer(_key()))

    return asyncio.run(write())


def _compare(on: Asked, ledger: bytes) -> None:
    path = Path(tempfile.mkdtemp(dir=on.template.directory.parent)) / "ledger.json"
    path.write_bytes(ledger)
    said = asks.command("verify", "--store", on.url, "-q", "--ledger", str(path))
    shutil.rmtree(path.parent)
    if not on.judge.bug("verify --ledger", said.bug) and said.code != 2:
        on.judge.fault("verify --ledger", "not verified", said.out.decode(errors="replace") + said.err)


def ledger(on: Asked) -> None:
    """A ledger that was kept elsewhere contradicts the store."""
    _compare(on, kept_ledger(on.template, on.url))


def ledger_of_commit(on: Asked) -> None:
    """A ledger names the newest commit, which is another one now."""

    async def load() -> Snapshot:
        async with open_store(f"file://{on.template.directory}") as store:
            return await DeltaLog(store).load()

    snapshot, kept = asyncio.run(load()), decode_ledger(kept_ledger(on.template, on.url))
    _compare(on, encode_ledger(kept._replace(version=snapshot.version, commit=snapshot.head, signature=None)))


def forged_ledger(on: Asked) -> None:
    """Somebody has changed the ledger, so that it says what the store has now, and has not its key."""
    body = kept_ledger(on.template, on.url)

    async def today() -> tuple[Mapping[str, tuple[int, int]], int]:
        date = decode_ledger(body).date
        async with open_store(on.url) as store:
            snapshot = await DeltaLog(store).load()
        made = make(snapshot, date, store="", by="", written="", previous=None)
        return made.hours, made.rows

    hours, rows = asyncio.run(today())
    forged = false_ledger(body, hours, rows)
    assert orjson.loads(forged) != orjson.loads(body)
    _compare(on, forged)


QUESTIONS: Mapping[str, Question] = {
    "query": query,
    "query -r": newest,
    "verify": verify,
    "verify, not deep": verify_ends,
    "verify notes": verify_notes,
    "maintain": maintain,
    "query after maintain": maintained,
    "adoption": adopted,
    "verify after maintain": recorded,
    "repair": repaired,
    "exchange": exchanged,
    "beneath": beneath,
    "receiver": received,
    "ledger": ledger,
    "ledger of a commit": ledger_of_commit,
    "forged ledger": forged_ledger,
}
