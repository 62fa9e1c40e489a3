"""What happens on a stream connection before its session begins, as a machine without I/O.

::

    connected -> PROXY header -> admission -> TLS handshake -> first bytes -> session, plain
                 from a load      limits of    where the port   foreign       or inflated
                 balancer         the sender   has certificates protocols
                                                                end here

The caller reports what happens to the connection and does what ``next_action`` returns, until that is None::

    caller                                     actions
    connected(from_proxy=...)
    receive(data), end(), timed_out()          Admit, StartTls, StartSession,
    admitted(), secured(), abandoned(),        Deliver, Inflate, Rejection
    reject(...)

``TRANSITIONS`` is the law. Bytes, the end of the stream and the time-out may come in every stage: bytes are kept for the stage
that reads them, what one stage leaves over belongs to the next, and an end that comes with first bytes settles what they are.
``admitted``, ``secured``, ``abandoned`` and ``reject`` answer an action: where nobody asked, they are an error of the caller
(``RuntimeError``). Once the opening is over, everything is ignored, because what was under way may still come to its end.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from logsink.wire.foreign import REASONS, Foreigners, foreign
from logsink.wire.inflate import stream_kind
from logsink.wire.proxy import ProxyHeader

JUDGED: Final = 4096
"""First bytes of a session that are compared with foreign protocols: more than any of these needs."""


class Stage(Enum):
    """What the connection is doing."""

    ACCEPTED = auto()
    """Nothing yet: it is not known whether the peer is a load balancer."""
    PROXY_HEADER = auto()
    """The PROXY header is being read."""
    ADMISSION = auto()
    """The client's address is final; the caller checks its limits."""
    HANDSHAKE = auto()
    """The caller makes the TLS handshake."""
    FIRST_BYTES = auto()
    """The session can be written to; its first bytes are compared with foreign protocols and with compressed streams."""
    PLAIN_SESSION = auto()
    """Over: what is read belongs to the session as it is."""
    INFLATED_SESSION = auto()
    """Over: what is read belongs to the session once it is inflated."""
    REJECTED = auto()
    """Over: the connection is closed because of what its peer did."""
    CLOSED = auto()
    """Over: the connection ended before there was a session."""


class Event(Enum):
    """What moves the machine."""

    FROM_PROXY = auto()
    FROM_CLIENT = auto()
    HEADER_READ = auto()
    ADMITTED = auto()
    ADMITTED_TO_TLS = auto()
    SECURED = auto()
    ABANDONED = auto()
    PLAIN = auto()
    COMPRESSED = auto()
    FAULT = auto()
    """A malformed or late header, a limit, a failed handshake, a foreign protocol."""
    ENDED = auto()


TRANSITIONS: Final[dict[Stage, dict[Event, Stage]]] = {
    Stage.ACCEPTED: {
        Event.FROM_PROXY: Stage.PROXY_HEADER,
        Event.FROM_CLIENT: Stage.ADMISSION,
        Event.ENDED: Stage.CLOSED,
    },
    Stage.PROXY_HEADER: {
        Event.HEADER_READ: Stage.ADMISSION,
        Event.FAULT: Stage.REJECTED,
        Event.ENDED: Stage.CLOSED,
    },
    Stage.ADMISSION: {
        Event.ADMITTED: Stage.FIRST_BYTES,
        Event.ADMITTED_TO_TLS: Stage.HANDSHAKE,
        Event.FAULT: Stage.REJECTED,
    },
    Stage.HANDSHAKE: {
        Event.SECURED: Stage.FIRST_BYTES,
        Event.FAULT: Stage.REJECTED,
        Event.ABANDONED: Stage.CLOSED,
    },
    Stage.FIRST_BYTES: {
        Event.PLAIN: Stage.PLAIN_SESSION,
        Event.COMPRESSED: Stage.INFLATED_SESSION,
        Event.FAULT: Stage.REJECTED,
    },
    Stage.PLAIN_SESSION: {},
    Stage.INFLATED_SESSION: {},
    Stage.REJECTED: {},
    Stage.CLOSED: {},
}

OVER: Final = frozenset(stage for stage, events in TRANSITIONS.items() if not events)
"""The stages in which the opening has nothing more to do."""


class Admit(NamedTuple):
    """Check the limits of the sender, and call ``admitted`` or ``reject``."""

    client: str | None
    """The address in the PROXY header; None: the peer's own address counts."""


class StartTls(NamedTuple):
    """Make the TLS handshake, and call ``secured``, ``reject`` or ``abandoned``.

    ``take_encrypted`` has what was read before TLS took over.
    """


class StartSession(NamedTuple):
    """The session may be written to from now on."""


class Deliver(NamedTuple):
    """Hand these first bytes to the session, and whatever is read from now on."""

    data: bytes


class Inflate(NamedTuple):
    """Inflate these first bytes for the session, and whatever is read from now on."""

    data: bytes


class Rejection(NamedTuple):
    """Close the connection at once, count it under ``kind``, and give ``reason`` in the log."""

    kind: str
    reason: str


Action = Admit | StartTls | StartSession | Deliver | Inflate | Rejection

_HEADER_LATE: Final = Rejection(
    "proxy_timeout", "its address is in listen.proxy_protocol_from, but it did not send a PROXY header in time"
)


class Opening:
    """The opening of one connection on a port that has these ``foreigners`` and may be ``compressible`` and have ``tls``."""

    def __init__(self, foreigners: Foreigners, *, compressible: bool, tls: bool) -> None:
        self.stage = Stage.ACCEPTED
        self._foreigners, self._compressible, self._tls = foreigners, compressible, tls
        self._header = ProxyHeader()
        self._data = b""
        self._ended = self._settled = False
        self._action: Action | None = None
        """What the last event asks for."""

    @property
    def undecided(self) -> int:
        """Bytes of the session that are kept until it is known what they are."""
        return len(self._data) if self.stage is Stage.FIRST_BYTES else 0

    def connected(self, *, from_proxy: bool) -> None:
        """The connection is made; ``from_proxy``: by a load balancer that sends a PROXY header."""
        self._move(Event.FROM_PROXY if from_proxy else Event.FROM_CLIENT, None if from_proxy else Admit(None))

    def receive(self, data: bytes) -> None:
        """Take what was read."""
        if self.stage not in OVER:
            self._data += data

    def end(self) -> None:
        """Report that nothing more can be read."""
        self._ended = self._settled = True

    def settle(self) -> None:
        """Decide about the first bytes without waiting for more of them: what is in doubt is the session's."""
        self._settled |= self.stage is Stage.FIRST_BYTES

    def timed_out(self) -> None:
        """The time for the PROXY header is over; that matters only while it is being read."""
        if self.stage is Stage.PROXY_HEADER:
            self._move(Event.FAULT, _HEADER_LATE)

    def admitted(self) -> None:
        """The sender is within its limits."""
        if self._tls:
            self._move(Event.ADMITTED_TO_TLS, StartTls())
        else:
            self._move(Event.ADMITTED, StartSession())

    def secured(self) -> None:
        """The TLS handshake is done; what was read before it and not taken by ``take_encrypted`` is dropped."""
        if self.stage is Stage.HANDSHAKE:
            self._data = b""
        self._move(Event.SECURED, StartSession())

    def abandoned(self) -> None:
        """Report that TLS did not start, through no fault of the client: it has gone, or the connection was aborted."""
        self._move(Event.ABANDONED, None)

    def reject(self, why: Rejection) -> None:
        """The caller found a fault: a limit, or a failed handshake."""
        self._move(Event.FAULT, why)

    def take_encrypted(self) -> bytes:
        """Return, once, what was read before TLS took over."""
        if self.stage is not Stage.HANDSHAKE:
            return b""
        data, self._data = self._data, b""
        return data

    def next_action(self) -> Action | None:
        """Return what the caller has to do now; None: nothing, until it reports something."""
        if self._action is None:
            self._look()
        action, self._action = self._action, None
        return action

    def _look(self) -> None:
        """See what the bytes that are here, or their end, mean in this stage."""
        if self.stage is Stage.FIRST_BYTES:
            self._judge()
            return
        if self.stage is Stage.PROXY_HEADER:
            self._read_header()
        if self._ended and Event.ENDED in TRANSITIONS[self.stage]:
            self._move(Event.ENDED, None)

    def _move(self, event: Event, action: Action | None) -> None:
        if self.stage in OVER:
            return
        after = TRANSITIONS[self.stage].get(event)
        if after is None:
            raise RuntimeError(f"event {event.name} cannot happen in stage {self.stage.name}")
        self.stage, self._action = after, action

    def _read_header(self) -> None:
        header = self._header
        self._data = header.receive(self._data)
        if header.error is not None:
            reason = f"its address is in listen.proxy_protocol_from, but it sent no PROXY header: {header.error}"
            self._move(Event.FAULT, Rejection("no_proxy_header", reason))
        elif header.finished:
            self._move(Event.HEADER_READ, Admit(header.source))

    def _judge(self) -> None:
        data = self._data
        if not data and not self._settled:
            return
        kind = foreign(data[:JUDGED], self._foreigners, ended=self._settled)
        if kind:
            self._move(Event.FAULT, Rejection(kind, REASONS[kind]))
            return
        compression = stream_kind(data, ended=self._settled) if self._compressible else ""
        if not self._settled and (kind is None or compression is None):
            return
        self._data = b""
        if compression:
            self._move(Event.COMPRESSED, Inflate(data))
        else:
            self._move(Event.PLAIN, Deliver(data))
