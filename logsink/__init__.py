"""logsink: a central syslog server whose archive outlives every server, itself included.

Bytes flow one way: ``net`` moves them, ``wire`` cuts them into frames, ``journal`` makes them durable, ``parse`` turns
them into columns, ``archive`` commits them to a Delta table, ``query`` reads journal and table back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logsink.library import Archive

__all__ = ["__version__", "open"]
__version__ = "0.2.0"


def open(url: str) -> Archive:
    """Return the archive at ``url`` (``s3://bucket/prefix``, ``file:///dir``), to be read from Python: ``logsink.library``."""
    from logsink.library import Archive

    return Archive(url)
