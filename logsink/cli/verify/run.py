"""A run of ``logsink verify``, and how its result is printed."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator, Sequence

from logsink import telemetry
from logsink.cli.report import count_of, size
from logsink.cli.terminal.answers import print_answer
from logsink.cli.terminal.progress import showing
from logsink.config import Config
from logsink.damage import by_object, total
from logsink.integrity import Finding, Loss, Progress, Verified, verify
from logsink.store import open_store


def run(config: Config, *, deep: bool, since: datetime.date | None, output: str, quiet: bool) -> int:
    """Check the store and print the result. Return the exit code."""
    telemetry.setup(level="error")
    found = asyncio.run(_verify(config.store, deep=deep, since=since, quiet=quiet))
    print_answer(output, lambda: as_json(found), lambda: text(found))
    return 0 if found.intact else 2


async def _verify(url: str, *, deep: bool, since: datetime.date | None, quiet: bool) -> Verified:
    progress = Progress()
    async with open_store(url) as store, showing("checking", progress, enabled=not quiet):
        return await verify(store, deep=deep, since=since, progress=progress)


def text(found: Verified) -> Iterator[str]:
    """Yield the lines of the result: damages by remedy, losses, notes, and what was checked."""
    yield from damages(found.damages)
    if found.losses:
        yield from losses(found.losses)
    for note in found.notes:
        yield f"note: {note}"
    files = f"{count_of(found.files, 'data file')} with {count_of(found.rows, 'row')}, {size(found.nbytes)}"
    parts = [
        count_of(found.segments, "segment"),
        count_of(found.commits, "commit"),
        count_of(found.checkpoints, "checkpoint"),
        f"{files}, each byte" if found.deep else files,
    ]
    version = f"table version {found.version}" if found.version >= 0 else "no table"
    yield f"checked {', '.join(parts)}; {version}"
    if found.unproved:
        yield f"{count_of(found.unproved, 'data file')} of an older version carry no checksums, until they are merged"
    if found.intact:
        yield "OK: everything is there" + (", but for what is recorded as lost" if found.losses else "")
    else:
        objects = by_object(one.damage for one in found.damages)
        rows, known = total(objects)
        least = "" if known else "at least "
        yield f"DAMAGED: {count_of(len(objects), 'object')}, {least}{count_of(rows, 'row')} missing"


def damages(found: Sequence[Finding]) -> Iterator[str]:
    """Yield a line for each damage, and behind those with the same remedy a line with that."""
    for remedy in dict.fromkeys(one.remedy for one in found):
        for one in found:
            if one.remedy == remedy:
                yield str(one.damage)
        yield f"  what to do: {remedy}"


def losses(found: Sequence[Loss]) -> Iterator[str]:
    """Yield a line for each recorded loss."""
    yield "recorded as lost:"
    for one in found:
        yield f"  {one.key} ({'unknown number of rows' if one.rows is None else count_of(one.rows, 'row')})"


def as_json(found: Verified) -> dict[str, object]:
    """Return the result with stable names."""
    return {
        "intact": found.intact,
        "deep": found.deep,
        "version": found.version,
        "damages": [
            {"part": part, "key": damage.key, "what": damage.what, "rows": damage.rows, "remedy": remedy}
            for part, damage, remedy in found.damages
        ],
        "lost": [one._asdict() for one in found.losses],
        "notes": found.notes,
        "checked": {
            "segments": found.segments,
            "commits": found.commits,
            "checkpoints": found.checkpoints,
            "files": found.files,
            "rows": found.rows,
            "bytes": found.nbytes,
            "without_checksums": found.unproved,
        },
    }
