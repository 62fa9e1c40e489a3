"""The proof of a Parquet file: hashes by which it shows that no bit of it has changed. A persistent format.

Data files and objects with counts (``counts``) have one. Layout of such a file, from byte 0 to its last one::

    column chunks    PAR1, then pages, as Apache Parquet has them
    proof block      a u64 for each column chunk, row group by row group and in each in order of columns: xxh3_64 of its bytes,
                     from its dictionary page, or where it has none its first data page, total_compressed_size bytes
                     u32    number of these hashes
                     u64    xxh3_64 of the hashes, their number and the footer
                     8 bytes    LSPROOF1
    footer           Parquet's metadata, its length in four bytes, and PAR1; its key-value metadata has ``logsink.proof`` (1)

All numbers are little-endian. Parquet readers find the footer from the end and the chunks from the footer, and never see the
block. The *tail* of a file is its proof block with its footer, everything from there to the last byte.

Tags of the file in the table's log bind it to the log::

    logsink.tail      <number of bytes>:<xxh3_128 of the tail, 32 hex digits>; a reader fetches just these bytes, at once
    logsink.sha256    SHA-256 of the whole file, 64 hex digits

A reader checks the tail by the tag, or, where the log has no tag, by the block itself; and then each column chunk that it reads
by its hash in the block. A file without a block and without tags is of an older version, and is read unproved. A file whose
footer names a proof, or whose log has a tag for it, is damaged without its block.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from logsink.errors import FormatError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

TAIL_TAG: Final = "logsink.tail"
SHA256_TAG: Final = "logsink.sha256"
"""The tag of a data file that says the SHA-256 of the whole object."""

NAMED: Final = "logsink.proof"
"""Key in the footer that says that the file has a proof block."""

_MAGIC: Final = b"LSPROOF1"
_PARQUET: Final = b"PAR1"
_LENGTH: Final = Struct("<I4s")
"""What a footer ends with: the length of Parquet's metadata, and its magic."""

_COUNT: Final = Struct("<I")
_SEAL: Final = Struct("<Q8s")
_FIXED: Final = _COUNT.size + _SEAL.size
"""Bytes of a proof block that has no hashes."""

_HASH: Final = 8

Span = tuple[int, int]
"""The first byte of a part of a file, and the byte behind its last."""


class Tail(NamedTuple):
    """What a tag says of a file's tail: its number of bytes, and their hash in hex."""

    size: int
    hash: str

    def __str__(self) -> str:
        return f"{self.size}:{self.hash}"


class Proof(NamedTuple):
    """The proof block of a file: ``hashes``, uint64, of each column chunk, by row group and column."""

    hashes: npt.NDArray[np.uint64]

    def holds(self, chunk: int, data: bytes | memoryview) -> bool:
        """Return whether ``data`` is the column chunk of this number: row group * columns + column."""
        return xxhash.xxh3_64_intdigest(data) == int(self.hashes[chunk])


class ProvedTail(NamedTuple):
    """The end of a file that was found right: ``footer``, and its proof; None where a file of an older version has none."""

    footer: memoryview
    proof: Proof | None


def tail_tag(tags: Sequence[tuple[str, str]]) -> Tail | None:
    """Return what a file's tags say of its tail; None where they say nothing. ``FormatError`` for what cannot be read."""
    text = dict(tags).get(TAIL_TAG)
    if text is None:
        return None
    size, _, hashed = text.partition(":")
    if not size.isascii() or not size.isdigit() or len(hashed) != 32:
        raise FormatError(f"cannot read tag {TAIL_TAG}", f"{text[:80]!r} is not a number and a hash")
    return Tail(int(size), hashed)


def tail_of(tail: bytes | memoryview) -> Tail:
    """Return what a tag says of these bytes."""
    return Tail(len(tail), xxhash.xxh3_128_hexdigest(tail))


def chunk_span(chunk: pq.ColumnChunkMetaData) -> Span:
    """Return where the bytes of a column chunk stand in its file."""
    start: int = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None:  # some writers say 0 where there is none
        start = min(start, chunk.dictionary_page_offset or start)
    return start, start + chunk.total_compressed_size


def chunk_spans(metadata: pq.FileMetaData) -> list[Span]:
    """Return the spans of all column chunks, in the order of a proof block."""
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    return [chunk_span(group.column(number)) for group in groups for number in range(metadata.num_columns)]


def footer_size(end: bytes | memoryview) -> int:
    """Return the size of the footer of a file that ends with ``end``, eight bytes or more. ``ValueError`` for no footer."""
    length, magic = _LENGTH.unpack(end[-_LENGTH.size :])
    if magic != _PARQUET:
        raise ValueError("it does not end as a Parquet file")
    return int(length) + _LENGTH.size


def block_size(chunks: int) -> int:
    """Return the size of a proof block for so many column chunks."""
    return _FIXED + _HASH * chunks


def block(body: memoryview, chunks: Sequence[Span], footer: bytes | memoryview) -> bytes:
    """Return the proof block of a file with these column chunks in ``body``, to stand right before ``footer``."""
    hashes = np.array([xxhash.xxh3_64_intdigest(body[start:end]) for start, end in chunks], "<u8")
    said = hashes.tobytes() + _COUNT.pack(len(hashes))
    return said + _SEAL.pack(_seal(said, footer), _MAGIC)


def close(
    sink: pa.BufferOutputStream,
    writer: pq.ParquetWriter,
    collected: Sequence[pq.FileMetaData],
    chunks: int,
    between: bytes | pa.Buffer = b"",
) -> tuple[pa.Buffer, memoryview]:
    """Close a Parquet file that ``writer`` has written to ``sink``; return it, and its tail, which begins with the proof block.

    ``collected`` is the writer's ``metadata_collector``, ``chunks`` the number of column chunks; ``between`` is put between
    these and the block. The block's place is kept free before the footer is written: to insert it afterwards would copy the
    whole file.
    """
    chunks_end = sink.tell()
    sink.write(between)
    block_start = sink.tell()
    sink.write(bytes(block_size(chunks)))
    footer_start = sink.tell()
    writer.close()
    body, spans = sink.getvalue(), chunk_spans(collected[0])
    written = memoryview(body).cast("B")
    if spans[-1][1] != chunks_end or len(written) - footer_size(written) != footer_start:
        raise RuntimeError("the Parquet writer has put pages behind the place of the proof block")
    written[block_start:footer_start] = block(written, spans, written[footer_start:])
    return body, written[block_start:]


def _seal(said: bytes | memoryview, footer: bytes | memoryview) -> int:
    hashed = xxhash.xxh3_64(said)
    hashed.update(footer)
    return hashed.intdigest()


def tail_size(end: bytes | memoryview) -> int:
    """Return how many bytes the tail of a file has that ends with ``end``, or, where that is too short to tell, how many more
    are needed to tell. ``ValueError`` when it does not end as a Parquet file.
    """
    if len(end) < _LENGTH.size:
        return _LENGTH.size
    footer = footer_size(end)
    fixed = end[max(0, len(end) - footer - _FIXED) : max(0, len(end) - footer)]
    if len(fixed) < _FIXED:
        return footer + _FIXED
    if bytes(fixed[-len(_MAGIC) :]) != _MAGIC:
        return footer
    return footer + _FIXED + _HASH * int(_COUNT.unpack(fixed[: _COUNT.size])[0])


def read_tail(key: str, end: bytes | memoryview, tag: Tail | None) -> ProvedTail:
    """Return the footer and the proof of the file that ends with ``end``, which has the whole tail, perhaps more before it.

    ``FormatError``, in the name of ``key``, when the tail does not match ``tag`` or its own hash, or lacks a proof that the
    footer or the tag promises.
    """
    if tag is not None:
        end = end[max(0, len(end) - tag.size) :]
        if tail_of(end) != tag:
            raise damaged(key, "its last bytes do not match their checksum in the table's log")
    try:
        return _read(memoryview(end).cast("B"), required=tag is not None)
    except ValueError as error:
        raise damaged(key, str(error)) from error


def _read(end: memoryview, *, required: bool) -> ProvedTail:
    if len(end) < _LENGTH.size:
        raise ValueError("it does not end as a Parquet file")
    if (size := footer_size(end)) > len(end):
        raise ValueError(f"its footer does not fit into {len(end)} bytes")
    before, footer = end[:-size], end[-size:]
    if len(before) < _FIXED or bytes(before[-len(_MAGIC) :]) != _MAGIC:
        if required or NAMED.encode() in bytes(footer):
            raise ValueError("it lacks its checksums")
        return ProvedTail(footer, None)
    fixed = before[-_FIXED:]
    (count,), (seal, _) = _COUNT.unpack(fixed[: _COUNT.size]), _SEAL.unpack(fixed[_COUNT.size :])
    size = _FIXED + _HASH * count
    said = before[-size : -_SEAL.size]
    if len(before) < size or _seal(said, footer) != seal:
        raise ValueError("its last bytes do not match their checksum")
    return ProvedTail(footer, Proof(np.frombuffer(said[: -_COUNT.size], "<u8")))


def damaged(key: str, what: str) -> FormatError:
    """Return the error that says that a data file is damaged."""
    return FormatError(f"cannot read data file {key}", what, hint="logsink verify names everything that is damaged")
