"""Findings of ``logsink doctor``: one for each thing that was looked at, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import click

from logsink.characters import harmless
from logsink.errors import LogsinkError

State = Literal["ok", "warning", "failed", "skipped"]

_COLOURS: dict[State, str] = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}


class Finding(NamedTuple):
    """What was found about one thing.

    check     what was looked at: one of a few stable names, such as ``rights`` or ``tls``
    subject   the thing: a store, an address, a file
    state     whether the thing is as it should be
    detail    what was found
    remedy    what to do about it, '' where nothing has to be done
    seconds   how long it took, where that matters
    """

    check: str
    subject: str
    state: State
    detail: str
    remedy: str = ""
    seconds: float | None = None

    @property
    def bad(self) -> bool:
        """Whether the state is ``failed``."""
        return self.state == "failed"


def failed(check: str, subject: str, error: LogsinkError | str, remedy: str = "") -> Finding:
    """Return the finding of a failure. An error brings its hint as remedy, unless ``remedy`` is given."""
    hint = error.hint if isinstance(error, LogsinkError) else ""
    return Finding(check, subject, "failed", str(error), remedy or hint)


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines of a table: one for each finding, and below it one that says what to do, if something has to be done."""
    widths = [max((len(text) for text in column), default=0) for column in zip(*map(_cells, findings), strict=True)]
    for one in findings:
        state, check, subject = (text.ljust(width) for text, width in zip(_cells(one), widths, strict=True))
        yield f"{click.style(state, fg=_COLOURS[one.state])}  {check}  {subject}  {harmless(one.detail)}".rstrip()
        if one.remedy:
            yield f"{' ' * len(state)}  what to do: {harmless(one.remedy)}"


def summary(findings: Sequence[Finding]) -> str:
    """Return the last line: the number of findings in each state, such as ``7 ok, 1 failed``."""
    counts = {state: sum(one.state == state for one in findings) for state in _COLOURS}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings with stable names."""
    return {"healthy": healthy(findings), "findings": [one._asdict() for one in findings]}


def healthy(findings: Sequence[Finding]) -> bool:
    """Return whether nothing has failed."""
    return not any(one.bad for one in findings)


def _cells(one: Finding) -> tuple[str, str, str]:
    return one.state, one.check, harmless(one.subject)
