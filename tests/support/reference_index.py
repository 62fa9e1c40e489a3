"""The index as docs/storage.md describes it, in plain Python: which blocks of which data files may have a key."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import xxhash

BITS = 63


def number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def folded(text: str) -> str:
    return "".join(c.lower() if c.isascii() else {"\u212a": "k", "\u017f": "s"}.get(c, c) for c in text)


def is_token_character(c: str) -> bool:
    if c.isascii():
        return c.isalnum() or c == "_"
    return c == "\u212a" or (c <= "\u07ff" and unicodedata.category(c).startswith("L"))


def tokens(text: str) -> Iterator[bytes]:
    for run in "".join(c if is_token_character(c) else " " for c in text).split():
        if len(token := folded(run).encode()) >= 3:
            yield token


def key_of(data: bytes) -> int:
    h = 0x4BF29CE484222325
    for octet in data:
        h = ((h ^ octet) * 0x100000001B3) % (1 << BITS)
    h = ((h ^ h >> 32) * 0x1E3779B97F4A7C15) % (1 << BITS)
    h = ((h ^ h >> 29) * 0x2545F4914F6CDD1D) % (1 << BITS)
    return h ^ h >> 32


def highest(key: int, count: int) -> int:
    """The highest log2(count) bits of a key."""
    return key * count >> BITS


def head_of(body: bytes) -> Any:
    assert body[-8:] == b"LSINDEX1"
    size = number(body[-24:-16])
    head = body[-24 - size : -24]
    assert xxhash.xxh3_64_intdigest(head + body[-24:-16]) == number(body[-16:-8])
    return json.loads(pa.CompressedInputStream(pa.BufferReader(head), "zstd").read())


def find(body: bytes, key: int) -> dict[str, set[int]]:
    """The blocks that may have a key, by the path of their data file."""
    head = head_of(body)
    coarse = len(head["buckets"]) - 1
    start, end = head["buckets"][highest(key, coarse) :][:2]
    bucket, found = body[start : end - 8], dict[str, set[int]]()
    assert xxhash.xxh3_64_intdigest(bucket) == number(body[end - 8 : end])
    for section in head["sections"]:
        size = number(bucket[:4])
        found[section["path"]] = blocks_in(bucket[4 : 4 + size], key, section, coarse) | set(section["unindexed"])
        bucket = bucket[4 + size :]
    return found


def blocks_in(part: bytes, key: int, section: Any, coarse: int) -> set[int]:
    count, each = section["micro"] // coarse, -(-section["groups"] // 127) or 1
    blocks = -(-section["groups"] // each)
    lengths = [number(part[2 * k : 2 * k + 2]) for k in range(count)]
    place = highest(key, section["micro"]) % count
    start = 2 * count + sum(lengths[:place])
    micro, suffix = part[start : start + lengths[place]], highest(key, section["micro"] << 8) % 256
    while micro:
        if micro[1] == 255:
            size = 2 + -(-blocks // 8)
            listed = {block for block in range(blocks) if number(micro[2:size]) >> block & 1}
        else:
            size = next(k for k in range(1, len(micro)) if micro[k] >= 128) + 1
            listed = {octet % 128 for octet in micro[1:size]}
        if micro[0] == suffix:
            return listed
        micro = micro[size:]
    return set()


def keys_of(table: pa.Table) -> Iterator[int]:
    """The keys of a table's rows."""
    named = ("host", "app", "procid", "msgid", "environment", "role", "deploy", "instance", "sender", "identity")
    for row in table.to_pylist():
        for name in named:
            if row[name] is not None:
                yield key_of(name.encode() + b"\0" + row[name].encode())
        for text in (row["message"] or "", row["structured_data"] or ""):
            yield from map(key_of, tokens(text))
            if "\\u" in text:
                yield key_of(b"\\u")
