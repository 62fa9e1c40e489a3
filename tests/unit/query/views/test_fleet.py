"""Members of a fleet, and how they ended."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from logsink.query import Filter
from logsink.query.request import Holds, OneOf
from logsink.query.views import FIELDS, Endings, Member, members, rows_of
from logsink.query.views.fleet import APPS, GOODBYES, GREETINGS, KEYS
from tests.unit.query.archives import START, row, table

SECOND = 1_000_000

GOODBYE_MESSAGES = {
    "rsyslogd": '[origin software="rsyslogd" swVersion="8.2302.0" x-pid="511"] exiting on signal 15.',
    "syslog-ng": "syslog-ng shutting down; version='4.3.1'",
    "systemd": "Reached target poweroff.target - System Power Off.",
    "systemd-logind": "System is powering down.",
    "systemd-shutdown": "Powering off.",
    "kernel": "reboot: Power down",
}
MORE_GOODBYES = (
    "Reached target shutdown.target - System Shutdown.",
    "Reached target Power-Off.",
    "Reached target System Reboot.",
    "Reached target final.target - Late Shutdown Services.",
    "Starting systemd-poweroff.service - System Power Off...",
    "The system will power off now!",
    "The system will reboot now!",
    "System is rebooting (kexec).",
    "Shutting down.",
    "reboot: Restarting system",
    "exiting on signal 15",
)
NO_GOODBYES = (
    "Reached target multi-user.target - Multi-User System.",
    "Reached target basic.target - Basic System.",
    "Stopped nginx.service.",
    "Started Reboot watcher",
    "Deactivated successfully.",
)


def totals(*some: dict[str, Any]) -> pa.Table:
    """Totals by FIELDS and sender."""
    names = (*FIELDS, "sender")
    columns: dict[str, Any] = {name: pa.array([one.get(name) for one in some], pa.string()) for name in names}
    for name, default in (("rows", 1), ("errors", 0), ("bytes", 10), ("first", START), ("last", START)):
        values = [one.get(name, default) for one in some]
        columns[name] = pa.array(values, pa.int64() if name not in ("first", "last") else pa.timestamp("us", "UTC"))
    return pa.table(columns)


def test_an_instance_is_one_member_whatever_its_host_was_called() -> None:
    found = members(
        totals(
            {"instance": "i-1", "host": "ip-10-0-0-7", "first": START - 5, "last": START},
            {"instance": "i-1", "host": "web-1", "role": "web", "last": START + 9, "errors": 2},
            {"host": "i-1", "last": START + 1},
            {"last": START + 2},
        ),
        "instance",
    )
    assert [(one.name, one.values.get("host"), one.rows, one.errors, one.bytes) for one in found] == [
        (("host", "i-1"), "i-1", 1, 0, 10),
        (None, None, 1, 0, 10),
        (("instance", "i-1"), "web-1", 2, 2, 20),
    ]
    assert (found[2].first, found[2].last) == (START - 5, START + 9)
    assert found[2].seen["host"] == {"ip-10-0-0-7", "web-1"}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("host", {"web-1": {"i-1", "i-2"}, None: {"i-3"}}),
        ("role", {"web": {"i-1", "i-2"}, None: {"i-3"}}),
        ("deploy", {"d1": {"i-1"}, "d2": {"i-2", "i-3"}}),
        ("sender", {"10.0.0.1": {"i-1", "i-2", "i-3"}}),
    ],
)
def test_members_may_be_other_things(by: str, expected: dict[str | None, set[str]]) -> None:
    found = members(
        totals(
            {"instance": "i-1", "host": "web-1", "role": "web", "deploy": "d1", "sender": "10.0.0.1"},
            {"instance": "i-2", "host": "web-1", "role": "web", "deploy": "d2", "sender": "10.0.0.1"},
            {"instance": "i-3", "deploy": "d2", "sender": "10.0.0.1"},
        ),
        by,
    )
    assert {one.key: one.instances for one in found} == expected


def test_rows_of_a_member_are_its_own() -> None:
    rows = [row(0, instance="a", host="h"), row(1, host="a"), row(2), row(3, instance="b", host="a"), row(9, host="a")]
    for name, times in ((("instance", "a"), [0]), (("host", "a"), [1]), (None, [2]), (("instance", "b"), [3])):
        filter = rows_of(Member(name, START, START + 8), "instance")
        assert [one["time"] - START for one, met in zip(rows, filter.mask(table(rows)), strict=True) if met] == times


def ended(*rows: dict[str, Any], by: str = "instance") -> Member:
    """The member "a", whose last row was at START, judged by rows that the question finds among these."""
    member = Member((by, "a"), START - 1000 * SECOND, START)
    endings = Endings([member], by)
    found = table(rows)
    endings.judge([found.filter(pa.array(endings.filter.mask(found))).select(list(dict.fromkeys(endings.columns)))])
    return member


def at(seconds: float, app: str, message: str, **values: Any) -> dict[str, Any]:
    return row(round(seconds * SECOND), app=app, message=message, **{"instance": "a", "host": "h"} | values)


@pytest.mark.parametrize("app", GOODBYE_MESSAGES)
def test_a_goodbye(app: str) -> None:
    message = GOODBYE_MESSAGES[app]
    member = ended(at(-3, app, message), at(0, "app", "one more"))
    assert (member.state, member.goodbye) == ("goodbye", message)
    for rows in (
        [],
        [at(-300, app, message)],
        [at(-3, app, message, instance="b")],
        [at(-3, app, message, instance=None)],
        [at(-3, "nginx", message)],
        [at(-3, app, message), at(-1, "rsyslogd", '[origin software="rsyslogd" swVersion="8"] start')],
        [at(-3, app, message), at(-1, "rsyslogd", 'origin software="rsyslogd" swVersion="8"] start')],
        [at(-3, app, message), at(-1, "kernel", "Linux version 6.1.0-13-amd64")],
    ):
        member = ended(*rows)
        assert (member.state, member.goodbye) == ("vanished", None)


def test_the_last_goodbye_after_the_last_greeting_counts() -> None:
    member = ended(
        at(-30, "kernel", "Linux version 6.1"),
        at(-2, "rsyslogd", "exiting on signal 15."),
        at(-1, "kernel", "reboot: Power down"),
        at(-20, "systemd", "Startup finished in 2s"),
    )
    assert (member.state, member.goodbye) == ("goodbye", "reboot: Power down")


def test_members_of_rows_without_a_name_and_of_other_kinds() -> None:
    assert ended(at(-1, "kernel", "reboot: Power down", host="a", instance="x"), by="host").state == "goodbye"
    member = Member(None, START, START)
    endings = Endings([member], "role")
    endings.judge([table([at(-1, "kernel", "reboot: Power down")])])
    assert member.state == "goodbye"


def test_what_is_a_goodbye() -> None:
    goodbye, greeting = (Holds("message", texts, True) for texts in (GOODBYES, GREETINGS))
    for messages, expected in (((*GOODBYE_MESSAGES.values(), *MORE_GOODBYES), True), (NO_GOODBYES, False)):
        assert goodbye.mask(pa.array(messages)).tolist() == [expected] * len(messages), messages
        assert not greeting.mask(pa.array(messages)).any()
    assert OneOf("app", APPS).mask(pa.array([*GOODBYE_MESSAGES])).all()


def test_every_kind_of_member_is_asked_for_by_columns_that_there_are() -> None:
    for by, columns in KEYS.items():
        assert set(columns) <= set(Endings([Member(None, 0, 0)], by).columns)
        assert isinstance(rows_of(Member(None, 0, 0), by), Filter)
