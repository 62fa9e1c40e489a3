"""Wire protocols without I/O: bytes in; batches of frames, replies and actions out.

- What every read of a connection gives: ``batch``.
- Syslog over a byte stream (RFC 6587, 5425): ``framing``; over UDP (RFC 5426): ``datagrams``.
- RELP: ``relp``; which frames a client has sent again after a broken session: ``resend``.
- What may stand before the frames: ``opening`` puts in order what ``proxy`` (PROXY header), ``foreign`` (protocols that do not
  belong on the port) and ``inflate`` (compression) recognise.

Nothing here awaits, reads a clock, or opens anything, and no byte that a peer sends raises an exception. Buffers belong to the
caller, one for each event loop; a session keeps only its unfinished frame, as ``carry``. The contract is the same for TCP and
RELP: put ``carry`` at the front of the buffer, read behind it, and call ``receive(buffer, end)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform.lazy import exports

if TYPE_CHECKING:
    from logsink.wire.batch import Batch, Scratch
    from logsink.wire.datagrams import REMEMBERED, SLOT, Datagrams
    from logsink.wire.foreign import ON_RELP, ON_SYSLOG, Foreigners
    from logsink.wire.framing import Framer
    from logsink.wire.inflate import READ_LIMIT, StreamInflater, inflated
    from logsink.wire.opening import Admit, Deliver, Inflate, Opening, Rejection, Stage, StartSession, StartTls
    from logsink.wire.relp import RelpSession, RelpState
    from logsink.wire.resend import Digests, History, Retrace, Taken, Unanswered, Verdict, digests, judge
else:
    __getattr__ = exports(
        __name__,
        {
            "batch": ("Batch", "Scratch"),
            "datagrams": ("REMEMBERED", "SLOT", "Datagrams"),
            "foreign": ("ON_RELP", "ON_SYSLOG", "Foreigners"),
            "framing": ("Framer",),
            "inflate": ("READ_LIMIT", "StreamInflater", "inflated"),
            "opening": ("Admit", "Deliver", "Inflate", "Opening", "Rejection", "Stage", "StartSession", "StartTls"),
            "relp": ("RelpSession", "RelpState"),
            "resend": ("Digests", "History", "Retrace", "Taken", "Unanswered", "Verdict", "digests", "judge"),
        },
    )

__all__ = [
    "ON_RELP",
    "ON_SYSLOG",
    "READ_LIMIT",
    "REMEMBERED",
    "SLOT",
    "Admit",
    "Batch",
    "Datagrams",
    "Deliver",
    "Digests",
    "Foreigners",
    "Framer",
    "History",
    "Inflate",
    "Opening",
    "Rejection",
    "RelpSession",
    "RelpState",
    "Retrace",
    "Scratch",
    "Stage",
    "StartSession",
    "StartTls",
    "StreamInflater",
    "Taken",
    "Unanswered",
    "Verdict",
    "digests",
    "inflated",
    "judge",
]
