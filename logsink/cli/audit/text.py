"""How the result of ``logsink audit`` is shown: as tables, or as one JSON document."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from logsink.cli.options.zones import local_text
from logsink.cli.report import count_of
from logsink.kinds import format_duration
from logsink.query.audit import Boot, Findings, Hole, Quiet, Sender

_SECOND: Final = 1_000_000
_WIDE: Final = 120
"""Characters of a terminal from which on tables have room for the names of boots."""

_MOST_NAMES: Final = 5
"""Senders that are named in one line."""


def text(
    found: Findings,
    zone: dt.tzinfo,
    limit: int | None,
    width: int | None,
    *,
    since: bool = False,
    until: bool = False,
) -> Iterator[str]:
    """Yield the lines of the result, tables with at most ``limit`` lines each; ``since``, ``until``: whether there are."""
    wide = width is None or width >= _WIDE
    yield from _section("holes", [_hole(each, zone, wide) for each in _holes(found)], limit, width)
    faulty = [boot for boot in found.boots if boot.unexplained or boot.reordered]
    yield from _section(
        "doubles that nothing explains, and another order", [_order(each, wide) for each in faulty], limit, width
    )
    yield from _section("quiet for unusually long", [_quiet(each, zone) for each in found.quiet], limit, width)
    wrong = sorted((each for each in found.senders if each.clock), key=lambda each: -abs(each.clock))
    yield from _section("clocks that seem to be wrong", [_clock(each) for each in wrong], limit, width)
    cut = [each for each in found.senders if each.truncated or each.incomplete]
    yield from _section("messages that arrived cut", [_cut(each) for each in cut], limit, width)
    yield from _conclusion(found)
    yield "what this cannot know:"
    yield from (f"- {line}" for line in _unknown(found, since=since, until=until))


def _section(title: str, rows: Sequence[Mapping[str, Any]], limit: int | None, width: int | None) -> Iterator[str]:
    """Yield a title and a table; nothing without rows."""
    if not rows:
        return
    import pyarrow as pa

    from logsink.query.output import AlignedColumns

    table = pa.Table.from_pylist([dict(row) for row in rows[:limit]])
    writer = AlignedColumns(width, sample=None)
    yield f"{title}:"
    parts = [writer.begin(table.schema), *writer.rows(table), writer.finish()]
    yield from b"".join(parts).decode().splitlines()
    if limit is not None and len(rows) > limit:
        yield f"only the first {limit} of {len(rows):,} are shown; -n all shows all"
    yield ""


def _holes(found: Findings) -> list[Hole]:
    return sorted(found.holes, key=lambda hole: (hole.instance, hole.boot, hole.first))


def _hole(hole: Hole, zone: dt.tzinfo, wide: bool) -> dict[str, Any]:
    return {
        "instance": hole.instance,
        "missing": hole.missing,
        "between": _when(hole.before, zone),
        "and": _when(hole.after, zone),
        "first": hole.first,
        "last": hole.last,
        **({"boot": hole.boot} if wide else {}),
    }


def _order(boot: Boot, wide: bool) -> dict[str, Any]:
    return {
        "instance": boot.instance,
        "doubles": boot.unexplained,
        "reordered": boot.reordered,
        "numbers": boot.numbers,
        **({"boot": boot.boot} if wide else {}),
    }


def _quiet(quiet: Quiet, zone: dt.tzinfo) -> dict[str, Any]:
    return {
        "sender": quiet.sender,
        "for": format_duration((quiet.until - quiet.since) // _SECOND),
        "since": _when(quiet.since, zone),
        "until": _when(quiet.until, zone),
        "usually_at_most": format_duration(quiet.usual * 60),
    }


def _clock(sender: Sender) -> dict[str, Any]:
    span = format_duration(abs(sender.clock) // _SECOND)
    said = "ahead by up to" if sender.clock > 0 else "behind, or late, by at least"
    return {"sender": sender.name, "clock": f"{said} {span}", "rows": sender.rows}


def _cut(sender: Sender) -> dict[str, Any]:
    return {
        "sender": sender.name,
        "truncated": sender.truncated,
        "incomplete": sender.incomplete,
        "rows": sender.rows,
    }


def _conclusion(found: Findings) -> Iterator[str]:
    numbers = sum(boot.numbers for boot in found.boots)
    doubles = sum(boot.doubles for boot in found.boots)
    unexplained = sum(boot.unexplained for boot in found.boots)
    explained = f", {doubles - unexplained:,} of them sent again after a broken connection" if doubles else ""
    holes = f"{count_of(len(found.holes), 'hole')}, {found.missing:,} missing" if found.holes else "no holes"
    looked_at = f"{count_of(numbers, 'number')} of {count_of(len(found.boots), 'boot')}"
    yield f"{looked_at}: {holes}; {count_of(doubles, 'double')}{explained}"


def _unknown(found: Findings, *, since: bool, until: bool) -> Iterator[str]:
    """Yield what the archive does not say."""
    without = sorted((each for each in found.senders if each.unnumbered), key=lambda each: -each.unnumbered)
    if without:
        rows = count_of(sum(each.unnumbered for each in without), "row")
        senders = f"{count_of(len(without), 'sender')}: {_names(without)}"
        yield f"whether anything is missing among {rows} without numbers, of {senders}"
    later = [boot for boot in found.boots if boot.least > 1]
    if later:
        why = "earlier than the range, expired or lost" if since else "expired or lost"
        yield f"what became of the numbers before the first one of {count_of(len(later), 'boot')}: {why}"
    if found.holes and (since or until):
        yield "whether missing numbers came at other times than those beside them (without -S and -U, everything is read)"
    yield "what a sender had not sent when it went away: nothing follows its last number (logsink hosts --vanished)"
    yield "what a sender discarded before numbering it, and datagrams that were lost (see /metrics of the receivers)"
    if found.dropped:
        yield (
            f"what is missing of {count_of(len(found.dropped), 'name')} with too many different numbers or times: "
            + (", ".join(found.dropped[:_MOST_NAMES]))
        )


def _names(senders: Sequence[Sender]) -> str:
    shown = [f"{each.name or '-'} ({each.unnumbered:,})" for each in senders[:_MOST_NAMES]]
    return ", ".join([*shown, *(["..."] if len(senders) > _MOST_NAMES else [])])


def _when(instant: int | None, zone: dt.tzinfo) -> str | None:
    return None if instant is None else local_text(_moment(instant), zone)


def _moment(instant: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=instant)


def as_json(found: Findings) -> dict[str, Any]:
    """Return the result with stable names, times in UTC."""
    return {
        "holes": [
            hole._asdict() | {"missing": hole.missing, "before": _utc(hole.before), "after": _utc(hole.after)}
            for hole in _holes(found)
        ],
        "missing": found.missing,
        "boots": [boot._asdict() | {"first": _utc(boot.first), "last": _utc(boot.last)} for boot in found.boots],
        "quiet": [
            each._asdict() | {"since": _utc(each.since), "until": _utc(each.until), "usual": each.usual * 60}
            for each in found.quiet
        ],
        "senders": [
            {
                "sender": each.name,
                "rows": each.rows,
                "unnumbered": each.unnumbered,
                "truncated": each.truncated,
                "incomplete": each.incomplete,
                "clock": each.clock / _SECOND,
                "first": _utc(each.first),
                "last": _utc(each.last),
            }
            for each in found.senders
        ],
        "not_looked_at": found.dropped,
    }


def _utc(instant: int | None) -> str | None:
    return None if instant is None else _moment(instant).isoformat(timespec="microseconds").replace("+00:00", "Z")
