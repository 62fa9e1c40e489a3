"""Proof blocks and tails: laid out by hand as the format says, and refused when any bit of them is another."""

from __future__ import annotations

import struct

import pytest
import xxhash

from logsink.archive import proof
from logsink.archive.proof import Tail
from logsink.errors import FormatError

THRIFT = b"thrift with logsink.proof in it"
FOOTER = THRIFT + struct.pack("<I", len(THRIFT)) + b"PAR1"
OLD = b"thrift of an older version"
CHUNKS = (b"one chunk", b"another", b"")


def laid_out() -> tuple[bytes, bytes]:
    """A file's chunks and its tail, from the words of the format alone."""
    hashes = b"".join(struct.pack("<Q", xxhash.xxh3_64_intdigest(chunk)) for chunk in CHUNKS) + struct.pack("<I", 3)
    seal = struct.pack("<Q", xxhash.xxh3_64_intdigest(hashes + FOOTER))
    return b"PAR1" + b"".join(CHUNKS), hashes + seal + b"LSPROOF1" + FOOTER


def test_a_block_is_what_the_format_says() -> None:
    body, tail = laid_out()
    made = proof.block(memoryview(body), [(4, 13), (13, 20), (20, 20)], FOOTER)
    assert made + FOOTER == tail
    assert str(proof.tail_of(tail)) == f"{len(tail)}:{xxhash.xxh3_128_hexdigest(tail)}"


@pytest.mark.parametrize("tagged", [True, False])
def test_a_tail_is_read_with_and_without_its_tag(tagged: bool) -> None:
    body, tail = laid_out()
    tag = proof.tail_of(tail) if tagged else None
    found = proof.read_tail("logs/x", body + tail, tag)
    assert bytes(found.footer) == FOOTER
    assert found.proof is not None
    assert [found.proof.holds(n, chunk) for n, chunk in enumerate(CHUNKS)] == [True] * 3
    assert not found.proof.holds(0, b"one chunK")


def test_how_much_to_read_is_told_by_the_end_alone() -> None:
    body, tail = laid_out()
    whole = body + tail
    assert proof.tail_size(b"") == 8
    assert proof.tail_size(whole[-8:]) == len(FOOTER) + 20
    assert proof.tail_size(whole[-len(FOOTER) - 20 :]) == len(tail)
    assert proof.tail_size(whole) == len(tail)
    assert proof.tail_size(body + body + OLD + struct.pack("<I", len(OLD)) + b"PAR1") == len(OLD) + 8


@pytest.mark.parametrize("tagged", [True, False])
def test_every_bit_of_a_tail_counts(tagged: bool) -> None:
    body, tail = laid_out()
    tag = proof.tail_of(tail) if tagged else None
    length = range(8 * (len(tail) - 8), 8 * (len(tail) - 4))
    for bit in range(8 * len(tail)):
        if bit in length and not tagged:
            continue  # half a footer is none of Parquet's, which its reader will say (test_damaged_files)
        flipped = bytearray(body + tail)
        flipped[len(body) + bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError, match="cannot read data file logs/x: "):
            proof.read_tail("logs/x", bytes(flipped), tag)


def test_a_tail_that_is_cut_or_another() -> None:
    body, tail = laid_out()
    for end in (b"", b"PAR1", tail[-8:], tail[-20:], tail[1:], tail[:-1], tail + b"\0"):
        for tag in (proof.tail_of(tail), None):
            with pytest.raises(FormatError, match="cannot read data file logs/x: "):
                proof.read_tail("logs/x", end, tag)
    # A file of an older version in place of one that the log has a tag for.
    old = body + OLD + struct.pack("<I", len(OLD)) + b"PAR1"
    with pytest.raises(FormatError, match="lacks its checksums"):
        proof.read_tail("logs/x", old, proof.tail_of(old))
    with pytest.raises(FormatError, match="do not match their checksum in the table's log"):
        proof.read_tail("logs/x", old, proof.tail_of(tail))


def test_a_file_of_an_older_version_has_no_proof() -> None:
    old = OLD + struct.pack("<I", len(OLD)) + b"PAR1"
    assert proof.read_tail("logs/x", b"some chunks" + old, None) == (old, None)


def test_a_tag_is_a_number_and_a_hash() -> None:
    assert proof.tail_tag(()) is None
    said = Tail(12, "0" * 32)
    assert proof.tail_tag((("logsink.tail", str(said)),)) == said
    for text in ("", "12", "12:", f"-1:{'0' * 32}", f"²:{'0' * 32}", f"x:{'0' * 32}", f"1:{'0' * 31}"):
        with pytest.raises(FormatError, match=r"cannot read tag logsink\.tail"):
            proof.tail_tag((("logsink.tail", text),))
