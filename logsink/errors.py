"""Everything that logsink raises on purpose::

    LogsinkError
    ├── ConfigError            a setting is unknown, malformed, or contradicts another
    ├── ArgumentError          a value on the command line (or given to the library) means nothing
    ├── StoreError             the object store did not do what was asked
    │   ├── NotFound           no object under this key
    │   ├── Unavailable        may work if tried again: time-out, reset, throttled, 5xx; the outcome may be unknown
    │   │   └── Moved          what was being read was archived, compacted or retired meanwhile; read again
    │   └── Refused            will not work until somebody changes something: the bucket's name, the endpoint, a path
    │       └── Withheld       may be granted while the program runs: credentials, permissions, space on a full disk
    ├── OutputError            standard output is closed, full, or cannot be written for another reason
    │   └── ReaderGone         nobody reads it any more, as behind ``| head``: no failure
    ├── FormatError            persisted bytes that this version cannot read: a segment, a data file, the table's log
    └── Conflict               another writer's commit won; plan again from a fresh snapshot

Messages read "cannot <verb> <object>: <cause>", lower case, no full stop, with the value and the limit in them.
``hint`` says what to do about it, where that is known; the command line prints it after the message.
"""

from __future__ import annotations


class LogsinkError(Exception):
    """Base of all errors raised on purpose; ``hint`` is the remedy, or ''."""

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
    """There is no object under this key."""


class Unavailable(StoreError):
    """Trying again may work; whether a write took place is unknown."""


class Moved(Unavailable):
    """What was being read was removed meanwhile; reading again gives what is there now."""


class Refused(StoreError):
    """Trying again will not help until somebody changes something."""


class Withheld(Refused):
    """Trying again helps once the other side grants it: new rights and keys take a while to be known everywhere."""


class OutputError(LogsinkError):
    """Standard output cannot be written."""


class ReaderGone(OutputError):
    """Whoever read standard output, or a pager, has seen enough."""


class FormatError(LogsinkError):
    """Persisted bytes that this version of logsink cannot read."""


class Conflict(LogsinkError):
    """Another writer's commit won: plan again from a fresh snapshot."""
