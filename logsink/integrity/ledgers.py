"""Ledgers, checked: those of the store prove themselves, and one that was kept elsewhere proves the rows of its date.

``verify_ledger`` believes nothing that the store says about itself: it reads the date's data files whole, and computes the
digests of their rows anew. So it also finds what somebody changed who rewrote the table's log and every checksum.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

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
)
from logsink.errors import FormatError, NotFound
from logsink.integrity.findings import Progress, cause
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


async def damaged_ledgers(store: Store) -> list[tuple[str, str]]:
    """Return the keys of ledgers in the store that do not prove themselves, and what is wrong with each."""
    keys = [entry.key async for entry in store.list(LEDGERS)]
    found = await run_concurrently([partial(_damage, store, key) for key in keys], 16)
    return [(key, what) for key, what in zip(keys, found, strict=True) if what]


async def _damage(store: Store, key: str) -> str:
    """Return what is wrong with a ledger, "" for nothing."""
    try:
        ledger = decode_ledger(await store.get(key))
    except NotFound:
        return ""
    except FormatError as error:
        return f"cannot be read: {cause(error)}"
    return "" if ledger.date == ledger_date(key) else f"is the ledger of {ledger.date}"
