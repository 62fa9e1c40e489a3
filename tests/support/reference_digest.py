"""Row digests from the words of their specification (docs/storage.md), a value at a time, with no code of logsink's."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

F = (0x243F6A8885A308D3, 0x13198A2E03707344, 0x082EFA98EC4E6C89, 0x452821E638D01377)
MODULUS = 1 << 64


def fold(a: int, b: int) -> int:
    p = a * b
    return (p >> 64) ^ (p % MODULUS)


def blocks(data: bytes) -> list[list[int]]:
    """The blocks of a text, each as four numbers."""
    cut = [data[at : at + 32] for at in range(0, len(data) - 32, 32)] + [data[-32:].ljust(32, b"\0")]
    return [[int.from_bytes(block[at : at + 8], "little") for at in range(0, 32, 8)] for block in cut]


def text(h: tuple[int, int], data: bytes) -> tuple[int, int]:
    for w in blocks(data):
        h = fold(h[0] ^ w[0], w[1] ^ F[0]), fold(h[1] ^ w[2], w[3] ^ F[1])
    return fold(h[0] ^ len(data), h[1] ^ F[2]), fold(h[1] ^ len(data), h[0] ^ F[3])


def hash_value(column: str, value: Any) -> tuple[int, int]:
    """Both lanes of a value; instants are given as microseconds."""
    name = text((F[2], F[3]), column.encode())
    if isinstance(value, int):
        return fold(value % MODULUS ^ F[0], name[0]), fold(value % MODULUS ^ F[1], name[1])
    return text(name, value.encode() if isinstance(value, str) else bytes(value))


def hash_row(row: Mapping[str, Any]) -> int:
    values = [hash_value(column, value) for column, value in row.items() if value is not None]
    s, t = (sum(value[k] for value in values) % MODULUS for k in (0, 1))
    z = fold(s ^ F[0], t ^ F[1])
    return fold(z ^ s, F[2]) * 2**64 + fold(z ^ t, F[3])


def digests(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Hour of ``received`` -> the number of its rows, and their digest."""
    found: dict[str, tuple[int, int]] = {}
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    for row in rows:
        hour = (epoch + datetime.timedelta(microseconds=row["received"])).strftime("%Y-%m-%dT%H")
        count, digest = found.get(hour, (0, 0))
        found[hour] = count + 1, (digest + hash_row(row)) % 2**128
    return found
