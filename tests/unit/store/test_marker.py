"""The marker of a store: what is written is read, and damage is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xxhash

from logsink.errors import FormatError
from logsink.store.marker import Marker, decode_marker, encode_marker, new_id, new_marker

MARKER = Marker("6f1c2a9e-4a0f-4a53-9d3e-0d6a4b8f7c21", "2026-11-29T01:40:00Z", "logsink/0.2.0")
STORED = (Path(__file__).parents[2] / "data" / "golden" / "store-1.json").read_bytes()


def sealed(members: dict[str, object]) -> bytes:
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    check = xxhash.xxh3_64_hexdigest(canonical.encode())
    return json.dumps(members | {"check": check}, ensure_ascii=False).encode()


def test_the_format_stays() -> None:
    assert encode_marker(MARKER) == STORED
    assert decode_marker(STORED) == MARKER


def test_a_new_marker() -> None:
    assert new_marker("id", "logsink/1", 1_795_916_400.9) == Marker("id", "2026-11-29T01:40:00Z", "logsink/1")
    assert new_id() != new_id()


def test_each_flipped_bit_is_seen() -> None:
    for bit in range(8 * len(STORED.rstrip())):
        body = bytearray(STORED)
        body[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError, match=r"cannot read store\.json: it (is no marker|does not match)"):
            decode_marker(bytes(body))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"1", b"null", STORED[:40], b"\xff", b'{"check": 1}'])
def test_what_is_no_marker_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError, match="it is no marker of a store"):
        decode_marker(body)


def test_members_of_a_later_version_are_proved_and_ignored() -> None:
    members = {"format": 1, "id": "a", "created": "b", "by": "c", "region": "é"}
    assert decode_marker(sealed(members)) == Marker("a", "b", "c")
    with pytest.raises(FormatError, match="checksum"):
        decode_marker(sealed(members).replace("é".encode(), b"e"))


def test_a_newer_format_says_so() -> None:
    with pytest.raises(FormatError, match="its format is 2") as caught:
        decode_marker(sealed({"format": 2, "id": "a", "created": "b", "by": "c"}))
    assert caught.value.hint == "upgrade logsink"
