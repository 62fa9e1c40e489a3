"""The opening of a connection, without a connection: every split of the bytes, every event in every stage."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.wire.foreign import ON_RELP, ON_SYSLOG
from logsink.wire.opening import (
    OVER,
    TRANSITIONS,
    Action,
    Admit,
    Deliver,
    Event,
    Inflate,
    Opening,
    Rejection,
    Stage,
    StartSession,
    StartTls,
)

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 514\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"
    + socket.inet_aton("192.0.2.7")
    + socket.inet_aton("127.0.0.1")
    + b"\x9c\x40\x02\x02"
)
LINE = b"<13>Nov 28 21:00:00 web-1 app: one\n"
PACKED = zlib.compress(LINE * 3)
LIMIT = Rejection("sender_connections", "too many")


class Port(NamedTuple):
    """What the machine is told of its port and peer."""

    from_proxy: bool = False
    tls: bool = False
    compressible: bool = True

    def opening(self) -> Opening:
        foreigners = ON_SYSLOG if self.compressible else ON_RELP
        return Opening(foreigners, compressible=self.compressible, tls=self.tls)


def run(opening: Opening, actions: list[Action]) -> None:
    """Do what the opening asks for: everybody is let in, TLS changes no byte."""
    while (action := opening.next_action()) is not None:
        actions.append(action)
        match action:
            case Admit():
                opening.admitted()
            case StartTls():
                encrypted = opening.take_encrypted()
                opening.secured()
                opening.receive(encrypted)


def opened(port: Port, reads: Iterable[bytes], *, ended: bool = False) -> tuple[list[Action], Stage]:
    """The actions that a connection leads to, and the stage it is left in."""
    opening, actions = port.opening(), list[Action]()
    opening.connected(from_proxy=port.from_proxy)
    run(opening, actions)
    for read in reads:
        opening.receive(read)
        run(opening, actions)
    if ended:
        opening.end()
        run(opening, actions)
    return actions, opening.stage


def outline(actions: list[Action]) -> list[tuple[type[Action], str | None]]:
    """What the caller was asked for, whatever the bytes that went with it: how many are there at once depends on the reads."""
    return [
        (type(a), a.client if isinstance(a, Admit) else a.kind if isinstance(a, Rejection) else None) for a in actions
    ]


def carried(actions: list[Action]) -> bytes:
    """The bytes that were handed on."""
    return b"".join(a.data for a in actions if isinstance(a, Deliver | Inflate))


PROXIED, TLS, BOTH = Port(from_proxy=True), Port(tls=True), Port(from_proxy=True, tls=True)
RELP = Port(compressible=False)
CASES: dict[str, tuple[Port, bytes, list[Action], Stage]] = {
    "a line": (Port(), LINE, [Admit(None), StartSession(), Deliver(LINE)], Stage.PLAIN_SESSION),
    "TLS": (TLS, LINE, [Admit(None), StartTls(), StartSession(), Deliver(LINE)], Stage.PLAIN_SESSION),
    "a load balancer": (
        PROXIED,
        V1 + LINE,
        [Admit("192.0.2.7"), StartSession(), Deliver(LINE)],
        Stage.PLAIN_SESSION,
    ),
    "a load balancer, then TLS": (
        BOTH,
        V2 + LINE,
        [Admit("192.0.2.7"), StartTls(), StartSession(), Deliver(LINE)],
        Stage.PLAIN_SESSION,
    ),
    "a compressed stream": (Port(), PACKED, [Admit(None), StartSession(), Inflate(PACKED)], Stage.INFLATED_SESSION),
    "a compressed stream behind a header": (
        PROXIED,
        V2 + PACKED,
        [Admit("192.0.2.7"), StartSession(), Inflate(PACKED)],
        Stage.INFLATED_SESSION,
    ),
    "RELP": (
        RELP,
        b"1 open 30 relp_version=0\ncommands=syslog\n",
        [Admit(None), StartSession(), Deliver(b"1 open 30 relp_version=0\ncommands=syslog\n")],
        Stage.PLAIN_SESSION,
    ),
    "nothing is inflated where nothing may be compressed": (
        RELP,
        PACKED,
        [Admit(None), StartSession(), Deliver(PACKED)],
        Stage.PLAIN_SESSION,
    ),
    "a load balancer that only checks": (PROXIED, b"", [], Stage.CLOSED),
    "half a header": (PROXIED, V2[:20], [], Stage.CLOSED),
    "a client that only checks": (
        Port(),
        b"",
        [Admit(None), StartSession(), Deliver(b"")],
        Stage.PLAIN_SESSION,
    ),
    "what only resembles HTTP": (
        Port(),
        b"GET",
        [Admit(None), StartSession(), Deliver(b"GET")],
        Stage.PLAIN_SESSION,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_connection_leads_to_however_its_bytes_are_read(name: str) -> None:
    port, data, actions, stage = CASES[name]
    reads: list[Iterable[bytes]] = [[data], [bytes([byte]) for byte in data]]
    reads += [[data[:at], data[at:]] for at in range(len(data))]
    for one in reads:
        found, left = opened(port, one, ended=True)
        assert left is stage
        assert outline(found) == outline(actions)
        # what is read behind the decision goes to the session without the machine
        assert carried(actions).startswith(carried(found))


@pytest.mark.parametrize(
    ("port", "data", "kind"),
    [
        (Port(), V1, "proxy"),
        (Port(), V2, "proxy"),
        (Port(), b"GET / HTTP/1.1\r\n", "http"),
        (Port(), b"SSH-2.0-OpenSSH_9.2\r\n", "ssh"),
        (Port(), b"1 open 30 relp_version=0\n", "relp"),
        (Port(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls"),
        (RELP, LINE, "syslog"),
        (PROXIED, LINE, "no_proxy_header"),
        (PROXIED, V1 + V1, "proxy"),
        (BOTH, V1[:-2] + b"\n", "no_proxy_header"),
        (TLS, b"GET / HTTP/1.1\r\n", "http"),
    ],
)
def test_what_is_rejected_however_its_bytes_are_read(port: Port, data: bytes, kind: str) -> None:
    for reads in ([data], [bytes([byte]) for byte in data], *([data[:at], data[at:]] for at in range(len(data)))):
        actions, stage = opened(port, reads)
        assert stage is Stage.REJECTED
        last = actions[-1]
        assert isinstance(last, Rejection)
        assert last.kind == kind
        assert not [a for a in actions if isinstance(a, Deliver | Inflate)]


def test_a_header_that_is_late() -> None:
    opening, actions = PROXIED.opening(), list[Action]()
    opening.connected(from_proxy=True)
    opening.receive(V1[:9])
    run(opening, actions)
    assert actions == []
    opening.timed_out()
    run(opening, actions)
    assert [a.kind for a in actions if isinstance(a, Rejection)] == ["proxy_timeout"]
    assert opening.stage is Stage.REJECTED


def test_what_is_undecided_is_counted_and_can_be_settled() -> None:
    opening, actions = Port().opening(), list[Action]()
    opening.connected(from_proxy=False)
    run(opening, actions)
    opening.receive(b"GET /")
    run(opening, actions)
    assert opening.undecided == 5
    opening.settle()
    run(opening, actions)
    assert actions[-1] == Deliver(b"GET /")
    assert opening.undecided == 0


def test_a_doubt_is_settled_where_it_exists_and_not_before() -> None:
    opening = Port().opening()
    opening.settle()
    opening.connected(from_proxy=False)
    actions: list[Action] = []
    run(opening, actions)
    assert opening.stage is Stage.FIRST_BYTES


def test_bytes_for_tls_are_given_once_and_dropped_where_nobody_takes_them() -> None:
    opening = BOTH.opening()
    assert opening.take_encrypted() == b""
    opening.connected(from_proxy=True)
    opening.receive(V1 + b"\x16\x03")
    assert opening.next_action() == Admit("192.0.2.7")
    opening.admitted()
    assert opening.next_action() == StartTls()
    opening.receive(b"\x01")
    assert opening.undecided == 0
    assert opening.take_encrypted() == b"\x16\x03\x01"
    assert opening.take_encrypted() == b""
    opening.receive(b"\x02")
    opening.secured()
    assert opening.next_action() == StartSession()
    assert opening.next_action() is None
    assert opening.undecided == 0


# --- every event in every stage

REPORTS: dict[str, Callable[[Opening], None]] = {
    "connected": lambda one: one.connected(from_proxy=False),
    "connected from a proxy": lambda one: one.connected(from_proxy=True),
    "admitted": Opening.admitted,
    "secured": Opening.secured,
    "abandoned": Opening.abandoned,
    "reject": lambda one: one.reject(LIMIT),
}
"""What a caller reports, each of which answers something."""

OUTSIDE: dict[str, Callable[[Opening], None]] = {
    "bytes": lambda one: one.receive(b"?\n"),
    "end": Opening.end,
    "time-out": Opening.timed_out,
    "settle": Opening.settle,
    "take": lambda one: [one.take_encrypted(), None][1],
}
"""What may come at any time."""

EXPECTED: dict[Stage, dict[str, Stage]] = {
    Stage.ACCEPTED: {
        "connected": Stage.ADMISSION,
        "connected from a proxy": Stage.PROXY_HEADER,
        "end": Stage.CLOSED,
    },
    Stage.PROXY_HEADER: {
        "reject": Stage.REJECTED,
        "bytes": Stage.REJECTED,
        "end": Stage.CLOSED,
        "time-out": Stage.REJECTED,
    },
    Stage.ADMISSION: {"admitted": Stage.FIRST_BYTES, "reject": Stage.REJECTED},
    Stage.HANDSHAKE: {"secured": Stage.FIRST_BYTES, "abandoned": Stage.CLOSED, "reject": Stage.REJECTED},
    Stage.FIRST_BYTES: {
        "reject": Stage.REJECTED,
        "bytes": Stage.PLAIN_SESSION,
        "end": Stage.PLAIN_SESSION,
        "settle": Stage.PLAIN_SESSION,
    },
}
"""What one event, and a look at it, does in each stage; not listed: nothing, or an error if it is the caller's report."""


def brought_to(stage: Stage) -> Opening:
    """A machine in this stage, with nothing that it asks for."""
    opening = Port(tls=stage is Stage.HANDSHAKE).opening()
    if stage in (Stage.CLOSED, Stage.REJECTED):
        opening.connected(from_proxy=True)
        (opening.end if stage is Stage.CLOSED else opening.timed_out)()
    elif stage is not Stage.ACCEPTED:
        opening.connected(from_proxy=stage is Stage.PROXY_HEADER)
    if stage not in (Stage.ACCEPTED, Stage.PROXY_HEADER, Stage.ADMISSION, Stage.CLOSED, Stage.REJECTED):
        opening.admitted()
    if stage in (Stage.PLAIN_SESSION, Stage.INFLATED_SESSION):
        opening.receive(LINE if stage is Stage.PLAIN_SESSION else PACKED)
    while opening.next_action() is not None:
        pass
    assert opening.stage is stage
    return opening


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("name", [*REPORTS, *OUTSIDE])
def test_every_event_in_every_state(stage: Stage, name: str) -> None:
    opening = brought_to(stage)
    expected = EXPECTED.get(stage, {}).get(name)
    if name in REPORTS and expected is None and stage not in OVER:
        with pytest.raises(RuntimeError, match=f"cannot happen in stage {stage.name}"):
            REPORTS[name](opening)
        assert opening.stage is stage
        return
    (REPORTS | OUTSIDE)[name](opening)
    opening.next_action()
    assert opening.stage is (expected or stage)
    if stage in OVER:
        assert opening.next_action() is None


def test_the_table_is_closed_and_whole() -> None:
    assert set(TRANSITIONS) == set(Stage)
    assert {event for events in TRANSITIONS.values() for event in events} == set(Event)
    reached = {Stage.ACCEPTED} | {after for events in TRANSITIONS.values() for after in events.values()}
    assert reached == set(Stage)
    assert {Stage.PLAIN_SESSION, Stage.INFLATED_SESSION, Stage.REJECTED, Stage.CLOSED} == OVER


PIECES = st.sampled_from([V1, V2, LINE, PACKED, b"GET / HT", b"1 open 3", b"\x16\x03", b"x^", b"\xff", b""])


@given(
    st.builds(Port, st.booleans(), st.booleans(), st.booleans()),
    st.lists(PIECES, max_size=4).map(b"".join),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_reads_of_any_size_lead_to_the_same(port: Port, data: bytes, cuts: list[int]) -> None:
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole, stage = opened(port, [data], ended=True)
    found, left = opened(port, [data[a:b] for a, b in pairwise(at)], ended=True)
    assert left is stage
    assert outline(found) == outline(whole)
    assert carried(whole).startswith(carried(found))


@given(
    st.builds(Port, st.booleans(), st.booleans(), st.booleans()),
    st.lists(st.sampled_from([*REPORTS, *OUTSIDE, "look", V1, LINE, PACKED]), max_size=20),
)
def test_any_order_of_events_is_taken_or_refused_as_the_table_says(port: Port, events: list[str | bytes]) -> None:
    opening, before = port.opening(), Stage.ACCEPTED
    for event in events:
        if isinstance(event, bytes):
            opening.receive(event)
        elif event == "look":
            opening.next_action()
        elif event in OUTSIDE:
            OUTSIDE[event](opening)
        else:
            try:
                REPORTS[event](opening)
            except RuntimeError:
                assert before not in OVER
        after = opening.stage
        assert after is before or after in TRANSITIONS[before].values()
        assert after is before or before not in OVER
        before = after
