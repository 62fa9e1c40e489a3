"""Ledgers, checked: those of the store prove themselves, and one that was kept elsewhere proves the rows of its date.

``verify_ledger`` believes nothing that the store says about itself: it reads the date's data files whole, and computes the
digests of their rows anew. So it also finds what somebody changed who rewrote the table's log and every checksum.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from logsink.archive import (
    LEDGERS,
    DataFile,
    DeltaLog,
    Difference,
    Digests,
    Ledger,
    check_signature,
    commit_key,
    decode_ledger,
    differences,
    digests_of_body,
    hours_of,
    ledger_date,
    names_commit,
    run_concurrently,
    sums,
)
from logsink.errors import FormatError, NotFound
from logsink.integrity.findings import Progress
from logsink.integrity.survey import get_or_none
from logsink.store import MARKER, Store, decode_marker

_WHOLE = 3
"""Most data files read at the same time, of about 128 MiB each."""


@dataclass
class Proved:
    """What a ledger proves.

    differences   hours that do not add up, the first one first
    damages       what else contradicts the ledger: its signature, the id of the store, the table's history, a damaged file
    rows          rows of the date that were read
    unchanged     files that are those of the ledger, byte for byte
    files         files of the date
    unproved      rows of files of older versions, of which the ledger has no digest, and which are not compared
    """

    differences: Sequence[Difference] = ()
    damages: list[str] = field(default_factory=list)
    rows: int = 0
    unchanged: int = 0
    files: int = 0
    unproved: int = 0

    @property
    def holds(self) -> bool:
        """Whether the date has exactly the rows that the ledger says."""
        return not self.differences and not self.damages


async def verify_ledger(store: Store, ledger: Ledger, progress: Progress | None = None) -> Proved:
    """Compare a ledger with what is in the store. Only reads. Raises what the store raises."""
    progress = progress or Progress()
    log, found = DeltaLog(store), Proved()
    if ledger.signature is not None and not check_signature(ledger):
        found.damages.append("the ledger's signature is not that of its key")
    await _check_identity(store, ledger, found)
    snapshot = await log.load()
    found.damages += [str(damage) for damage in snapshot.damage]
    old = {one.path for one in ledger.objects if not one.sha256}
    files = [one for one in snapshot.files.values() if one.date == ledger.date]
    compared = [one for one in files if one.path not in old]
    found.unproved = sum(one.rows for one in files if one.path in old)
    progress.total = sum(one.size for one in compared)
    said = {one.path: one.sha256 for one in ledger.objects}
    parts = await run_concurrently(
        [partial(_read, store, one, said.get(one.path), found, progress) for one in compared], _WHOLE
    )
    hours = hours_of(parts)
    found.files, found.rows = len(files), sum(rows for rows, _ in hours.values())
    found.differences = differences(ledger, hours)
    return found


async def _check_identity(store: Store, ledger: Ledger, found: Proved) -> None:
    """Check that the ledger is of this store, and that its commit, where it is still there, is the one that it names."""
    marker = await get_or_none(store, MARKER)
    if marker is not None and ledger.store:
        try:
            if (there := decode_marker(marker).id) != ledger.store:
                found.damages.append(f"the ledger is of store {ledger.store}, and this is store {there}")
        except FormatError as error:
            found.damages.append(str(error))
    commit = await get_or_none(store, commit_key(ledger.version))
    if commit is not None and not names_commit(ledger, commit):
        found.damages.append(f"commit {ledger.version} of the table is not the one that the ledger names")


async def _read(store: Store, file: DataFile, sha256: str | None, found: Proved, progress: Progress) -> Digests:
    """Return the digests of a file's rows, computed from its rows."""
    try:
        body = await store.get(file.key)
        digests = await asyncio.to_thread(digests_of_body, file.key, body)
    except NotFound:
        found.damages.append(f"{file.key} is missing")
        return {}
    except FormatError as error:
        found.damages.append(str(error))
        return {}
    if sha256 and await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest()) != sha256:
        found.damages.append(f"{file.key} is not the file that the ledger names")
    found.unchanged += bool(sha256)
    progress.done += file.size
    return digests


class Ledgers(NamedTuple):
    """The ledgers in a store by key, and what is wrong with others.

    found      those that prove themselves
    damaged    those that do not -> what is wrong
    unlinked   those that are not there as the next one names them -> what is wrong
    """

    found: dict[str, Ledger]
    damaged: dict[str, str]
    unlinked: dict[str, str]


async def read_ledgers(store: Store) -> Ledgers:
    """Return the ledgers in the store, each of which must prove itself and be the one that the next one names."""
    keys = [entry.key async for entry in store.list(LEDGERS) if ledger_date(entry.key) is not None]
    bodies = await run_concurrently([partial(_ledger, store, key) for key in keys], 16)
    read = dict(zip(keys, bodies, strict=True))
    found = {key: one for key, one in read.items() if isinstance(one, tuple)}
    damaged = {key: one for key, one in read.items() if isinstance(one, str) and one}
    ledgers = {key: ledger for key, (ledger, _) in found.items()}
    sums = {key: sha256 for key, (_, sha256) in found.items()}
    return Ledgers(ledgers, damaged, _unlinked(ledgers, sums, damaged))


def _unlinked(ledgers: Mapping[str, Ledger], sums: Mapping[str, str], damaged: Collection[str]) -> dict[str, str]:
    """Return what is wrong with ledgers that others name. The oldest one may name one that nobody keeps any more."""
    wrong = {}
    oldest = min((*ledgers, *damaged), default="")
    for key, ledger in ledgers.items():
        date, sha256 = ledger.previous or ("", "")
        before = f"{LEDGERS}{date}.json"
        if before in sums and sums[before] != sha256:
            wrong[before] = f"is not the one that {key} names"
        elif before > oldest and date and before not in sums and before not in damaged:
            wrong[before] = f"is missing, and {key} names it"
    return wrong


async def _ledger(store: Store, key: str) -> tuple[Ledger, str] | str:
    """Return a ledger and the SHA-256 of its bytes, or what is wrong with it: "" for one that is gone."""
    try:
        body = await store.get(key)
        ledger = decode_ledger(body)
    except NotFound:
        return ""
    except FormatError as error:
        return f"cannot be read: {error.why}"
    if ledger.date != ledger_date(key):
        return f"is the ledger of {ledger.date}"
    return ledger, hashlib.sha256(body).hexdigest()


class Compared(NamedTuple):
    """A ledger of the store, compared with the digests of the files that the table has of its date.

    missing   rows that the ledger has more than the table, in all hours that do not add up
    what      the first hour that does not add up, "" when all do
    doubtful  whether rows are missing or others are there; False where there are more rows in each such hour
    hours     the doubtful hours -> how many rows the ledger has more than the table
    """

    missing: int = 0
    what: str = ""
    doubtful: bool = False
    hours: Mapping[str, int] = MappingProxyType({})

    def waits(self, waiting: Mapping[str, int]) -> bool:
        """Return whether all that is missing may be among rows that wait in the journal: their number by hour of receipt."""
        return all(0 < missing <= waiting.get(hour, 0) for hour, missing in self.hours.items())


def compare(ledger: Ledger, files: Iterable[DataFile]) -> Compared:
    """Compare a ledger with what the table's log says of the rows of its date, as ``verify_ledger`` does with the rows.

    Files of older versions have no digests; where the table has one that the ledger does not know, nothing can be said.
    """
    old = {one.path for one in ledger.objects if not one.sha256}
    hours, unknown = sums(one for one in files if one.path not in old)
    found = [] if unknown else differences(ledger, hours)
    if not found:
        return Compared()
    more = f", and {len(found) - 1:,} more hours" if len(found) > 1 else ""
    missing = sum(max(0, one.said - one.found) for one in found)
    hours_in_doubt = {one.hour: one.said - one.found for one in found if one.found <= one.said}
    return Compared(missing, f"{found[0]}{more}", bool(hours_in_doubt), hours_in_doubt)
