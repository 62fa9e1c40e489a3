"""A run of ``logsink verify --ledger``: one ledger, compared with the store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from logsink import telemetry
from logsink.archive import Ledger, decode_ledger
from logsink.cli.report import count_of
from logsink.cli.terminal.answers import print_answer
from logsink.cli.terminal.progress import showing
from logsink.config import Config
from logsink.errors import ArgumentError, FormatError
from logsink.integrity import Progress, Proved, verify_ledger
from logsink.store import open_store

_SHOWN = 20
"""Most hours that are printed; JSON has all of them."""

_LEDGERS = "name ledger/DATE.json of a store, or a whole copy of it"


def run(config: Config, source: str, *, output: str, quiet: bool) -> int:
    """Compare the ledger and print the result. Return the exit code."""
    telemetry.setup(level="error")
    ledger, found = asyncio.run(_compare(config.store, source, quiet=quiet))
    print_answer(output, lambda: as_json(ledger, found), lambda: text(ledger, found))
    return 0 if found.holds else 2


async def _compare(url: str, source: str, *, quiet: bool) -> tuple[Ledger, Proved]:
    ledger = await _read(source)
    progress = Progress()
    async with open_store(url) as store, showing("reading", progress, enabled=not quiet):
        return ledger, await verify_ledger(store, ledger, progress)


async def _read(source: str) -> Ledger:
    """Return the ledger in a file, or in an object of S3."""
    if source.startswith("s3://"):
        place, _, name = source.rpartition("/")
        async with open_store(place) as store:
            body = await store.get(name)
    else:
        try:
            body = await asyncio.to_thread(Path(source).read_bytes)
        except OSError as error:
            raise ArgumentError(f"cannot read ledger {source}: {error.strerror}", hint=_LEDGERS) from error
    try:
        return decode_ledger(body)
    except FormatError as error:
        raise FormatError(f"cannot read ledger {source}", error.why, hint=error.hint or _LEDGERS) from error


def text(ledger: Ledger, found: Proved) -> Iterator[str]:
    """Yield the lines of the result."""
    yield from found.damages
    for one in found.differences[:_SHOWN]:
        yield str(one)
    if (more := len(found.differences) - _SHOWN) > 0:
        yield f"and {more:,} more hours"
    if found.unproved:
        yield f"note: {count_of(found.unproved, 'row')} of files of an older version have no digest, and are not compared"
    signed = f"signed by the key {ledger.signature.key}" if ledger.signature else "not signed"
    yield f"ledger of {ledger.date}, written {ledger.written} by {ledger.by}, {signed}"
    files = f"{found.unchanged:,} of {count_of(found.files, 'data file')} byte for byte as in the ledger"
    yield f"read {count_of(found.rows, 'row')}, where the ledger says {ledger.rows:,}; {files}"
    if found.holds:
        yield f"OK: {ledger.date} has exactly these rows"
    elif found.differences:
        yield f"CHANGED: the first hour that does not add up is {found.differences[0].hour}"
    else:
        yield "CHANGED: the ledger and the store contradict each other"


def as_json(ledger: Ledger, found: Proved) -> dict[str, object]:
    """Return the result with stable names."""
    return {
        "holds": found.holds,
        "date": ledger.date.isoformat(),
        "store": ledger.store,
        "written": ledger.written,
        "signed_by": ledger.signature.key if ledger.signature else None,
        "rows": {"ledger": ledger.rows, "found": found.rows, "not_compared": found.unproved},
        "hours": [{"hour": one.hour, "ledger": one.said, "found": one.found} for one in found.differences],
        "damages": found.damages,
        "files": {"found": found.files, "unchanged": found.unchanged},
    }
