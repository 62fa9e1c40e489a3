"""Row digests from the words of their specification (docs/storage.md), a value at a time, with no code of logsink's."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

FACTORS = (0x1E3779B97F4A7C15, 0x2545F4914F6CDD1D)
MODULUS = 1 << 63


def mix(k: int, h: int, m: int) -> int:
    p = (h ^ m) * FACTORS[k] % MODULUS
    return p ^ p >> 31


def parts(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 7], "little") for at in range(0, len(data), 7)]


def value_bytes(value: Any) -> bytes:
    """What the specification calls the bytes of a value; instants are given as microseconds."""
    if isinstance(value, int):
        return value.to_bytes(8, "little", signed=True)
    return value.encode() if isinstance(value, str) else bytes(value)


def hash_value(column: str, value: Any) -> tuple[int, int]:
    name, data, h = [0, 0], value_bytes(value), [0, 0, 0, 0]
    for k in (0, 1):
        for m in (len(column.encode()), *parts(column.encode())):
            name[k] = mix(k, name[k], m)
    for j in range(4):
        h[j] = mix(j % 2, name[j % 2], 4 * len(data) + j)
        for part in parts(data)[j::4]:
            h[j] = mix(j % 2, h[j], part)
    one = mix(0, mix(0, h[0], h[1]), (h[2] + h[3]) % MODULUS)
    return one, mix(1, mix(1, h[2], h[3]), (h[0] + h[1]) % MODULUS)


def hash_row(row: Mapping[str, Any]) -> int:
    values = [hash_value(column, value) for column, value in row.items() if value is not None]
    s, t = (sum(value[k] for value in values) % MODULUS for k in (0, 1))
    return mix(0, mix(0, s, t), s) * 2**64 + mix(1, mix(1, 0, (s + t) % MODULUS), t)


def digests(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Hour of ``received`` -> the number of its rows, and their digest."""
    found: dict[str, tuple[int, int]] = {}
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    for row in rows:
        hour = (epoch + datetime.timedelta(microseconds=row["received"])).strftime("%Y-%m-%dT%H")
        count, digest = found.get(hour, (0, 0))
        found[hour] = count + 1, (digest + hash_row(row)) % 2**128
    return found
