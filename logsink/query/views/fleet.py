"""The fleet: who sent rows, from totals of them, and how each of them ended.

A *member* is what the question asks for: an instance, a host, a sender, a role or a deploy. ``members`` makes them of totals by
``FIELDS``. A member is here when its last row is no older than a span of silence. Of the others, the last ``WINDOW`` of their
rows says whether they said goodbye: ``Endings`` is what to ask for, and judges what was found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from logsink.query.columns import as_integers, decoded, one_chunk
from logsink.query.request import Between, Condition, ExactlyOneOf, Filter, Holds, InSpans, Not, OneOf

KEYS: Final[Mapping[str, Sequence[str]]] = {
    "instance": ("instance", "host"),
    "host": ("host",),
    "sender": ("sender",),
    "role": ("role",),
    "deploy": ("deploy",),
}
"""What a member may be, and the columns that can name it. The first of them that a row has names its member: the host, for
example, in rows without an instance."""

FIELDS: Final = ("instance", "host", "environment", "role", "deploy")
"""Columns of the totals that ``members`` takes: one total for each combination of their values. Where members are senders, the
totals have the column ``sender`` as well."""

KNOWN: Final = (*FIELDS, "sender")
"""Columns whose values a ``Member`` collects from its totals."""

WINDOW: Final = 120_000_000
"""Microseconds before the last row of a member in which it must have said goodbye."""

APPS: Final = ("rsyslogd", "syslog-ng", "syslogd", "systemd", "systemd-*", "kernel", "shutdown")
"""Globs of the programs that say that a system ends, or begins."""

GOODBYES: Final = (
    "exiting on signal",  # rsyslogd, syslogd
    "syslog-ng shutting down",
    "(Reached target|Starting) .*(Shutdown|Power.?Off|Reboot|Halt|Final Step)",  # systemd
    "^(Powering off|Rebooting|Halting system|Shutting down)",
    "System is (powering down|rebooting|halting)",  # systemd-logind
    "system (will (power off|reboot|halt)|is going down)",
    "reboot: (Power down|Restarting system|System halted)",  # kernel
)
"""Expressions (RE2) of messages that say that a system ends."""

GREETINGS: Final = (
    r'origin software="rsyslogd".*\] start$',
    "syslog-ng starting up",
    "^Linux version ",
    "Startup finished in",
)
"""Expressions (RE2) of messages that say that a system has begun: a goodbye before one of them is of a restart."""

HERE, GOODBYE, VANISHED = "here", "goodbye", "vanished"

OWN_APPS: Final = ("logsink", "logsink-doctor")
"""Apps of the rows that logsink itself stores: a receiver's events, and the test messages of doctor. They are of no sender: a
receiver that runs well for days says nothing, and has not vanished."""


def of_senders(filter: Filter) -> Filter:
    """Return the filter without logsink's own rows, unless it asks for some values of ``app``."""
    if any(isinstance(one, OneOf) and one.column == "app" for one in filter.conditions):
        return filter
    return Filter((*filter.conditions, Not(OneOf("app", OWN_APPS))))


Name = tuple[str, str] | None
"""The column that names a member, and its value there. Both, since an instance and a host may have the same name; None: of the
rows that name no member."""


@dataclass
class Member:
    """One member and the totals of its rows.

    name       the column that names the member, and its value there; None: the member of all rows that name none
    values     column of ``FIELDS`` (and ``sender``) -> the value in its newest rows
    seen       column of ``FIELDS`` (and ``sender``) -> all values in its rows
    instances  the instances among its rows, or their hosts where they name no instance
    state      ``HERE``, ``GOODBYE`` or ``VANISHED``; None: not known
    goodbye    the message that said that its system ends; None without one
    """

    name: Name
    first: int
    last: int
    values: dict[str, str | None] = field(default_factory=dict)
    seen: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    instances: set[str] = field(default_factory=set)
    rows: int = 0
    errors: int = 0
    bytes: int = 0
    state: str | None = None
    goodbye: str | None = None
    _newest: dict[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str | None:
        """The member's name without the column that it is from; None for rows that name no member."""
        return None if self.name is None else self.name[1]

    def add(self, total: Mapping[str, Any]) -> None:
        """Add the totals of more rows of the member."""
        self.rows += total["rows"]
        self.errors += total["errors"]
        self.bytes += total["bytes"]
        self.first, self.last = min(self.first, total["first"]), max(self.last, total["last"])
        if (instance := total["instance"] or total["host"]) is not None:
            self.instances.add(instance)
        for name in KNOWN:
            if (value := total.get(name)) is not None:
                self.seen[name].add(value)
                if total["last"] >= self._newest.get(name, total["last"]):
                    self.values[name], self._newest[name] = value, total["last"]


def members(totals: pa.Table, by: str) -> list[Member]:
    """Return the members in the order of their last rows.

    totals   numbers of rows by ``FIELDS`` and ``by``
    by       what a member is: a key of ``KEYS``
    """
    found: dict[Name, Member] = {}
    instants = {name: as_integers(totals.column(name)).tolist() for name in ("first", "last")}
    columns = {name: instants.get(name) or totals.column(name).to_pylist() for name in totals.column_names}
    for values in zip(*columns.values(), strict=True):
        total = dict(zip(columns, values, strict=True))
        name = _name(by, total)
        if name not in found:
            found[name] = Member(name, total["first"], total["last"])
        found[name].add(total)
    return sorted(found.values(), key=lambda one: (one.last, one.key or ""))


def rows_of(member: Member, by: str) -> Filter:
    """Return the filter of the rows of a member, from its first to its last."""
    conditions: list[Condition] = [Between("time", member.first, member.last + 1)]
    for column in KEYS[by]:
        here = member.name is not None and member.name[0] == column
        conditions.append(ExactlyOneOf(column, (member.key if here else None,)))
        if here:
            break
    return Filter(tuple(conditions))


class Endings:
    """What to ask for to learn how some members ended: rows of ``columns`` that meet ``filter``, in any order."""

    def __init__(self, ended: Sequence[Member], by: str) -> None:
        """``ended``: one member at least."""
        self._by, self._ended = by, {one.name: one for one in ended}
        lasts = np.array([one.last for one in ended], np.int64)
        spans = InSpans.of("time", lasts - WINDOW, lasts)
        self.filter = Filter((spans, OneOf("app", APPS), Holds("message", (*GOODBYES, *GREETINGS), True)))
        self.columns = ("time", "received", "nth", "message", *KEYS[by])

    def judge(self, tables: Iterable[pa.Table]) -> None:
        """Set ``state`` and ``goodbye`` of the members by the rows that were found."""
        newest: dict[Name, tuple[tuple[int, ...], str | None]] = {}
        for table in tables:
            for name, place, said in self._said(table):
                member = self._ended.get(name)
                if member is not None and member.last - WINDOW <= place[0] <= member.last:
                    newest[name] = max(newest.get(name, (place, said)), (place, said), key=lambda one: one[0])
        for name, one in self._ended.items():
            _, one.goodbye = newest.get(name, ((), None))
            one.state = VANISHED if one.goodbye is None else GOODBYE

    def _said(self, table: pa.Table) -> Iterator[tuple[Name, tuple[int, ...], str | None]]:
        """Yield of each row the member that sent it, its place in the order of time, and the goodbye; None for a greeting."""
        messages = decoded(one_chunk(table.column("message")))
        greets = Holds("message", GREETINGS, True).mask(messages).tolist()
        places = zip(*(as_integers(table.column(name)).tolist() for name in ("time", "received", "nth")), strict=True)
        names = zip(*(table.column(column).to_pylist() for column in KEYS[self._by]), strict=True)
        for place, values, greeting, message in zip(places, names, greets, messages.to_pylist(), strict=True):
            yield _name(self._by, dict(zip(KEYS[self._by], values, strict=True))), place, None if greeting else message


def _name(by: str, values: Mapping[str, Any]) -> Name:
    """Return the name of the member that sent rows with these values."""
    for column in KEYS[by]:
        if (value := values[column]) is not None:
            return column, value
    return None
