"""What one set of rows says that another does not: kinds of messages that are new, gone, more or less frequent.

- ``kinds`` counts the kinds of messages among rows, in bounded memory: masked (``views.to_patterns``), by application
- ``likeness`` merges masked messages that differ in single words only, as Drain does
- ``significance`` tells changes from chance: expected counts, scores and which of many changes are shown
- ``compare`` reads both sides of a store and returns their ``Changes``

A store and two filters enter, changes leave. Only reads enter the store, and nothing here prints.

Exports are imported at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform import lazy

if TYPE_CHECKING:
    from logsink.query.changes.compare import Change, Changes, Comparison, Side

__getattr__ = lazy.exports(__name__, {"compare": ("Change", "Changes", "Comparison", "Side")})

__all__ = ["Change", "Changes", "Comparison", "Side"]
