"""The machine itself: copy a store, damage the copy, ask everything, judge, repair, ask again.

``python -m tests.damage.machine --damages 3000 --seed 1 --store file [--without CHECK]``. Damage number n of a seed is always
the same: ``--only n`` repeats one, and keeps its store.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from logsink.store import open_store
from tests.damage import asks, damages, stores
from tests.damage.kinds import kind_of
from tests.damage.oracle import FAULTS, Fault, Found, Judge
from tests.damage.stores import Frames, Template
from tests.damage.without import known, without
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
    """Copies of templates as directories: hard links, but for what is damaged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextmanager
    def copy(self, template: Template, change: damages.Change, *, keep: bool = False) -> Iterator[str]:
        """A damaged copy of a store, by its URL."""
        root = Path(tempfile.mkdtemp(prefix="copy-", dir=self.directory))
        made: set[str] = set()
        for key in template.objects.keys() | change.bodies.keys():
            path = f"{root}/{key}"
            parent = path.rpartition("/")[0]
            if parent not in made:
                os.makedirs(parent, exist_ok=True)
                made.add(parent)
            if key not in change.bodies:
                os.link(template.directory / key, path)
            elif (body := change.bodies[key]) is not None:
                Path(path).write_bytes(body)
        try:
            yield f"file://{root}"
        finally:
            if not keep:
                shutil.rmtree(root, ignore_errors=True)


class Remote:
    """Copies of templates below prefixes of a bucket of a real S3 server."""

    def __init__(self, server: s3.Server) -> None:
        self.server = server

    @contextmanager
    def copy(self, template: Template, change: damages.Change, *, keep: bool = False) -> Iterator[str]:
        """A damaged copy of a store, by its URL. It stays until the server ends."""
        url = self.server.fresh_url()

        async def fill() -> None:
            async with open_store(url) as store:
                for key, body in {**template.objects, **change.bodies}.items():
                    if body is not None:
                        await store.put(key, body)

        asyncio.run(fill())
        yield url


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

    ``eager``: no more is asked about a damage once there is a fault.
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
    ) -> None:
        self.eager = eager
        self.templates, self.place, self.seed = templates, place, seed
        self.kinds, self.damages = frozenset(kinds), frozenset(wanted)

    def case(self, number: int, *, keep: bool = False) -> Case:
        """Damage number ``number``."""
        rng = random.Random(f"{self.seed}.{number}")
        while True:
            template = rng.choice(self.templates)
            change = damages.draw(rng, template, self.damages)
            if not self.kinds or change.kind in self.kinds:
                break
        judge = Judge(template, change.bodies, eager=self.eager)
        with self.place.copy(template, change, keep=keep) as url:
            if keep:
                print(url)
            with suppress(Found):
                self._ask(judge, url, rng)
        return Case(number, template.name, change, judge.faults, judge.exempt, judge.unseen)

    def _ask(self, judge: Judge, url: str, rng: random.Random) -> None:
        """Ask everything: what only reads, what writes, and what repairs."""
        judge.rows("query", asks.rows(url))
        judge.number("count", asks.count(url))
        judge.number("sums", asks.sums(url))
        if rng.random() < 0.25:
            judge.rows("query -r", asks.newest(url))
        if rng.random() < 0.15:
            judge.number("sql", asks.sql(url))
        if rng.random() < 0.03:
            judge.rows("follow", asks.follow(url), code=130)
        if asks.has("verify"):
            judge.verified(asks.verify(url))
        frames = Frames(NEW)
        marked = any(kind_of(judge.template, key) == "marker" for key in judge.changed)
        if rng.random() < 0.15:
            sent = frames.take(24)
            judge.received("receiver", sent, *asks.receive(url, sent, patience=0.5 if marked else 5.0), must=not marked)
            judge.rows("query after receiver", asks.rows(url))
        if rng.random() < 0.7:
            judge.bug("maintain", asks.upkeep(url))
            judge.rows("query after maintain", asks.rows(url))
        if asks.has("repair"):
            self._repair(judge, url, rng, frames)

    def _repair(self, judge: Judge, url: str, rng: random.Random, frames: Frames) -> None:
        repair = asks.repair(url)
        judge.repaired(repair, asks.verify(url))
        judge.rows("query after repair", asks.rows(url), repaired=True)
        judge.bug("maintain after repair", asks.upkeep(url))
        if rng.random() < 0.3:
            sent = frames.take(24)
            judge.received("receiver after repair", sent, *asks.receive(url, sent), must=True)
        judge.rows("query at the end", asks.rows(url), repaired=True)


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
        f"{sum(case.unseen for case in cases)} flipped bits in checkpoints that change nothing of what they say"
    )
    return "\n".join(lines)


def found_without(
    name: str, templates: list[Template], place: Local | Remote, seed: int, most: int
) -> tuple[int, Case | None]:
    """Take out a check, and damage until a fault is found; return after how many damages, and the case."""
    with without(name) as check:
        machine = Machine(templates, place, seed, kinds=check.kinds, wanted=check.damages, eager=True)
        for number in range(most):
            case = machine.case(number)
            if case.faults:
                return number + 1, case
    return most, None


def prove(templates: list[Template], place: Local | Remote, seed: int, most: int, name: str) -> int:
    """Take out one check, or each in turn (``all``); return 1 when the machine does not notice it."""
    missed = 0
    for one in known() if name == "all" else [name]:
        tried, case = found_without(one, templates, place, seed, most)
        missed += case is None
        fault = (
            f"{case.change.damage} {case.change.kind}: {case.faults[0].ask}: {case.faults[0].what}"
            if case
            else "NOT FOUND"
        )
        print(f"{one:<32} {tried:>5} damages  {fault}", flush=True)
    return 1 if missed else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--damages", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, action="append")
    parser.add_argument("--store", choices=["file", "s3"], default="file")
    parser.add_argument(
        "--without", metavar="CHECK", choices=[*known(), "all"], help=f"all, or one of: {', '.join(known())}"
    )
    parser.add_argument("--show", type=int, default=10, help="faulty cases that are shown whole")
    options = parser.parse_args(arguments)
    memory = Path("/dev/shm")  # forcing files to a disk is not what is tested here
    directory = Path(tempfile.mkdtemp(prefix="logsink-damage-", dir=memory if memory.is_dir() else None))
    templates = asyncio.run(stores.make_all(directory))
    with place_of(options.store, directory) as place:
        code = run(templates, place, options)
    if not options.only:
        shutil.rmtree(directory, ignore_errors=True)
    return code


def run(templates: list[Template], place: Local | Remote, options: argparse.Namespace) -> int:
    """Damage as the options say, print what comes of it, and return the exit code."""
    if options.without:
        return prove(templates, place, options.seed, options.damages, options.without)
    machine = Machine(templates, place, options.seed)
    cases: list[Case] = []
    began = time.monotonic()
    for number in options.only or range(options.damages):
        case = machine.case(number, keep=bool(options.only))
        cases.append(case)
        if case.faults and sum(bool(one.faults) for one in cases) <= options.show:
            print(case, flush=True)
    print(report(cases, time.monotonic() - began))
    return 1 if any(case.faults for case in cases) else 0


if __name__ == "__main__":
    sys.exit(main())
