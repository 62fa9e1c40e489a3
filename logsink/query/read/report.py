"""What a running query has done so far: ``Report``. Whoever makes one writes to it; others only read it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from logsink.damage import Damage, total


@dataclass
class Report:
    """What a query has found and read so far; it changes while the query runs."""

    rows: int = 0
    """Rows that were handed out; of a fold, rows that went into its parts."""
    hidden: int = 0
    """Rows that were left out as probable copies."""
    apart: int = 0
    """Rows shown that would be hidden as copies, had they not been received more than ten minutes from each other."""
    began: float = 0.0
    """Everything acknowledged before this (seconds since the epoch, this machine's clock) is included; 0: not begun."""
    files: int = 0
    """Data files in the archive."""
    files_read: int = 0
    """Data files whose footer was read."""
    counted: int = 0
    """Data files whose rows were summed up by their counts, if not all of them."""
    excluded: int = 0
    """Data files that were not opened because of what the index says of them."""
    segments: int = 0
    """Segments in the journal's tail."""
    bytes: int = 0
    """Size of all files and segments."""
    passed: int = 0
    """Bytes of these that were read or excluded so far; estimated from footers and statistics."""
    bytes_read: int = 0
    """Bytes that the store has returned."""
    requests: int = 0
    """Reads of objects."""
    listings: int = 0
    """Pages of keys that were listed."""
    restarts: int = 0
    """How often the query was planned again because objects were removed while it ran."""
    cut: bool = False
    """Whether the limit was reached before everything was read: there may be more rows."""
    interrupted: bool = False
    """Whether the query was stopped before everything was read."""
    damaged: dict[str, dict[int | None, Damage]] = field(default_factory=dict)
    """What ``note`` was told, by key and part."""

    def note(self, damage: Damage, part: int | None = None) -> None:
        """Take note of damage to an object or, with ``part``, to one part of it (the number of a row group).

        The first note of each counts, and a note of the whole object counts for all of its parts.
        """
        self.damaged.setdefault(damage.key, {}).setdefault(part, damage)

    @property
    def damage(self) -> list[Damage]:
        """Objects that are damaged or missing, each once, in the order in which they were found: their rows are missing."""
        return [parts[None] if None in parts else _together(parts.values()) for parts in self.damaged.values() if parts]

    def with_reads(self, *others: Report) -> Report:
        """Return this report with the reads of other queries added."""
        return replace(
            self,
            requests=self.requests + sum(other.requests for other in others),
            listings=self.listings + sum(other.listings for other in others),
            bytes_read=self.bytes_read + sum(other.bytes_read for other in others),
        )

    def including(self, *others: Report) -> Report:
        """Return this report with the reads of other queries for the same answer, and whether and why they are incomplete."""
        damaged: dict[str, dict[int | None, Damage]] = {}
        for report in (self, *others):
            for key, parts in report.damaged.items():
                damaged[key] = parts | damaged.get(key, {})
        return replace(
            self.with_reads(*others),
            interrupted=self.interrupted or any(other.interrupted for other in others),
            damaged=damaged,
        )


def _together(parts: Collection[Damage]) -> Damage:
    """Return the damage of some parts of one object as one."""
    rows, known = total(parts)
    return next(iter(parts))._replace(rows=rows if known else None)
