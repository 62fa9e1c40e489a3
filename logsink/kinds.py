"""Kinds of values of settings: how to read and show a duration, a size, an address, and so on.

Settings file, environment and command line take the same forms. Every reading function raises ``ArgumentError``, whose hint
says what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from logsink import place
from logsink.characters import harmless
from logsink.errors import ArgumentError, ConfigError

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

V = TypeVar("V")

_UNITS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile("".join(rf"(?:(\d{{1,18}}){unit})?" for unit in _UNITS))
SPELLED = {
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), "w"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), "ms"),
}
"""Units as people write them in durations -> the unit of ``parse_duration``."""

_PART = r"(?a)(\d{1,18}(?:\.\d+)?|an? )\s*([A-Za-z]+)(?:\s*,\s*|\s+and\s+|\s*)"
_DURATIONS = ("20ms", "60s", "5m", "1h30m", "30d")
_SIZES = ("512B", "128KiB", "16MiB", "1GiB")
_DIGITS = 18
_HUGE = 10**_DIGITS  # beyond every limit
_BINARY = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_SIZE = re.compile(r"(\d{1,18})(TiB|GiB|MiB|KiB|B)")


def nearest(word: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """Return the one of ``known`` that a misspelt word probably means, or ''."""
    from difflib import get_close_matches  # takes 3 ms, and only a mistake needs it

    return next(iter(get_close_matches(word, list(known), 1, cutoff)), "")


def parse_duration(text: str) -> float:
    """Return the seconds of ``20ms``, ``60s``, ``1h30m``, ``2w``: largest unit first, each once. Raises ``ArgumentError``."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ArgumentError(f"cannot read duration {text!r}", hint=f"write {_alternatives(_DURATIONS)}")
    return sum(int(n or 0) * unit for n, unit in zip(match.groups(), _UNITS.values(), strict=True)) / 1000


def parse_span(text: str) -> float:
    """Return the seconds of a duration as people type it: ``10 min``, ``1hour 30 minutes``, ``1.5h``, ``2 days``, ``an hour``.

    Everything that ``parse_duration`` reads means the same here. Raises ``ArgumentError``.
    """
    total, at, last = 0.0, 0, -1
    order = list(_UNITS)
    while at < len(text):
        match = re.compile(_PART).match(text, at)
        word = match[2] if match else ""
        unit = SPELLED.get(word if word == "M" else word.lower())  # M may be minutes or months
        if match is None or unit is None or order.index(unit) <= last:
            break
        last, at = order.index(unit), match.end()
        total += _UNITS[unit] * (1 if match[1][0] == "a" else float(match[1]) if "." in match[1] else int(match[1]))
    if not text or at < len(text):
        hint = f"write {text}s, {text}m or {text}h" if text.isdigit() else "write 30s, 5m, '10 min', 1h30m or '2 days'"
        raise ArgumentError(f"cannot read duration {text!r}", hint=hint)
    return total / 1000


def format_duration(seconds: float) -> str:
    """Return the text that ``parse_duration`` reads as ``seconds``, in whole milliseconds. It has days, but no weeks."""
    rest, parts = round(seconds * 1000), []
    for unit, size in _UNITS.items():
        if unit != "w":
            count, rest = divmod(rest, size)
            parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Return the bytes of ``16MiB``, ``128KiB``, ``1GiB``, ``512B``: powers of 1024 only. Raises ``ArgumentError``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ArgumentError(f"cannot read size {text!r}", hint=f"write {_alternatives(_SIZES)}")
    return int(match[1]) * _BINARY[match[2]]


def format_size(size: int) -> str:
    """Return the text that ``parse_size`` reads as ``size``, in the largest unit that divides it."""
    unit = next(u for u, n in _BINARY.items() if size % n == 0 and (size or n == 1))
    return f"{size // _BINARY[unit]}{unit}"


_NAME = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?"


class Address(NamedTuple):
    """An address to listen on: ``host`` is a name, or an address without brackets; port 0 takes a free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address in ``host:port`` or ``[IPv6]:port``. Raises ``ArgumentError``, also for an empty host."""
    match = re.fullmatch(rf"(?:\[([0-9A-Fa-f:.]+)\]|({_NAME}|)):(\d{{1,5}})", text)
    host = match and (match[1] or match[2])
    if match and not host:
        everywhere = f"write 0.0.0.0:{match[3]} for every IPv4 address of this machine, [::]:{match[3]} for every one"
        raise ArgumentError(f"cannot listen on {text!r}: it names no host", hint=everywhere)
    if not match or not host or int(match[3]) > 65535:
        raise ArgumentError(f"cannot listen on {text!r}", hint="write HOST:PORT, [IPV6]:PORT, port 0 to 65535")
    return Address(host, int(match[3]))


def collide(one: Address, other: Address) -> bool:
    """Return whether two sockets of the same protocol cannot have these addresses. Names are not looked up.

    ``[::]`` and IPv4 addresses do not collide: where both are asked for, a socket of IPv6 is for IPv6 alone.
    """
    if one.port != other.port or one.port == 0:
        return False
    from ipaddress import ip_address  # takes 3 ms, and only addresses that share a port need it

    try:
        first, second = ip_address(one.host), ip_address(other.host)
    except ValueError:
        return one.host.lower() == other.host.lower()
    return first == second or (first.version == second.version and (first.is_unspecified or second.is_unspecified))


class Kind(NamedTuple, Generic[V]):
    """A kind of values of type ``V``: ``read`` turns text into a value or raises ``ArgumentError``, ``show`` a value into text.

    ``low`` and ``high``: the least and the greatest value, or None.
    """

    name: str
    read: Callable[[str], Any]
    show: Callable[[Any], str]
    low: Any = None
    high: Any = None
    bare: bool = False
    """Whether TOML has the value as a number or truth value, not as a string."""
    many: bool = False
    """Whether the value is a list: in TOML an array, in the environment with commas, on the command line repeated."""
    remedy: Callable[[Any, str], str] | None = None
    """Given the kind and a text that ``read`` refuses: the hint, within the limits. None: the hint of ``read``."""

    def value(self, raw: object) -> V:
        """Return the value of ``raw``, which is text or a value from TOML. Raises ``ArgumentError``."""
        value: V = self._all(raw) if self.many else self._one(raw)
        return value

    def toml(self, value: Any) -> str:
        """Return ``value`` as TOML."""
        if self.many:
            return f"[{', '.join(_quoted(self.show(item)) for item in value)}]"
        return self.show(value) if self.bare else _quoted(self.show(value))

    @property
    def limits(self) -> str:
        """The limits as text, ``1s to 1h``, or ''."""
        return "" if self.low is None else f"{self.show(self.low)} to {self.show(self.high)}"

    def _all(self, raw: object) -> Any:
        if isinstance(raw, str):
            raw = [part.strip() for part in raw.split(",") if part.strip()]
        if not isinstance(raw, list | tuple):
            raise ArgumentError(f"cannot read {_shown(raw)} as a list", hint='write it as ["...", "..."]')
        return tuple(self._one(item) for item in raw)

    def _one(self, raw: object) -> Any:
        if isinstance(raw, bool) and self.name == "switch":
            return raw
        text = _number(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else raw
        if not isinstance(text, str):
            hint = self.remedy(self, "") if self.remedy else f"write one {self.name}, in quotes"
            raise ArgumentError(f"cannot read {_shown(raw)} as {self.name}", hint=hint)
        try:
            value = self.read(text)
        except ArgumentError as error:
            hint = self.remedy(self, text) if self.remedy else error.hint
            raise ArgumentError(str(error), hint=hint) from error
        if self.low is not None and not self.low <= value <= self.high:
            raise ArgumentError(f"cannot take {text}: outside {self.limits}", hint=f"write {self._nearest(value)}")
        return value

    def _nearest(self, value: Any) -> str:
        return self.show(self.low) + " or more" if value < self.low else self.show(self.high) + " or less"


def _number(raw: float) -> str:
    """Return a number from TOML as text, without an exponent where it is small."""
    if isinstance(raw, int):
        return str(max(-_HUGE, min(raw, _HUGE)))  # Python refuses to write 4300 digits
    return f"{raw:.15f}" if 0 < abs(raw) < 1 else str(raw)


def _shown(raw: object) -> str:
    """Return a value from TOML that is no text, as an error shows it."""
    if isinstance(raw, list | dict):
        return "a list" if isinstance(raw, list) else "a table"
    if isinstance(raw, bool):
        return str(raw).lower()
    return _number(raw) if isinstance(raw, int | float) else str(raw)


def _alternatives(words: Sequence[str]) -> str:
    """Return ``a, b or c``."""
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _amount(kind: Kind[Any], meant: Iterable[str], examples: Iterable[str]) -> str:
    """Return the hint that offers what may be meant and is within the limits; where nothing is, such examples."""
    if offered := _within(kind, meant):
        return f"write {_alternatives(offered)}, within {kind.limits}"
    return f"write a {kind.name} from {kind.limits}, such as {_alternatives(_within(kind, examples))}"


def _within(kind: Kind[Any], texts: Iterable[str]) -> list[str]:
    return [text for text in texts if kind.low <= kind.read(text) <= kind.high]


def _with_units(kind: Kind[Any], text: str, units: Iterable[str]) -> list[str]:
    """Return a number without a unit with each of the units; of 0, which is the same in all, one."""
    number = re.fullmatch(r"0*(\d{1,18})", text)
    if number is None:
        return []
    return [f"{number[1]}{unit}" for unit in units] if int(number[1]) else [kind.show(0)]


def _duration_hint(kind: Kind[float], text: str) -> str:
    return _amount(kind, _with_units(kind, text, reversed(_UNITS)), _DURATIONS)


def _size_hint(kind: Kind[int], text: str) -> str:
    decimal = re.fullmatch(r"(\d{1,18})\s*([KMGT])i?[Bb]?", text)
    meant = [f"{decimal[1]}{decimal[2]}iB"] if decimal else _with_units(kind, text, reversed(_BINARY))
    return _amount(kind, meant, _SIZES)


def _quoted(text: str) -> str:
    """Return the text as a TOML string that is harmless on a terminal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    shown = (c if c.isprintable() and harmless(c) == c else f"{chr(92)}U{ord(c):08x}" for c in escaped)
    return f'"{"".join(shown)}"'


def _read_count(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise ArgumentError(f"cannot read {text!r} as a whole number", hint="write digits only")
    return int(text) if len(text) <= _DIGITS else _HUGE


def _read_price(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ArgumentError(f"cannot read {text!r} as a price", hint="write dollars: 0.023")
    return float(text)


def _read_switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ArgumentError(f"cannot read {text!r} as a switch", hint="write true or false")
    return text == "true"


def _read_store(text: str) -> str:
    try:
        place.parse(text)
    except ConfigError as error:
        raise ArgumentError(str(error), hint=error.hint) from error
    return text


def _read_timezone(text: str) -> str:
    if text == "UTC":
        return text  # the default; zoneinfo takes 8 ms, and most commands do not need it
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:  # KeyError: zoneinfo's own "not found"
        raise ArgumentError(f"cannot find time zone {text!r}", hint="write UTC or a name like Europe/Berlin") from error
    return text


def _read_sd_id(text: str) -> str:
    if not re.fullmatch(r"[!-~]{1,32}", text) or any(c in '=]"' for c in text):
        hint = 'RFC 5424 allows 1 to 32 printable ASCII characters except = ] "'
        raise ArgumentError(f"cannot use {text!r} as an SD-ID", hint=hint)
    return text


def _read_path(text: str) -> str:
    if not text.strip():
        raise ArgumentError(f"cannot use {text!r} as a file", hint="write the path of a PEM file")
    return text


def _read_network(text: str) -> Any:
    import ipaddress  # takes 3 ms, and most commands do not need it

    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ArgumentError(
            f"cannot read network {text!r}: {error}", hint="write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32"
        ) from error


def _read_peer(text: str) -> str:
    algorithm, _, digits = text.partition(":")
    nbytes = {"SHA1": 20, "SHA256": 32}.get(algorithm.upper())
    if nbytes and not re.fullmatch(rf"([0-9A-Fa-f]{{2}}:?){{{nbytes}}}", digits):
        hint = f"write {algorithm.upper()}: and {nbytes} pairs of hexadecimal digits, with or without colons"
        raise ArgumentError(f"cannot read fingerprint {text!r}", hint=hint)
    if not nbytes and not re.fullmatch(r"[^\s*]+( [^\s*]+)*|(\*\.)+[^\s*]+", text):
        raise ArgumentError(
            f"cannot permit peer {text!r}", hint="write a name, *.example.com, an address, or SHA256:AB:CD:..."
        )
    return text


def duration(low: str, high: str) -> Kind[float]:
    """Return the kind of durations within these limits."""
    return Kind(
        "duration", parse_duration, format_duration, parse_duration(low), parse_duration(high), remedy=_duration_hint
    )


def size(low: str, high: str) -> Kind[int]:
    """Return the kind of sizes within these limits."""
    return Kind("size", parse_size, format_size, parse_size(low), parse_size(high), remedy=_size_hint)


def count(low: int, high: int) -> Kind[int]:
    """Return the kind of whole numbers within these limits."""
    return Kind("number", _read_count, str, low, high, bare=True, remedy=_count_hint)


def _count_hint(kind: Kind[int], _: str) -> str:
    return f"write a whole number from {kind.limits}"


def _choice(name: str, what: str, *words: str, many: bool = False) -> Kind[Any]:
    """Return the kind of these words; an error calls a value ``what``."""

    def read(text: str) -> str:
        if text not in words:
            raise ArgumentError(f"cannot read {text!r} as {what}")
        return text

    return Kind(name, read, str, many=many, remedy=lambda *_: f"write {_alternatives(words)}")


PRICE: Kind[float] = Kind(
    "price",
    _read_price,
    lambda dollars: _number(dollars).rstrip("0").rstrip("."),
    0.0,
    1_000_000.0,
    bare=True,
    remedy=lambda kind, _: f"write dollars from {kind.limits}, such as 0.023",
)
SWITCH: Kind[bool] = Kind(
    "switch", _read_switch, lambda on: str(on).lower(), bare=True, remedy=lambda *_: "write true or false"
)
ADDRESS: Kind[Address] = Kind("address", parse_address, str)
ADDRESSES: Kind[tuple[Address, ...]] = Kind("address", parse_address, str, many=True)
STORE: Kind[str] = Kind("URL", _read_store, str)
TIMEZONE: Kind[str] = Kind("time zone", _read_timezone, str)
SD_ID: Kind[str] = Kind("SD-ID", _read_sd_id, str)
PATH: Kind[str] = Kind("path", _read_path, str)
NETWORKS: Kind[tuple[IPv4Network | IPv6Network, ...]] = Kind("network", _read_network, str, many=True)
LISTENERS: Kind[tuple[str, ...]] = _choice("listener", "a listener", "tcp", "relp", "tls", "relp_tls", many=True)
CLIENT_AUTH: Kind[str] = _choice("word", "client_auth", "none", "optional", "required")
CREATE: Kind[str] = _choice("word", "create", "auto", "never")
PEERS: Kind[tuple[str, ...]] = Kind("peer", _read_peer, str, many=True)
