"""Severities and facilities by name (RFC 5424, 6.2.1), as journalctl writes them."""

from __future__ import annotations

from logsink.errors import ArgumentError
from logsink.kinds import nearest

SEVERITIES: tuple[str, ...] = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
FACILITIES: tuple[str, ...] = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock"),
    *(f"local{n}" for n in range(8)),
)
_SYNONYMS = {"error": 3, "warn": 4, "panic": 0}
_PRIORITIES = {name: level for level, name in enumerate(SEVERITIES)} | _SYNONYMS | {str(n): n for n in range(8)}
_FACILITIES = {name: code for code, name in enumerate(FACILITIES)} | {str(n): n for n in range(24)} | {"security": 4}


def parse_priority(text: str) -> tuple[int, int]:
    """Least and greatest severity that ``err``, ``4`` (that or more severe) or ``err..notice`` admits. ``ArgumentError``."""
    parts = text.lower().split("..")
    levels = [_PRIORITIES.get(part) for part in parts]
    if len(parts) > 2 or None in levels:
        close = nearest(next(part for part in parts if part not in _PRIORITIES), _PRIORITIES) if None in levels else ""
        hint = f"write one of {', '.join(SEVERITIES)}, 0 to 7, or a range such as err..notice"
        hint = f"did you mean {close}? {hint}" if close else hint
        raise ArgumentError(f"cannot read {text!r} as a priority", hint=hint)
    known = [level for level in levels if level is not None]
    return (0, known[0]) if len(known) == 1 else (min(known), max(known))


def parse_facility(text: str) -> int:
    """The number of ``local0``, ``daemon``, ``3``. ``ArgumentError``."""
    code = _FACILITIES.get(text.lower())
    if code is None:
        close = nearest(text.lower(), _FACILITIES)
        hint = f"{f'did you mean {close}? ' if close else ''}write one of {', '.join(FACILITIES)}, or 0 to 23"
        raise ArgumentError(f"cannot read {text!r} as a facility", hint=hint)
    return code
