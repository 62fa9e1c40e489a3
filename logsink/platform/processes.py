"""Which process a number means: numbers are given again to later processes."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")
_START_TIME = 19
"""The place of a process's start, in ticks since the machine's, among the fields behind its name in /proc/PID/stat."""


def birth(pid: int) -> str:
    """Return when a process began, as no other process of this number did: the machine's start and its own; "" if not known."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return f"{boot} {fields[_START_TIME]}"
    except (OSError, IndexError):
        return ""
