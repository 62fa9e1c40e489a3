"""The errors that logsink raises on purpose::

    LogsinkError
    ├── ConfigError            a setting is unknown, malformed, or contradicts another
    ├── ArgumentError          a value on the command line (or given to the library) means nothing
    ├── StoreError             the object store did not do what was asked
    │   ├── NotFound           no object under this key
    │   ├── Unavailable        another try may work: time-out, reset, throttled, 5xx; the outcome may be unknown
    │   │   └── Moved          an object being read was archived, merged or retired meanwhile; read again
    │   └── Refused            no try works until somebody changes something: the bucket's name, the endpoint, a path
    │       └── Withheld       somebody may grant it while the program runs: credentials, permissions, space on a full disk
    ├── OutputError            standard output is closed, full, or cannot be written for another reason
    │   └── ReaderGone         the reader of standard output has ended, as behind ``| head``: no failure
    ├── SpillError             a temporary file for what does not fit into memory cannot be written
    ├── FormatError            this version cannot read persisted bytes: a segment, a data file, the table's log
    │   └── MediumError        the disk cannot read an object that is there
    ├── Damaged                the table's log is damaged: nothing is committed or deleted until it is repaired
    └── Conflict               another writer's commit won; plan again from a fresh snapshot

Messages read "cannot <verb> <object>: <cause>", lower case, no full stop, with the value and the limit in them.
``hint`` says what to do about it, where that is known; the command line prints it after the message.
"""

from __future__ import annotations

from typing import Final


class LogsinkError(Exception):
    """Base of all errors that logsink raises on purpose; ``hint`` is the remedy, or ''."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(LogsinkError):
    """A setting is unknown, malformed, or contradicts another."""


class ArgumentError(LogsinkError):
    """A value given on the command line or to the library means nothing."""


class StoreError(LogsinkError):
    """The object store did not do what was asked."""


class NotFound(StoreError):
    """An object is not there: the store has none under its key."""


class Unavailable(StoreError):
    """Another try may work; whether a write took place is unknown."""


class Moved(Unavailable):
    """An object that was being read was deleted meanwhile; reading again gives what is there now."""


class Refused(StoreError):
    """No try works until somebody changes something."""


class Withheld(Refused):
    """Another try works once the other side grants it; new rights and keys take a while to be known everywhere."""


class OutputError(LogsinkError):
    """Standard output cannot be written."""


class ReaderGone(OutputError):
    """The program that reads standard output, often a pager, has ended."""


class SpillError(LogsinkError):
    """A temporary file for what does not fit into memory cannot be written."""


UPGRADE: Final = "upgrade logsink"
"""The hint of an error about bytes that a later version has written."""


class FormatError(LogsinkError):
    """Persisted bytes cannot be read: damaged, not logsink's, or of a later version of logsink.

    ``what`` and ``why`` make the message: "cannot read segment KEY: it does not match its checksum". Who names the object in
    other words says only ``why``.
    """

    def __init__(self, what: str, why: str, *, hint: str = "") -> None:
        super().__init__(f"{what}: {why}", hint=hint)
        self.why = why

    @property
    def newer(self) -> bool:
        """Whether a later version of logsink has written the bytes."""
        return self.hint == UPGRADE


class MediumError(FormatError):
    """The disk cannot read an object that is there: its bytes are damaged for all that anybody knows."""


class Damaged(LogsinkError):
    """The table's log is damaged: nothing may be committed on it, and nothing deleted because of it, until it is repaired."""


class Conflict(LogsinkError):
    """Another writer's commit won: plan again from a fresh snapshot."""


def extra(name: str) -> str:
    """Return the hint that says how to install the packages of an extra of logsink."""
    return f"in a clone of logsink: pip install '.[{name}]'"
