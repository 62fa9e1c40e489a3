"""Whether anything is missing: the running numbers of senders, and what else the archive says of what it did not get.

- ``numbers`` finds boot and running number in structured data
- ``tally`` adds up, in bounded memory, which numbers each boot and which minutes each sender has, and what was wrong with rows
- ``findings`` says what that means: holes, doubles, quiet times, wrong clocks, rows that were cut
- ``audit`` reads a store: once, and again only to say when holes were

A store and a filter enter, findings leave. Only reads enter the store, and nothing here prints.

Exports are imported at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform import lazy

if TYPE_CHECKING:
    from logsink.query.audit.audit import Audit
    from logsink.query.audit.findings import Boot, Findings, Hole, Quiet, Sender

__getattr__ = lazy.exports(__name__, {"audit": ("Audit",), "findings": ("Boot", "Findings", "Hole", "Quiet", "Sender")})

__all__ = ["Audit", "Boot", "Findings", "Hole", "Quiet", "Sender"]
