"""The oracle knows which frames were acknowledged and which objects were damaged, and judges what is said about the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tests.damage.asks import Said, number
from tests.damage.kinds import harmless, kind_of, names, newest
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


class Found(Exception):
    """A fault was found, and no more is asked."""


class Judge:
    """Judges the answers about one damaged store. ``exempt`` counts answers that nothing could have known to be wrong.

    ``eager``: raise ``Found`` at the first fault.
    """

    def __init__(self, template: Template, changed: Mapping[str, bytes | None], *, eager: bool = False) -> None:
        self.eager = eager
        self.template, self.changed = template, changed
        self.expected = Counter(template.sent)
        self.faults: list[Fault] = []
        self.exempt = 0
        self.harmed: Counter[bytes] = Counter()
        """Frames of damaged objects that answers come from: these may be missing."""
        for key in changed:
            if key in template.counting:
                self.harmed.update(template.frames[key])
        self.of_log = any(kind_of(template, key) in ("commit", "checkpoint") for key in changed)
        self.unseen = 0
        """Checks that did not see a flipped bit in a checkpoint: what it says of the table is proved, and not its bytes."""
        self.same_state = all(
            kind_of(template, key) == "checkpoint"
            and body is not None
            and len(body) == len(template.objects.get(key, b""))
            for key, body in changed.items()
        )
        self.harmless = harmless(template, changed)
        self.newest = all(body is None for body in changed.values()) and newest(
            template, [key for key in changed if kind_of(template, key) in ("commit", "segment", "segment, archived")]
        )
        self.named = [text for key in changed for text in names(key, template)]

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

    def rows(self, ask: str, said: Said, *, repaired: bool = False, code: int | None = None) -> None:
        """Judge an answer that shows frames. After a repair only rows of damaged objects are missing, with exit code 0."""
        if self.bug(ask, said.bug):
            return
        found = said.frames
        missing, more = self.expected - found, found - self.expected
        told = (said.code == 2) if code is None else (said.code == 2 or self.names_it(said.err))
        if repaired and said.code == 2:
            self.fault(ask, "not repaired", said.err[-600:])
        if unknown := [frame for frame in more if frame not in self.expected]:
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

    def _missing(self, ask: str, said: Said, missing: Counter[bytes], *, repaired: bool) -> None:
        beyond = missing - self.harmed
        if beyond and (repaired or not self.of_log):
            if self.newest and not beyond - self._of_the_end():
                self.exempt += 1
            else:
                self.fault(ask, "lost", f"{sum(beyond.values())} rows of intact objects; {said.err[-600:]}")
        if missing and not repaired and not self.newest and not self.names_it(said.err):
            self.fault(ask, "unnamed", said.err[-600:])

    def _of_the_end(self) -> Counter[bytes]:
        """Frames that the newest commits or segments alone know of."""
        if self.of_log:
            return self.expected
        return self.harmed

    def number(self, ask: str, said: Said) -> None:
        """Judge a number of rows."""
        if self.bug(ask, said.bug):
            return
        whole = sum(self.expected.values())
        if number(said) != whole and said.code != 2:
            if self.newest:
                self.exempt += 1
            else:
                self.fault(ask, "silent", f"{number(said)} of {whole}; {said.err[-600:]}")
        elif said.code == 2 and number(said) != whole and not self.newest and not self.names_it(said.err):
            self.fault(ask, "unnamed", said.err[-600:])

    def verified(self, said: Said) -> None:
        """Judge a check of the damaged store."""
        if self.bug("verify", said.bug):
            return
        text = said.out.decode(errors="replace") + said.err
        if said.code != 2:
            if self.newest:
                self.exempt += 1
            elif self.same_state:
                self.unseen += 1
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

    def received(self, ask: str, sent: list[bytes], acknowledged: Iterable[bytes], bug: str, *, must: bool) -> None:
        """Judge a receiver: what it acknowledged is expected from now on."""
        taken = list(acknowledged)
        self.expected.update(taken)
        if not self.bug(ask, bug) and must and len(taken) < len(sent):
            self.fault(ask, "unusable", f"{len(taken)} of {len(sent)} acknowledged")
