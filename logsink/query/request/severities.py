"""Severities and facilities: their numbers (RFC 5424, 6.2.1), and the names that journalctl gives them."""

from __future__ import annotations

from logsink.errors import ArgumentError
from logsink.kinds import nearest

SEVERITIES: tuple[str, ...] = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""The name of each severity, by its number; 0 is the most urgent."""

FACILITIES: tuple[str, ...] = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock"),
    *(f"local{n}" for n in range(8)),
)
"""The name of each facility, by its number."""

_SYNONYMS = {"error": 3, "warn": 4, "panic": 0}
_SEVERITY_OF = {name: number for number, name in enumerate(SEVERITIES)} | _SYNONYMS | {str(n): n for n in range(8)}
_FACILITY_OF = {name: code for code, name in enumerate(FACILITIES)} | {str(n): n for n in range(24)} | {"security": 4}


def parse_priority(text: str) -> tuple[int, int]:
    """Return the least and the greatest severity number that ``text`` admits.

    ``err`` and ``3`` admit that severity and all more urgent ones, ``err..notice`` a range. ``ArgumentError`` for other text.
    """
    names = text.lower().split("..")
    unknown = [name for name in names if name not in _SEVERITY_OF]
    if unknown or len(names) > 2:
        close = nearest(unknown[0], _SEVERITY_OF) if unknown else ""
        hint = f"write one of {', '.join(SEVERITIES)}, 0 to 7, or a range such as err..notice"
        hint = f"did you mean {close}? {hint}" if close else hint
        raise ArgumentError(f"cannot read {text!r} as a priority", hint=hint)
    severities = [_SEVERITY_OF[name] for name in names]
    return (0, severities[0]) if len(severities) == 1 else (min(severities), max(severities))


def parse_facility(text: str) -> int:
    """Return the number of the facility ``local0``, ``daemon`` or ``3``. ``ArgumentError`` for text that names none."""
    facility = _FACILITY_OF.get(text.lower())
    if facility is None:
        close = nearest(text.lower(), _FACILITY_OF)
        hint = f"{f'did you mean {close}? ' if close else ''}write one of {', '.join(FACILITIES)}, or 0 to 23"
        raise ArgumentError(f"cannot read {text!r} as a facility", hint=hint)
    return facility
