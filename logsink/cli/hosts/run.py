"""The answer to ``logsink hosts``: totals by instance, how those that are silent ended, and their last words."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from logsink.cli import report as reporting
from logsink.cli.fleet.asking import Asking
from logsink.errors import ArgumentError
from logsink.query import Between, Filter, Not, OneOf, Query
from logsink.query.output import RowWriter, Style, row_writer
from logsink.query.views import FIELDS, HERE, VANISHED, Endings, Member, Totals, members, of_senders, rows_of

LOOKED_AT: Final = 1000
"""The most members whose end is looked for where not all are asked for by ``--vanished``: those that ended last."""

MOST_WORDS: Final = 100
"""The most members whose last words are shown: those that ended last."""

MARK = "-- MARK --"
"""What rsyslog's immark says now and then; nobody's last words."""

SILENT: Final = "silent"
"""State of a member without a row for the span of ``--silent``, and without a goodbye; it may be well."""

_AT_ONCE: Final = 4
"""Members whose last words are sought at the same time."""

_WHO: Final = (*FIELDS, "sender", "time")
"""Columns on which conditions choose members, rather than some of a member's rows."""

_COLUMNS: Final = {
    "instance": ("instance", "host", "environment", "role", "deploy"),
    "host": ("host", "instance", "environment", "role", "deploy"),
    "sender": ("sender", "host", "environment", "role", "deploy"),
    "role": ("role", "environment", "deploy"),
    "deploy": ("deploy", "environment", "role"),
}
"""What ``--by`` may be, and the columns that say who it is, each with its value in the newest rows."""

_SPARE: Final = ("environment", "bytes", "first", "instances", "deploy", "errors")
"""Columns that a narrow terminal does not show, the first ones first."""

_INSTANT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """What is asked of the fleet.

    by           a member is an instance, a host, a sender, a role or a deploy
    silence      microseconds without a row after which a member is not here any more
    silent       that span as it was given: show those only; None: show all
    vanished     show only those of them that did not say goodbye
    last_words   how many of its last messages are shown of each
    """

    by: str
    silence: int
    silent: str | None = None
    vanished: bool = False
    last_words: int = 0

    async def answer(self, asking: Asking) -> int:
        """Print the answer and return the exit code.

        1 when there is nobody; with ``silent`` or ``vanished``, which are for alarms, 1 when there is somebody.
        """
        whole = all(condition.column in _WHO for condition in asking.filter.conditions)
        if self.vanished and not whole:
            hint = "leave out conditions on rows, such as -u and -p; --silent takes them"
            raise ArgumentError("cannot tell from some of their rows who vanished", hint=hint)
        fields = (*FIELDS, "sender") if self.by == "sender" else FIELDS
        totals = await asking.totals(of_senders(asking.filter), Totals(fields))
        found = [] if totals is None else members(totals, self.by)
        gone = self._silent(found, asking)
        if whole:
            await self._look_for_goodbyes(asking, gone)
        if self.silent and not self.vanished:
            self._call_silent(asking, gone)
        shown = gone if self.silent or self.vanished else found
        if self.vanished:
            shown = [one for one in shown if one.state == VANISHED]
        await self._show(asking, shown[-asking.request.limit :] if asking.request.limit else shown)
        return int(bool(shown)) if self.silent or self.vanished else int(not shown)

    def _silent(self, found: Sequence[Member], asking: Asking) -> list[Member]:
        """Return the members that have not sent a row for too long before the end of the question's range, or now."""
        ends = [
            one.high
            for one in asking.filter.conditions
            if isinstance(one, Between) and one.column == "time" and one.high is not None
        ]
        silent_since = min([asking.now, *ends]) - self.silence
        for one in found:
            one.state = HERE if one.last >= silent_since else None
        return [one for one in found if one.state is None]

    def _call_silent(self, asking: Asking, gone: Sequence[Member]) -> None:
        """Call those silent that said no goodbye: after a span that somebody chose, they need not have vanished."""
        silent = [one for one in gone if one.state == VANISHED]
        for one in silent:
            one.state = SILENT
        if silent and asking.request.output == "table" and not asking.request.quiet:
            reporting.say(f"{SILENT}: no row for {self.silent} and no goodbye")

    async def _look_for_goodbyes(self, asking: Asking, gone: Sequence[Member]) -> None:
        newest = gone if self.vanished else gone[-LOOKED_AT:]
        if not newest:
            return
        if len(newest) < len(gone) and not asking.request.quiet:
            of = f"the newest {LOOKED_AT:,} of {len(gone):,} that are silent"
            reporting.say(f"how they ended is known only of {of}; --vanished looks at all, --since leaves out old ones")
        endings = Endings(newest, self.by)
        filter = Filter((*endings.filter.conditions, *asking.filter.conditions))
        endings.judge(await asking.rows(Query(filter, endings.columns)))

    async def _show(self, asking: Asking, shown: Sequence[Member]) -> None:
        request = asking.request
        words = await self._last_words(asking, shown) if self.last_words else {}
        table = self._table(shown)
        if request.output == "json" and self.last_words:
            said = [_as_objects(words.get(number, [])) for number in range(len(shown))]
            table = table.append_column("last_words", pa.array(said, _WORDS))
        if shown or request.output != "table":
            asking.show(table.drop_columns(["goodbye"]) if request.output == "table" else table, spare=_SPARE)
        if request.output == "table":
            for number, tables in words.items():
                _print_words(shown[number], tables, asking)

    def _table(self, shown: Sequence[Member]) -> pa.Table:
        columns: dict[str, pa.Array] = {
            name: pa.array([one.values.get(name) for one in shown], pa.string()) for name in _COLUMNS[self.by]
        }
        if self.by != "instance":
            columns["instances"] = pa.array([len(one.instances) for one in shown], pa.int64())
        columns["first"] = pa.array([one.first for one in shown], _INSTANT)
        columns["last"] = pa.array([one.last for one in shown], _INSTANT)
        for name in ("rows", "bytes", "errors"):
            columns[name] = pa.array([getattr(one, name) for one in shown], pa.int64())
        columns["state"] = pa.array([one.state for one in shown], pa.string())
        columns["goodbye"] = pa.array([one.goodbye for one in shown], pa.string())
        return pa.table(columns)

    async def _last_words(self, asking: Asking, shown: Sequence[Member]) -> dict[int, list[pa.Table]]:
        """Return the last rows of the newest members that are shown, by their number."""
        numbers = list(range(len(shown)))[-MOST_WORDS:]
        if len(numbers) < len(shown) and not asking.request.quiet:
            reporting.say(
                f"last words are shown only of the newest {MOST_WORDS} of {len(shown):,}; narrow by -n or --since"
            )
        columns = tuple(dict.fromkeys((*_writer(asking).columns, "time", "host", "app", "severity", "message")))
        slots = asyncio.Semaphore(_AT_ONCE)

        async def of(member: Member) -> list[pa.Table]:
            async with slots:
                chosen = of_senders(asking.filter).conditions
                filter = Filter((*rows_of(member, self.by).conditions, *chosen, Not(OneOf("message", (MARK,)))))
                return await asking.rows(Query(filter, columns, self.last_words))

        return dict(zip(numbers, await asyncio.gather(*(of(shown[number]) for number in numbers)), strict=True))


_WORDS = pa.list_(
    pa.struct(
        [
            ("time", _INSTANT),
            ("host", pa.string()),
            ("app", pa.string()),
            ("severity", pa.int8()),
            ("message", pa.string()),
        ]
    )
)


def _as_objects(tables: Sequence[pa.Table]) -> list[dict[str, Any]]:
    names = [field.name for field in _WORDS.value_type]
    return [row for table in tables for row in table.select(names).to_pylist()]


def _writer(asking: Asking) -> RowWriter:
    zone, terminal = asking.request.zone, sys.stdout.isatty()
    return row_writer("text", Style(zone=None if zone is dt.UTC else zone, terminal=terminal, marks=terminal))


def _print_words(member: Member, tables: Sequence[pa.Table], asking: Asking) -> None:
    """Print the last rows of a member below a line with its name."""
    from logsink.query.output import cell_text

    out, writer = sys.stdout.buffer, _writer(asking)
    host = member.values.get("host")
    of = f" ({cell_text(host)})" if host not in (None, member.key) else ""
    out.write(f"\n{cell_text(member.key)}{of}{f', {member.state}' if member.state else ''}:\n".encode())
    for table in tables:
        for part in writer.rows(table):
            out.write(part)
    out.write(writer.finish())
