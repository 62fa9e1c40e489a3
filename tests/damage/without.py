"""Checks that can be taken out one at a time, in this process only, to see that the machine finds what each of them finds.

``CHECKS`` is the list: where each check is, what stands there instead, and the damages and questions that show it is missing. A
hunt damages until an answer is a fault without the check, and then damages and asks the same with it: that must be no fault.
"""

from __future__ import annotations

import asyncio
import importlib
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.damage import aims, damages, switches
from tests.damage.kinds import kind_of
from tests.damage.oracle import Fault, Found, Judge
from tests.damage.questions import QUESTIONS, Asked
from tests.damage.stores import TEMPLATES, Template
from tests.damage.templates import template_of

if TYPE_CHECKING:
    from tests.damage.machine import Local, Remote


MOST = 120
"""Most damages until a missing check is found. Nearly all are found by the first."""


class Check(NamedTuple):
    """A check that can be taken out.

    target     where it is: module, and the name in it, of a class perhaps
    instead    what stands there instead, given what stood there
    ask        the questions that show that it is missing, in this order
    kinds      the kinds of objects whose damage it finds; none: any
    damages    the damages that it finds; none: any
    aim        an aimed damage, in place of these
    templates  the stores on which; none: all of ``stores``
    besides    other checks that find the same, and are taken out with and without this one
    """

    target: tuple[str, ...]
    instead: switches.Instead
    ask: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    damages: tuple[str, ...] = ()
    aim: aims.Aim | None = None
    templates: tuple[str, ...] = ()
    besides: tuple[str, ...] = ()


FILES = ("file", "file, merged")
SEGMENTS = ("segment",)
FULL, LANES, RUNS = ("running", "merged"), ("running", "aged"), ("running", "waiting")
"""Stores with many commits; with segments that wait in the journal; and with unmerged files and a log from version 0 on."""

FOLD, DATAFILE, PLAN = "logsink.archive.fold", "logsink.query.read.datafile", "logsink.query.read.plan"
CLAIMS = ("logsink.query.read.claims", "Claims", "add")
LOG, RETENTION, COVERAGE = "logsink.archive.log", "logsink.archive.retention", "logsink.archive.coverage"
VERIFY, INSPECT, LEDGERS = "logsink.integrity.verification", "logsink.archive.inspection", "logsink.integrity.ledgers"
VERIFICATION = (VERIFY, "Verification")

OF_THE_LOG: Mapping[str, Check] = {
    "hash of a commit": Check((FOLD, "check"), switches.own_word, ("verify notes",), aim=aims.bit_of_newest_commit),
    "version of a commit": Check(
        (FOLD, "check"),
        switches.any_version,
        ("query", "verify"),
        ("commit",),
        ("swap", "old"),
        besides=("previous commit", "state of the table"),
    ),
    "previous commit": Check((FOLD, "digest"), switches.nothing(""), ("verify",), ("commit",), ("forge",), None, FULL),
    "state of the table": Check(
        (FOLD, "Fold", "_prove"), switches.any_state, ("query",), aim=aims.thinner, templates=("checkpointed",)
    ),
    "proof of a checkpoint": Check(
        (FOLD, "Fold", "checkpointed"),
        switches.any_checkpoint,
        ("query",),
        aim=aims.thinner,
        templates=("checkpointed",),
    ),
    "commit of a checkpoint": Check(
        (FOLD, "Fold", "checkpointed"),
        switches.unproved_checkpoint,
        ("query",),
        aim=aims.thinner_alone,
        templates=("checkpointed",),
    ),
    "commits of other programs": Check((FOLD, "check"), switches.any_program, ("query",), aim=aims.foreign),
    "missing commit": Check(
        (FOLD, "Fold", "lose"),
        switches.nothing(),
        ("query",),
        ("commit",),
        ("delete",),
        besides=("previous commit", "state of the table"),
    ),
    "files that were merged": Check(
        (FOLD, "without_merged"),
        lambda real: lambda files: files,
        ("query",),
        aim=aims.merge_before,
        templates=("merged again",),
    ),
    "lost log": Check(
        ("logsink.archive.loading", "_without_log"),
        switches.log_as_it_is,
        ("query",),
        aim=aims.no_log,
        templates=("settled",),
    ),
}

OF_QUERIES: Mapping[str, Check] = {
    "tail of a file": Check((DATAFILE, "read_tail"), switches.any_tail, ("query -r",), aim=aims.bit_of_bounds),
    "chunks of a file": Check(
        ("logsink.archive.proof", "Proof", "holds"), switches.nothing(True), ("query",), aim=aims.bit_of_rows
    ),
    "name of a segment": Check(
        ("logsink.query.read.tail", "decode_segment"), switches.named_as_asked, ("query",), SEGMENTS, ("swap", "old")
    ),
    "checksum of a segment": Check(
        ("logsink.journal.segment", "_proved"), switches.unproved, ("query",), aim=aims.bit_of_segment, templates=LANES
    ),
    "gaps of a lane": Check(
        (PLAN, "find_gaps"), switches.nothing([]), ("query",), aim=aims.segment_between, templates=LANES
    ),
    "stored, as segments say": Check(
        CLAIMS, switches.without_claims(stored={}), ("query",), aim=aims.newest_segment, templates=("two lanes",)
    ),
    "checksum of dormant lanes": Check(
        ("logsink.archive.waking", "decode_dormant"),
        switches.any_positions,
        ("query",),
        aim=aims.lower_positions,
        templates=("dormant",),
    ),
    "commits, as segments say": Check(
        CLAIMS, switches.without_claims(commit=-1), ("query",), aim=aims.newest_commit, templates=("waiting",)
    ),
    "damage of the log is said": Check(
        (PLAN, "of_snapshot"),
        switches.said_without(damage=()),
        ("query",),
        ("commit", "checkpoint"),
        ("delete", "flip", "empty"),
    ),
    "losses are said": Check(
        (PLAN, "of_snapshot"),
        switches.said_without(lost={}),
        ("query after maintain",),
        aim=aims.segment_between,
        templates=LANES,
    ),
}

OF_UPKEEP: Mapping[str, Check] = {
    "upkeep stands still": Check(
        ("logsink.archive.snapshot", "Snapshot", "intact"),
        lambda real: property(lambda self: True),
        ("query after maintain",),
        aim=aims.newest_commit,
        templates=("waiting",),
    ),
    "commits, as the archiver knows": Check(
        (LOG, "DeltaLog", "expect"),
        switches.nothing(),
        ("query after maintain",),
        aim=aims.newest_commit,
        templates=("waiting",),
    ),
    "commits, as rounds know": Check(
        ("logsink.archive.rounds", "Rounds", "archive"),
        switches.without_knowing,
        ("adoption",),
        aim=aims.newest_commit,
        templates=("waiting",),
        besides=("commits, as the archiver knows",),
    ),
    "commits, as a process knows": Check(
        (LOG, "DeltaLog", "load"), switches.as_listed, ("beneath",), aim=aims.newest_commit, templates=("waiting",)
    ),
    "no table in the place of a lost one": Check(
        (LOG, "DeltaLog", "refuse_damage"), switches.a_new_table, ("receiver",), aim=aims.no_log, templates=("quiet",)
    ),
    "gaps that a file holds": Check(
        ("logsink.archive.missing", "_refuse_uncommitted"),
        switches.later_nothing(),
        ("maintain",),
        aim=aims.newest_commit,
        templates=("settled",),
    ),
    "segments are deleted on proof": Check(
        (COVERAGE, "Coverage", "proves"),
        switches.as_the_txn_says,
        ("maintain",),
        aim=aims.vanished,
        templates=("running",),
    ),
    "files are deleted on proof": Check(
        (COVERAGE, "Coverage", "unproved"),
        switches.nothing(()),
        ("maintain",),
        aim=aims.forgotten,
        templates=("waiting",),
    ),
    "files older than the log stay": Check(
        (LOG, "DeltaLog", "load_anew"),
        switches.and_then(lambda snapshot: snapshot._replace(created=1)),
        ("maintain",),
        aim=aims.begun_anew,
        templates=("merged alone",),
    ),
    "files of a damaged date stay": Check(
        (RETENTION, "damaged_files"),
        switches.later_nothing(list),
        ("maintain",),
        aim=aims.merged_file,
        templates=("merged",),
    ),
    "chunks of a merge": Check(
        ("logsink.archive.merge", "_prove_chunks"),
        switches.nothing(),
        ("query after maintain",),
        aim=aims.bit_of_rows,
        templates=("waiting",),
        besides=("digests of a merge",),
    ),
    "digests of a merge": Check(
        ("logsink.archive.merge", "Input", "__init__"),
        switches.input_without_digests,
        ("verify after maintain",),
        aim=aims.other_digests,
        templates=("waiting",),
        besides=("verify: commits of ledgers",),
    ),
    "name of an archived segment": Check(
        ("logsink.archive.rounds", "read_segment"),
        switches.read_as_asked,
        ("query after maintain",),
        SEGMENTS,
        ("old", "swap"),
    ),
    "marker while writing": Check(
        ("logsink.store.guarded", "GuardedStore", "_read"),
        switches.later_nothing(),
        ("exchange",),
        ("hint",),
        templates=("merged",),
    ),
}

OF_VERIFY: Mapping[str, Check] = {
    "verify: marker": Check((*VERIFICATION, "_check_marker"), switches.later_nothing(), ("verify",), ("marker",)),
    "verify: data files": Check(
        (VERIFY, "check_file"),
        switches.later_nothing(switches.all_fine),
        ("verify",),
        FILES,
        ("flip", "delete", "truncate"),
    ),
    "verify: journal": Check(
        (VERIFY, "read_journal"), switches.cleared("damaged"), ("verify",), SEGMENTS, ("flip", "empty")
    ),
    "verify: gaps": Check(
        (*VERIFICATION, "_gaps"), switches.later_nothing(set), ("verify",), aim=aims.segment_between, templates=LANES
    ),
    "verify: stored, as segments say": Check(
        (VERIFY, "read_journal"),
        switches.cleared("stored"),
        ("verify notes",),
        aim=aims.newest_segment,
        templates=("two lanes",),
    ),
    "verify: commits, as segments say": Check(
        (VERIFY, "read_journal"),
        switches.cleared("newest", -1),
        ("verify notes",),
        aim=aims.newest_commit,
        templates=("running",),
    ),
    "verify: log": Check(
        (VERIFY, "audit_log"), switches.later_nothing(switches.nothing_found), ("verify",), ("commit", "checkpoint")
    ),
    "verify: checkpoints": Check(
        ("logsink.archive.audit", "_same"),
        switches.nothing(True),
        ("verify notes",),
        aim=aims.thinner,
        templates=("older, checkpointed",),
        besides=("verify: commits of ledgers",),
    ),
    "verify: rows twice": Check(
        (VERIFY, "overlaps"), switches.nothing(()), ("verify notes",), aim=aims.doubled, templates=RUNS
    ),
    "verify: lanes without rows": Check(
        (VERIFY, "holes"),
        switches.nothing(()),
        ("verify notes",),
        aim=aims.vanished,
        templates=("waiting",),
        besides=("verify: ledgers",),
    ),
    "verify: segments without rows": Check(
        (VERIFY, "uncovered"), switches.nothing(()), ("verify notes",), aim=aims.vanished_first, templates=("running",)
    ),
    "verify: unknown files": Check(
        (*VERIFICATION, "_check_strangers"),
        switches.later_nothing(),
        ("verify notes",),
        aim=aims.begun_anew,
        templates=("quiet",),
        besides=("verify: commits of ledgers", "verify: ends of ledgers"),
    ),
    "verify: losses": Check(
        (*VERIFICATION, "_check_losses"),
        switches.nothing(),
        ("verify after maintain",),
        aim=aims.segment_between,
        templates=LANES,
    ),
    "verify: ledgers": Check(
        (VERIFY, "read_ledgers"), switches.later_nothing(switches.no_ledgers), ("verify",), ("ledger",), ("flip",)
    ),
    "verify: links of ledgers": Check(
        (LEDGERS, "_unlinked"), switches.nothing({}), ("verify",), ("ledger",), ("delete",), templates=("aged",)
    ),
    "verify: number of rows": Check(
        (INSPECT, "_metadata"), switches.any_count, ("verify notes",), aim=aims.miscounted, templates=("older",)
    ),
    "verify: tail of a file": Check(
        ("logsink.archive.proof", "read_tail"), switches.any_tail, ("verify, not deep",), aim=aims.bit_of_bounds
    ),
    "verify: SHA-256 of a file": Check(
        (INSPECT, "check_body"), switches.untagged(["logsink.sha256"]), ("verify notes",), aim=aims.bit_of_magic
    ),
    "verify: digests of rows": Check(
        (INSPECT, "check_body"),
        switches.untagged(["logsink.digests"]),
        ("verify notes",),
        aim=aims.other_digests,
        templates=RUNS,
    ),
    "verify: rows of ledgers": Check(
        (VERIFY, "compare"),
        switches.nothing_like(switches.all_added_up),
        ("verify notes",),
        aim=aims.vanished_date,
        templates=("merged",),
        besides=("verify: commits of ledgers",),
    ),
    "verify: commits of ledgers": Check(
        (*VERIFICATION, "_check_head"),
        switches.nothing(),
        ("verify notes",),
        aim=aims.other_times,
        templates=("waiting",),
    ),
    "verify: ends of ledgers": Check(
        (*VERIFICATION, "_check_end"),
        switches.later_nothing(),
        ("verify notes",),
        aim=aims.newest_commit,
        templates=("quiet",),
        besides=("verify: rows of ledgers", "verify: unknown files"),
    ),
    "repair: each byte of a file": Check(
        (INSPECT, "check_body"), switches.any_body, ("repair",), aim=aims.no_log_and_a_bit, templates=("waiting",)
    ),
    "repair: each row once": Check(
        ("logsink.integrity.choice", "_Taken", "free"),
        switches.nothing(True),
        ("repair",),
        aim=aims.no_log,
        templates=("merged again",),
    ),
    "ledger: hours": Check(
        (LEDGERS, "differences"), switches.nothing(()), ("ledger",), aim=aims.vanished, templates=RUNS
    ),
    "ledger: signature": Check(
        (LEDGERS, "check_signature"), switches.nothing(True), ("forged ledger",), aim=aims.vanished, templates=RUNS
    ),
    "ledger: commit": Check(
        (LEDGERS, "names_commit"), switches.nothing(True), ("ledger of a commit",), aim=aims.other_times, templates=RUNS
    ),
    "ledger: store": Check((LEDGERS, "get_or_none"), switches.nobody, ("ledger",), aim=aims.other_marker),
}

CHECKS: Mapping[str, Check] = {**OF_THE_LOG, **OF_QUERIES, **OF_UPKEEP, **OF_VERIFY}


def holder(check: Check) -> Any:
    """Return the module or class in which the check is. ``AttributeError``, ``ImportError``: it is not there any more."""
    module, *names = check.target
    found: Any = importlib.import_module(module)
    for name in names[:-1]:
        found = getattr(found, name)
    getattr(found, names[-1])
    return found


@contextmanager
def without(name: str) -> Iterator[Check]:
    """Take a check out while this is entered."""
    check = CHECKS[name]
    place, last = holder(check), check.target[-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, last, check.instead(getattr(place, last)))
        yield check


class Hunted(NamedTuple):
    """What came of a hunt: number of damages until a fault was found, what it was, and the faults of the same with the check.

    ``fault``: None when there was none.
    """

    tried: int
    change: damages.Change | None
    fault: Fault | None
    control: list[Fault]


def hunt(name: str, templates: dict[str, Template], place: Local | Remote, seed: int, most: int) -> Hunted:
    """Take out a check, and damage and ask until a fault is found, ``most`` times."""
    check = CHECKS[name]
    chosen = [asyncio.run(template_of(one, templates)) for one in check.templates or TEMPLATES]
    change = None
    with ExitStack() as others:
        for other in check.besides:
            others.enter_context(without(other))
        for number in range(most):
            with without(name):
                change, faults = _case(check, chosen, place, f"{seed}.{name}.{number}")
            if faults:
                _, control = _case(check, chosen, place, f"{seed}.{name}.{number}")
                return Hunted(number + 1, change, faults[0], control)
    return Hunted(most, change, None, [])


def _case(
    check: Check, templates: list[Template], place: Local | Remote, seed: str
) -> tuple[damages.Change, list[Fault]]:
    """Damage, ask, and return the damage and the faults."""
    rng = random.Random(seed)
    template, change = _draw(check, templates, rng)
    judge = Judge(template, change.bodies, eager=True)
    if check.aim is not None:  # something refers to what is damaged, which is more than a judge knows
        judge.newest = judge.unknown = judge.harmless = judge.same = False
    with place.copy(template) as url, suppress(Found):
        place.damage(url, change)
        for name in check.ask:
            QUESTIONS[name](Asked(judge, url, rng))
    return change, judge.faults


def _draw(check: Check, templates: list[Template], rng: random.Random) -> tuple[Template, damages.Change]:
    for _ in range(1000):
        template = rng.choice(templates)
        if check.aim is None:
            change = damages.draw(rng, template, check.damages)
            if not check.kinds or change.kind in check.kinds:
                return template, change
        elif bodies := check.aim(rng, template):
            changed = {key: body for key, body in bodies.items() if body != template.objects.get(key)}
            return template, damages.Change(check.aim.__name__, kind_of(template, min(changed)), changed)
    raise LookupError("no such damage can be done to these stores")


def line(name: str, found: Hunted) -> str:
    """What came of a hunt, as a line of a table."""
    if found.change is None or found.fault is None:
        return f"{name:<34} {found.tried:>4}  NOT FOUND"
    what = f"{found.change.damage.replace('_', ' ')}, {found.change.kind}: {found.fault.ask}: {found.fault.what}"
    return f"{name:<34} {found.tried:>4}  {what}" + ("  AND ALSO WITH THE CHECK" if found.control else "")
