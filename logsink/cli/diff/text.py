"""How the result of ``logsink diff`` is shown: as text, or as one JSON document."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

from logsink.cli.diff.paste import query_of
from logsink.cli.diff.sides import DiffRequest
from logsink.cli.options.zones import local_text
from logsink.cli.report import count_of
from logsink.query.changes import Change, Changes
from logsink.query.request import SEVERITIES

_INDENT: Final = "      "


def text(found: Changes, request: DiffRequest, width: int | None) -> Iterator[str]:
    """Yield the lines of the result; messages are cut to ``width`` characters, queries never are."""
    for letter, asked, side in zip("AB", request.sides, found.sides, strict=True):
        least = "at least " if found.too_many else ""
        yield f"{letter}: {asked.name}: {count_of(side.rows, 'row')} of {least}{count_of(side.instances, 'instance')}"
    changes = [*found.shown, *(found.alone if request.every else ())]
    for change in changes[: request.limit]:
        yield ""
        yield from _lines(change, found, request, width)
    yield ""
    yield _conclusion(found, request)
    if request.limit is not None and len(changes) > request.limit:
        yield f"only the first {request.limit} of {len(changes):,} are shown; -n all shows all"
    if found.alone and not request.every:
        errors = sum(each.error and each.change == "NEW" for each in found.alone)
        new = f" (new kinds of errors: {errors})" if errors else ""
        yield f"not shown: {count_of(len(found.alone), 'change')} on one instance alone{new}; --all shows all"
    if any(found.uncounted):
        yield (
            f"not compared: {found.uncounted[0]:,} and {found.uncounted[1]:,} rows of rare kinds, of which there are too many; "
            "-u, -p or a shorter time compare fewer"
        )


def _lines(change: Change, found: Changes, request: DiffRequest, width: int | None) -> Iterator[str]:
    larger = change.larger
    rows = " -> ".join(f"{count:,}" for count in change.rows)
    times = {"MORE": f" ({_factor(change.ratio)})", "LESS": f" ({_factor(change.ratio)})"}.get(change.change, "")
    first, last = (_shown(each, request.zone) for each in change.seen)
    when = f"since {first}" if larger else f"last {last}"
    yield (
        f"{change.change:<4}  {_severity(change)}  {change.app or '-'}: {rows} rows{times}, "
        f"on {change.instances[larger]:,} of {count_of(found.sides[larger].instances, 'instance')}, {when}"
    )
    yield _fitting(f"{_INDENT}{change.pattern}", width)
    yield _fitting(f"{_INDENT}such as: {change.example}", width)
    yield f"{_INDENT}{query_of(request.sides[larger].terms, change.app, change.pattern, request.place)}"


def _conclusion(found: Changes, request: DiffRequest) -> str:
    names = {"NEW": "new", "MORE": "more", "GONE": "gone", "LESS": "less"}
    shown = [*found.shown, *(found.alone if request.every else ())]
    counts = [f"{sum(each.change == change for each in shown):,} {name}" for change, name in names.items()]
    return f"{count_of(found.kinds, 'kind')} of messages: {', '.join(counts)}"


def _factor(ratio: float | None) -> str:
    """Return how a count compares with the expected one: times as many, or a share."""
    if ratio is None:
        return ""
    return f"{ratio:,.1f} times the expected" if ratio >= 1 else f"{100 * ratio:.2g} % of the expected"


def _severity(change: Change) -> str:
    return f"{'-' if change.severity is None else SEVERITIES[change.severity]:<7}"


def _shown(instant: int, zone: dt.tzinfo) -> str:
    return local_text(_moment(instant), zone)


def _moment(instant: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=instant)


def _fitting(line: str, width: int | None) -> str:
    line = line.replace("\n", "\\n")
    return line if width is None or len(line) <= width else f"{line[: max(width, 20) - 1]}…"


def as_json(found: Changes, request: DiffRequest) -> dict[str, Any]:
    """Return the result with stable names, times in UTC."""
    sides = {
        letter: {"name": asked.name, "rows": side.rows, "instances": side.instances, "uncounted": uncounted}
        for letter, asked, side, uncounted in zip("ab", request.sides, found.sides, found.uncounted, strict=True)
    }
    changes = [(each, False) for each in found.shown] + [(each, True) for each in found.alone if request.every]
    return {
        **sides,
        "kinds": found.kinds,
        "expected_ratio": found.scale,
        "spread": found.spread,
        "changes": [_change(each, alone, request) for each, alone in changes[: request.limit]],
        "more": max(0, len(changes) - (request.limit or len(changes))),
        "on_one_instance": len(found.alone),
    }


def _change(change: Change, alone: bool, request: DiffRequest) -> dict[str, Any]:
    larger = change.larger
    return {
        "change": change.change,
        "error": change.error,
        "severity": None if change.severity is None else SEVERITIES[change.severity],
        "app": change.app,
        "pattern": change.pattern,
        "rows": dict(zip("ab", change.rows, strict=True)),
        "instances": dict(zip("ab", change.instances, strict=True)),
        "ratio": change.ratio,
        "score": round(change.score, 1),
        "alone": alone,
        "first_seen": _utc(change.seen[0]),
        "last_seen": _utc(change.seen[1]),
        "side": "ab"[larger],
        "example": change.example,
        "query": query_of(request.sides[larger].terms, change.app, change.pattern, request.place),
    }


def _utc(instant: int) -> str:
    return _moment(instant).isoformat(timespec="microseconds").replace("+00:00", "Z")
