"""The machine itself: copy a store, damage the copy, ask everything, judge, repair, ask again.

``python -m tests.damage.machine --damages 3000 --seed 1 --jobs 4``, on directories, or with ``--store s3`` on a real S3 server.
A third of the damages are done beside a receiver under load, which was there before or comes; one in ``--processes`` is asked
about by real commands. Damage number n of a seed is always the same: ``--only n`` repeats one, and keeps its store.
``--without CHECK`` takes a check out, and damages until that is noticed.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.pool import Pool
from pathlib import Path
from typing import NamedTuple

import pytest

from logsink.kernel import compile_all
from logsink.receiver.receiver import LOOP_ROOMS
from logsink.store import open_store
from tests.damage import asks, damages, stores
from tests.damage.asks import Said
from tests.damage.kinds import kind_of
from tests.damage.load import SETTLE, Load
from tests.damage.oracle import FAULTS, Fault, Found, Judge
from tests.damage.stores import Frames, Template
from tests.damage.without import CHECKS, MOST, Hunted, hunt, line
from tests.support import s3

NEW = 10**6
"""Number of the first frame that is sent after a damage."""


class Case(NamedTuple):
    """One damage and what came of it."""

    number: int
    template: str
    change: damages.Change
    faults: list[Fault]
    exempt: int
    unseen: int

    def __str__(self) -> str:
        keys = ", ".join(list(self.change.bodies)[:3])
        lines = [f"#{self.number} {self.template}: {self.change.damage} {self.change.kind}: {keys}"]
        return "\n".join(lines + [f"    {one.ask}: {one.what}: {one.detail}" for one in self.faults])


class Local:
    """Copies of templates as directories: hard links."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextmanager
    def copy(self, template: Template, *, keep: bool = False) -> Iterator[str]:
        """A copy of a store, by its URL."""
        root = Path(tempfile.mkdtemp(prefix="copy-", dir=self.directory))
        made: set[str] = set()
        for key in template.objects:
            parent = f"{root}/{key}".rpartition("/")[0]
            if parent not in made:
                os.makedirs(parent, exist_ok=True)
                made.add(parent)
            os.link(template.directory / key, root / key)
        try:
            yield f"file://{root}"
        finally:
            if not keep:
                shutil.rmtree(root, ignore_errors=True)

    @staticmethod
    def damage(url: str, change: damages.Change) -> None:
        """Damage a copy; a receiver may run on it."""
        for key, body in change.bodies.items():
            path = Path(url.removeprefix("file://"), key)
            if body is None:
                path.unlink(missing_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            other = path.with_name(".damaged")
            other.write_bytes(body)
            other.replace(path)


class Remote:
    """Copies of templates below prefixes of a bucket of a real S3 server. They stay until the server ends."""

    def __init__(self, server: s3.Server) -> None:
        self.server = server

    @contextmanager
    def copy(self, template: Template, *, keep: bool = False) -> Iterator[str]:
        """A copy of a store, by its URL."""
        url = self.server.fresh_url()
        asyncio.run(_put(url, template.objects))
        yield url

    @staticmethod
    def damage(url: str, change: damages.Change) -> None:
        """Damage a copy; a receiver may run on it."""
        asyncio.run(_put(url, change.bodies))


async def _put(url: str, bodies: Mapping[str, bytes | None]) -> None:
    async with open_store(url) as store:
        for key, body in bodies.items():
            if body is not None:
                await store.put(key, body)
        if gone := [key for key, body in bodies.items() if body is None]:
            await store.delete(gone)


@contextmanager
def place_of(store: str, directory: Path) -> Iterator[Local | Remote]:
    """Where copies are made: ``file`` or ``s3``."""
    if store == "file":
        yield Local(directory)
        return
    with s3.versitygw() as server, pytest.MonkeyPatch.context() as patch:
        s3.enter(patch, server)
        yield Remote(server)


class Machine:
    """Damages copies of stores, one after the other; only objects of ``kinds`` and by ``wanted`` damages, where given.

    ``eager``: no more is asked about a damage once there is a fault. ``processes``: each so many-th damage is asked about by
    real commands and a real receiver as processes, 0: none.
    """

    def __init__(
        self,
        templates: list[Template],
        place: Local | Remote,
        seed: int,
        *,
        kinds: Iterable[str] = (),
        wanted: Iterable[str] = (),
        eager: bool = False,
        processes: int = 0,
    ) -> None:
        self.eager, self.processes = eager, processes
        self.templates, self.place, self.seed = templates, place, seed
        self.kinds, self.damages = frozenset(kinds), frozenset(wanted)

    def drawn(self, number: int) -> tuple[Template, damages.Change, random.Random]:
        """Return which store damage number ``number`` is done to, what it is, and what decides about all else."""
        rng = random.Random(f"{self.seed}.{number}")
        while True:
            template = rng.choice(self.templates)
            change = damages.draw(rng, template, self.damages)
            if not self.kinds or change.kind in self.kinds:
                return template, change, rng

    def case(self, number: int, *, keep: bool = False) -> Case:
        """Damage number ``number``."""
        template, change, rng = self.drawn(number)
        judge = Judge(template, change.bodies, eager=self.eager)
        way = asks.PROCESSES if self.processes and number % self.processes == 0 else asks.HERE
        with self.place.copy(template, keep=keep) as url, suppress(Found):
            if keep:
                print(url)
            Questions(judge, url, rng, way, lambda: self.place.damage(url, change)).ask()
        return Case(number, template.name, change, judge.faults, judge.exempt, judge.unseen)


class Questions:
    """What is asked about one copy of a store, which ``damage`` damages."""

    def __init__(self, judge: Judge, url: str, rng: random.Random, way: asks.Way, damage: Callable[[], None]) -> None:
        self.judge, self.url, self.rng, self.way, self.damage = judge, url, rng, way, damage
        self.frames = Frames(NEW)
        self.marked = any(kind_of(judge.template, key) == "marker" for key in judge.changed)

    def ask(self) -> None:
        """Ask everything: what only reads, what writes, and what repairs; beside a receiver that was there before, or comes."""
        running = self.rng.choices(["before", "after", ""], [0.15, 0.2, 0.65])[0]
        if running == "before":
            load = self._load()
            with load.running():
                self.damage()
                self._writing(load)
            return
        self.damage()
        self._reading()
        if not running:
            self._writing(None)
            return
        load = self._load(patience=0.5 if self.marked else SETTLE)
        with load.running():
            self._writing(load)

    def _load(self, *, patience: float = SETTLE) -> Load:
        load = Load(self.url, self.frames, patience=patience, start=self.way.receiver)
        self.judge.loads.append(load)
        return load

    def _rows(self, ask: str, *, repaired: bool = False) -> Said:
        return self.judge.rows(ask, lambda: asks.rows(self.url, self.way.command), repaired=repaired)

    def _reading(self) -> None:
        said = self._rows("query")
        self.judge.number("count", lambda: asks.count(self.url, self.way.command))
        self.judge.number("sums", lambda: asks.sums(self.url, self.way.command))
        if self.rng.random() < 0.25:
            self.judge.rows("query -r", lambda: asks.newest(self.url, self.way.command))
        if self.rng.random() < 0.15:
            self.judge.number("sql", lambda: asks.sql(self.url, self.way.command))
        if self.rng.random() < 0.12:
            named = said.code == 2
            self.judge.rows("follow", lambda: self.way.follow(self.url, len(said.out), named=named), code=130)

    def _writing(self, load: Load | None) -> None:
        """Ask beside a receiver, or without one, and let upkeep and repair do what they do."""
        if load is not None:
            self._reading()
        self.judge.verified(asks.verify(self.url, self.way.command), received=load is not None)
        if self.rng.random() < 0.7:
            self.judge.bug("maintain", self.way.upkeep(self.url))
            self._rows("query after maintain")
        if load is not None and (not load.ready or self.rng.random() < 0.5):
            self._end("receiver", load, 0, must=not self.marked)
            load = None
            self._rows("query after receiver")
        self._repair(load)

    def _end(self, ask: str, load: Load, before: int, *, must: bool) -> None:
        load.end(settle=must)
        self.judge.received(ask, load, before, must=must)

    def _repair(self, load: Load | None) -> None:
        before = 0 if load is None else len(load.acknowledged)
        repair = asks.repair(self.url, self.way.command)
        self.judge.repaired(repair, asks.verify(self.url, self.way.command))
        self._rows("query after repair", repaired=True)
        self.judge.bug("maintain after repair", self.way.upkeep(self.url))
        if load is None and self.rng.random() < 0.3:
            load, before = self._load(), 0
            with load.running():
                self._rows("query beside a receiver after repair", repaired=True)
        if load is not None:
            self._end("receiver after repair", load, before, must=True)
        self._rows("query at the end", repaired=True)


def report(cases: list[Case], seconds: float) -> str:
    """A table of kinds and damages with the number of faults of each, and the faults by what they are."""
    lines = []
    tried = Counter((case.change.kind, case.change.damage) for case in cases)
    wrong = Counter((case.change.kind, case.change.damage) for case in cases if case.faults)
    columns = sorted({damage for _, damage in tried})
    lines.append(f"{'kind':<20}" + "".join(f"{one:>12}" for one in columns))
    for kind in sorted({kind for kind, _ in tried}):
        cells = []
        for damage in columns:
            n, bad = tried[kind, damage], wrong[kind, damage]
            cells.append(f"{f'{bad}/{n}' if bad else n or '':>12}")
        lines.append(f"{kind:<20}" + "".join(cells))
    by_fault = Counter(fault.what for case in cases for fault in {(one.what): one for one in case.faults}.values())
    lines += [f"{n:>6} {what}: {FAULTS[what]}" for what, n in by_fault.most_common()]
    exempt = sum(case.exempt > 0 for case in cases)
    bad = sum(bool(case.faults) for case in cases)
    lines.append(
        f"{len(cases):,} damages in {seconds:.0f} s ({len(cases) / seconds:.1f} a second): {bad} with faults, {exempt} exempt "
        "(the newest object of a chain is gone, and nothing refers to it), "
        f"{sum(case.unseen for case in cases)} changed bytes after which an object says the same"
    )
    return "\n".join(lines)


def prove(workers: Workers, names: Iterable[str], most: int) -> int:
    """Take out each of these checks in turn; return 1 when the machine does not notice one."""
    missed = 0
    for name, found in workers.without(names, most):
        missed += found.fault is None or bool(found.control)
        print(line(name, found), flush=True)
    return 1 if missed else 0


class Workers:
    """Processes that damage at the same time."""

    def __init__(self, machine: Machine, jobs: int) -> None:
        self.machine, self.jobs = machine, jobs

    @contextmanager
    def _pool(self) -> Iterator[Pool]:
        with multiprocessing.get_context("spawn").Pool(self.jobs, _begin, (self.machine,)) as pool:
            yield pool
            pool.close()
            pool.join()

    def cases(self, numbers: Iterable[int]) -> Iterator[Case]:
        """Damage as these numbers say, in any order."""
        with self._pool() as pool:
            yield from pool.imap_unordered(_case, numbers)

    def without(self, names: Iterable[str], most: int) -> Iterator[tuple[str, Hunted]]:
        """Take each of these checks out in turn, and damage until a fault is found."""
        with self._pool() as pool:
            yield from pool.imap(_without, [(name, most) for name in names])


_machine: list[Machine] = []


def _begin(machine: Machine) -> None:
    compile_all(*LOOP_ROOMS)
    _machine.append(machine)


def _case(number: int) -> Case:
    return _machine[0].case(number)


def _without(wanted: tuple[str, int]) -> tuple[str, Hunted]:
    (name, most), machine = wanted, _machine[0]
    templates = {template.name: template for template in reversed(machine.templates)}  # of the first set
    return name, hunt(name, templates, machine.place, machine.seed, most)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--damages", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, action="append", help="number of one damage, whose store is kept")
    parser.add_argument("--store", choices=["file", "s3"], default="file")
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1), help="damages at the same time")
    parser.add_argument("--processes", type=int, default=50, help="ask about each so many-th by real commands; 0: none")
    parser.add_argument("--sets", type=int, default=3, help="sets of stores, of different sizes")
    parser.add_argument("--without", metavar="CHECK", help="take out a check, or all in turn; list: print their names")
    parser.add_argument("--show", type=int, default=10, help="faulty cases that are shown whole")
    options = parser.parse_args(arguments)
    if options.without == "list":
        print(*CHECKS, sep="\n")
        return 0
    if options.without not in (None, "all", *CHECKS):
        parser.error(f"there is no check {options.without!r}: --without list prints the names of all")
    memory = Path("/dev/shm")  # forcing files to a disk is not what is tested here
    directory = Path(tempfile.mkdtemp(prefix="logsink-damage-", dir=memory if memory.is_dir() else None))
    templates = asyncio.run(stores.make_all(directory, options.sets))
    with place_of(options.store, directory) as place:
        code = run(Machine(templates, place, options.seed, processes=options.processes), options)
    if not options.only:
        shutil.rmtree(directory, ignore_errors=True)
    return code


def run(machine: Machine, options: argparse.Namespace) -> int:
    """Damage as the options say, print what comes of it, and return the exit code."""
    workers = Workers(machine, options.jobs)
    if options.without:
        names = CHECKS if options.without == "all" else [options.without]
        return prove(workers, names, min(options.damages, MOST))
    cases: list[Case] = []
    began = time.monotonic()
    asked = (machine.case(number, keep=True) for number in options.only or ())
    for case in asked if options.only else workers.cases(range(options.damages)):
        cases.append(case)
        if sys.stderr.isatty() or len(cases) % 100 == 0:
            print(f"{len(cases):,} damages, {sum(bool(one.faults) for one in cases)} with faults", file=sys.stderr)
        if case.faults and sum(bool(one.faults) for one in cases) <= options.show:
            print(case, flush=True)
    print(report(cases, time.monotonic() - began))
    return 1 if any(case.faults for case in cases) else 0


if __name__ == "__main__":
    sys.exit(main())
