"""A run of ``logsink maintain``, which prints a line for everything that it does, or would do."""

from __future__ import annotations

import asyncio
import datetime
import signal
import sys
from collections.abc import Iterator, Sequence

import click

from logsink import telemetry
from logsink.archive import (
    DeltaLog,
    Due,
    IndexProgress,
    Joined,
    Maintained,
    Maintenance,
    Retired,
    Rounds,
    Tended,
    evidence,
    settle,
)
from logsink.cli.report import count_of, say, size
from logsink.cli.terminal.progress import showing
from logsink.config import Config
from logsink.errors import NotFound
from logsink.kinds import format_duration
from logsink.store import GuardedStore, open_store


def run(config: Config, *, once: bool, dry_run: bool, index: bool) -> int:
    """Maintain the store until it is done or told to stop. Return the exit code."""
    telemetry.setup(level="warning")
    return asyncio.run(_run(config, once=once, dry_run=dry_run, index=index))


async def _run(config: Config, *, once: bool, dry_run: bool, index: bool) -> int:
    async with GuardedStore(open_store(config.store)) as store:
        if not await store.exists():
            raise NotFound(f"cannot maintain {store.url}: there is no store", hint="name another one with --store")
        log = DeltaLog(store)
        if not dry_run:
            store.guard((await settle(log, create=False)).id)
        rounds = Rounds(log)
        maintenance = Maintenance(rounds, config.archive, config.maintain, evidence(config.ledger, config.store))
        try:
            if dry_run:
                found = await maintenance.due()
                _print(list(due(found)) or ["nothing is due"])
                return 2 if found.damage else 0
            if index:
                return await _index(maintenance)
            if once:
                return await _run_until_done(maintenance)
            if sys.stderr.isatty():
                every = format_duration(config.maintain.every)
                say(
                    f"looking every {every} for what is due in {store.url}, until you press Ctrl-C; what was done gets a line"
                )
            return await _run_until_stopped(maintenance, config.maintain.every)
        finally:
            maintenance.close()
            rounds.close()
            telemetry.flush(final=True)


async def _run_until_done(maintenance: Maintenance) -> int:
    """Run rounds until one finds nothing to do. The log names what is damaged."""
    printed = damaged = False
    while True:
        done = await maintenance.once(thorough=True)
        lines = list(report(done))
        _print(lines)
        printed = printed or bool(lines)
        damaged = damaged or bool(done.damage)
        if done.failed:
            return 2
        if not (done.retired or done.compacted):
            _print([] if printed else ["nothing was due"])
            return 2 if damaged else 0


async def _index(maintenance: Maintenance) -> int:
    """Index all data files that are not, and join what is to be joined."""
    progress = IndexProgress()
    async with showing("indexing", progress, enabled=True):
        done = await maintenance.indexing.index_missing(progress)
    lines = [f"indexed {count_of(done.files, 'data file')} with {count_of(done.rows, 'row')}"] if done.files else []
    _print([*lines, *tended(await maintenance.indexing.tend())] or ["every data file that is worth it is indexed"])
    for one in done.damage:
        telemetry.DAMAGE.log(damage=one)
    return 2 if done.damage else 0


async def _run_until_stopped(maintenance: Maintenance, every: float) -> int:
    """Run rounds until SIGTERM or SIGINT, which may come in the middle of one."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopped, thorough = asyncio.ensure_future(stop.wait()), True
    while not stop.is_set():
        work = asyncio.ensure_future(maintenance.once(thorough=thorough))
        await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            break
        _print(report(work.result()))
        telemetry.flush()
        thorough = False
        await asyncio.wait([stopped], timeout=every)
    stopped.cancel()
    return 0


def _print(lines: Sequence[str] | Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def report(done: Maintained) -> Iterator[str]:
    """Yield a line for everything that was done. What failed is in the log already."""
    if done.adopted.archived:
        yield f"archived {done.adopted.archived:,} segments of receivers that are gone"
    if done.adopted.deleted:
        yield f"deleted {done.adopted.deleted:,} segments whose rows are in the table"
    if done.retired:
        yield f"retired {_dates(done.retired)}"
    if done.checkpoint >= 0:
        yield f"wrote a checkpoint of version {done.checkpoint}"
    if done.made_dormant:
        yield f"made {done.made_dormant:,} lanes of old receivers dormant"
    if done.removed.files:
        yield f"deleted {done.removed.files:,} data files that are no longer needed, {size(done.removed.nbytes)}"
    for one in done.compacted:
        yield f"merged {one.files:,} files, {size(one.before)}, into {one.path}, {one.rows:,} rows, {size(one.after)}"
    for date in done.closed:
        yield f"wrote the ledger of {date}"
    yield from tended(done.tended)


def tended(done: Tended) -> Iterator[str]:
    """Yield a line for each date whose index was joined, and one for what was deleted."""
    dates = dict[datetime.date, list[Joined]]()
    for one in done.joined:
        dates.setdefault(one.date, []).append(one)
    for date, joined in dates.items():
        before, nbytes = sum(one.objects for one in joined), size(sum(one.nbytes for one in joined))
        yield f"joined the index of {date}: {count_of(before, 'object')} became {len(joined):,}, {nbytes}"
    if done.removed:
        yield f"deleted {done.removed:,} objects of the index that are no longer needed"


def due(found: Due) -> Iterator[str]:
    """Yield a line for everything that is due."""
    if found.segments:
        yield f"would archive, or delete, {found.segments:,} segments of receivers that are gone"
    if found.retired:
        yield f"would retire {_dates(found.retired)}"
    if found.checkpoint >= 0:
        yield f"would write a checkpoint of version {found.checkpoint}"
    if found.idle_lanes:
        yield f"would make {found.idle_lanes:,} lanes of old receivers dormant"
    if found.removed.files:
        yield f"would delete {found.removed.files:,} data files that are no longer needed, {size(found.removed.nbytes)}"
    for group in found.groups:
        yield f"would merge {len(group):,} files of {group[0].date}, {size(sum(file.size for file in group))}"
    for date in found.ledgers:
        yield f"would write the ledger of {date}"


def _dates(retired: Retired) -> str:
    days = f"{retired.first}" if retired.first == retired.last else f"{retired.first} to {retired.last}"
    return f"{retired.files:,} files of {days}, {size(retired.nbytes)}"
