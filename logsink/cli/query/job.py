"""The state of one query: what runs for it, and what was found and read so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from logsink.cli import report as reporting
from logsink.cli.query.cursors import Cursors
from logsink.cli.query.destination import Destination
from logsink.cli.query.interrupts import Interrupts
from logsink.cli.query.request import QueryRequest
from logsink.cli.terminal.printing import Printer
from logsink.query import Follower, Query, Report

if TYPE_CHECKING:
    from logsink.query import Tuning
    from logsink.query.read import Answer, Engine, Fold, Plan
    from logsink.query.views import FutureRows


@dataclass(kw_only=True)
class Job:
    """One request on its way to its output."""

    request: QueryRequest
    url: str
    query: Query
    destination: Destination
    cursors: Cursors
    engine: Engine | None = None
    """Who reads the archive's files; None: this process does."""
    tuning: Tuning | None = None
    """How the store is read; None: as is best for it."""
    answer: Answer | Fold | None = None
    """The search or the summary that runs, or has run."""
    follower: Follower | None = None
    """What finds rows that were stored later."""
    plan: Plan | None = None
    """The plan by which the answer was read."""
    began: float = 0.0
    """Time (seconds since the epoch) at which a query without an answer began to look; 0: not yet."""
    hints: Report = field(default_factory=Report)
    """What was read to say why nothing was found."""
    future: FutureRows | None = None
    """Rows with times in the future, to be mentioned after the output."""
    printer: Printer | None = None
    said: set[str] = field(default_factory=set)
    """Keys of the damaged and missing objects that were named on stderr."""
    interrupts: Interrupts = field(init=False)

    def __post_init__(self) -> None:
        self.interrupts = Interrupts(lambda: self.report.began > 0, self._stop)

    def _stop(self) -> None:
        if self.answer is not None:
            self.answer.stop()

    def say_damage(self) -> None:
        """Say on stderr what is damaged or missing, each object once."""
        found = [damage for damage in self.report.damage if damage.key not in self.said]
        self.said.update(damage.key for damage in found)
        reporting.damage(found)

    @property
    def stopped(self) -> bool:
        """Whether an interrupt has stopped it."""
        return self.interrupts.stopped

    @property
    def report(self) -> Report:
        """What was found and read so far, by everything that ran."""
        report = Report(began=self.began) if self.answer is None else self.answer.report
        if self.follower is not None:
            followed = self.follower.report
            report = replace(
                report.including(followed),
                rows=report.rows + followed.rows,
                hidden=report.hidden + followed.hidden,
                apart=report.apart + followed.apart,
            )
        for damage in self.plan.damage if self.plan else ():  # also where nothing is read by it
            report.note(damage)
        early = self.stopped and not self.request.follow.follow
        return replace(report.with_reads(self.hints), interrupted=report.interrupted or early)
