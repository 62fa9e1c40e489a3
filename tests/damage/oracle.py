"""The oracle knows which frames were acknowledged and which objects were damaged, and judges what is said about the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.damage.asks import Said, number
from tests.damage.kinds import added, harmless, kind_of, names, newest, says_the_same
from tests.damage.load import Load
from tests.damage.stores import Template


class Fault(NamedTuple):
    """Something that must not be: ``ask`` is what was asked, ``what`` one of FAULTS, ``detail`` for a person."""

    ask: str
    what: str
    detail: str


FAULTS = {
    "silent": "a wrong answer with exit code 0 or 1",
    "unnamed": "an answer without some rows that names neither what is damaged nor what refers to it",
    "lost": "rows of objects that are not damaged are gone",
    "doubled": "rows twice, although the exit code says that something is wrong",
    "invented": "rows that nobody sent",
    "traceback": "an unexpected error",
    "not verified": "verify finds nothing",
    "not repaired": "verify finds something after a repair, or the repair fails",
    "unusable": "a receiver acknowledges nothing, or what it acknowledged is gone",
}


class Answer(NamedTuple):
    """What a command said; frames that must be in it unless it says otherwise, and frames that may be."""

    said: Said
    least: Counter[bytes]
    most: Counter[bytes]


class Found(Exception):
    """A fault was found, and no more is asked."""


class Judge:
    """Judges the answers about one damaged store. ``exempt`` counts answers that nothing could have known to be wrong.

    ``eager``: raise ``Found`` at the first fault.
    """

    def __init__(self, template: Template, changed: Mapping[str, bytes | None], *, eager: bool = False) -> None:
        self.eager = eager
        self.template, self.changed = template, changed
        self.loads: list[Load] = []
        self.faults: list[Fault] = []
        self.exempt = 0
        self.harmed: Counter[bytes] = Counter()
        """Frames of damaged objects that answers come from: these may be missing."""
        for key in changed:
            if key in template.counting:
                self.harmed.update(template.frames[key])
        self.of_log = any(kind_of(template, key) in ("commit", "checkpoint") for key in changed)
        self.unseen = 0
        """Checks that did not see a change after which an object says the same as before."""
        self.same = all(
            says_the_same(kind_of(template, key), template.objects.get(key, b""), body) for key, body in changed.items()
        )
        self.harmless = harmless(template, changed)
        self.newest = newest(template, changed)
        self.unknown = newest(template, changed, by="")
        self.named = [text for key in changed for text in names(key, template)]

    def asked(self, ask: Callable[[], Said]) -> Answer:
        """Ask something, beside receivers perhaps: what they had acknowledged before must be there, what was sent may be."""
        least = Counter(self.template.sent)
        for load in self.loads:
            least.update(load.acknowledged)
        said = ask()
        most = Counter(self.template.sent)
        for load in self.loads:
            most.update(load.sent)
        return Answer(said, least, most)

    def fault(self, ask: str, what: str, detail: str) -> None:
        self.faults.append(Fault(ask, what, detail))
        if self.eager:
            raise Found

    def bug(self, ask: str, error: str) -> bool:
        if error:
            self.fault(ask, "traceback", error[-1500:])
        return bool(error)

    def names_it(self, text: str) -> bool:
        return any(one in text for one in self.named)

    def rows(self, ask: str, run: Callable[[], Said], *, repaired: bool = False, code: int | None = None) -> Said:
        """Judge an answer that shows frames. After a repair only rows of damaged objects are missing, with exit code 0."""
        answer = self.asked(run)
        said = answer.said
        if self.bug(ask, said.bug):
            return said
        found = said.frames
        missing, more = answer.least - found, found - answer.most
        told = (said.code == 2) if code is None else (said.code == 2 or self.names_it(said.err))
        if repaired and said.code == 2:
            self.fault(ask, "not repaired", said.err[-600:])
        if unknown := [frame for frame in more if frame not in answer.most]:
            self.fault(ask, "invented", f"{len(unknown)}: {unknown[0]!r}")
        elif more:
            self.fault(ask, "doubled" if told else "silent", f"{sum(more.values())} rows twice; {said.err[-600:]}")
        if repaired or told:
            self._missing(ask, said, missing, repaired=repaired)
        elif missing:
            if self.newest and not missing - self._of_the_end():
                self.exempt += 1
            else:
                self.fault(ask, "silent", f"{sum(missing.values())} rows are missing; {said.err[-600:]}")
        return said

    def _missing(self, ask: str, said: Said, missing: Counter[bytes], *, repaired: bool) -> None:
        beyond = missing - self.harmed
        if beyond and (repaired or not self.of_log):
            if self.newest and not repaired and not beyond - self._of_the_end():
                self.exempt += 1
            else:
                self.fault(ask, "lost", f"{sum(beyond.values())} rows of intact objects; {said.err[-600:]}")
        if missing and not repaired and not self.newest and not self.names_it(said.err):
            self.fault(ask, "unnamed", said.err[-600:])

    def _of_the_end(self) -> Counter[bytes]:
        """Frames that the newest commits or segments alone know of."""
        found = Counter(self.harmed)
        for key in self.changed:
            for file in added(self.template.objects.get(key, b"")):
                found.update(self.template.frames.get(file, ()))
        return found

    def number(self, ask: str, run: Callable[[], Said]) -> None:
        """Judge a number of rows."""
        said, least, most = self.asked(run)
        if self.bug(ask, said.bug):
            return
        found, at_least, at_most = number(said), sum(least.values()), sum(most.values())
        if at_least <= found <= at_most:
            return
        if found > at_most:
            self.fault(ask, "doubled" if said.code == 2 else "silent", f"{found} of {at_most}; {said.err[-600:]}")
        elif self.newest:
            self.exempt += 1
        elif said.code != 2:
            self.fault(ask, "silent", f"{found} of {at_least}; {said.err[-600:]}")
        elif not self.names_it(said.err):
            self.fault(ask, "unnamed", said.err[-600:])

    def verified(self, said: Said, *, received: bool = False) -> None:
        """Judge a check of the damaged store; ``received``: by now a receiver has written a missing marker again."""
        if self.bug("verify", said.bug):
            return
        text = said.out.decode(errors="replace") + said.err
        if said.code != 2:
            if self.unknown:
                self.exempt += 1
            elif self.same:
                self.unseen += 1
            elif received and all(kind_of(self.template, key) == "marker" for key in self.changed):
                pass
            elif not self.harmless:
                self.fault("verify", "not verified", text[-600:])
        elif not self.harmless and not self.names_it(text):
            self.fault("verify", "unnamed", text[-600:])

    def repaired(self, repair: Said, verify: Said) -> bool:
        """Judge a repair, and the check after it."""
        if self.bug("repair", repair.bug) or self.bug("verify again", verify.bug):
            return False
        if repair.code != 0:
            self.fault("repair", "not repaired", (repair.out.decode(errors="replace") + repair.err)[-900:])
        elif verify.code != 0:
            self.fault("verify again", "not repaired", (verify.out.decode(errors="replace") + verify.err)[-900:])
        return repair.code == verify.code == 0

    def received(self, ask: str, load: Load, before: int, *, must: bool) -> None:
        """Judge a receiver that has ended. ``must``: all that was sent is acknowledged, and more than ``before``."""
        if not self.bug(ask, load.bug) and must and not before < len(load.acknowledged) == len(load.sent):
            taken = len(load.acknowledged)
            self.fault(ask, "unusable", f"{taken} of {len(load.sent)} acknowledged, {taken - before} of them now")
