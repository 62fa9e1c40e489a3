"""Index objects: the sections of some data files of one date, laid out by key. A persistent format, version 1.

Name: ``index/date=YYYY-MM-DD/<16 hexadecimal digits, random>.index``. An object is written once. All numbers are little-endian.

Layout, from byte 0 to the last one::

    coarse buckets  K of them, a power of two, at most 1024 and at most the micro buckets of any section. A key's coarse bucket
                    is its highest log2(K) bits. Of each section in order:
                        u32     bytes of the slice
                        slice   of the section (``section``): M/K micro buckets, for M of the section
                    and at the end of the coarse bucket:
                        u64     xxh3_64 of all bytes of the coarse bucket before it
    tails           of each section whose data file proves itself, its tail (``archive.proof``), compressed with zstd
    head            JSON, compressed with zstd
    trailer         u64     bytes of the head
                    u64     xxh3_64 of the head and of its length as it stands in the trailer
                    8 bytes LSINDEX1

The head::

    {"format": 1, "date": "YYYY-MM-DD", "store": "<id of the store, or nothing>",
     "buckets": [where each coarse bucket begins, and where the last one ends],
     "sections": [{"path": "date=.../....parquet", "size": bytes of the data file,
                   "tail": "<the data file's tag logsink.tail, or nothing>", "rows": rows, "groups": row groups,
                   "micro": M, "keys": different keys, "unindexed": [blocks that may have every key],
                   "at": [where the tail begins, its bytes, its bytes uncompressed],
                   "counts": whether the data file had counts when the section was made}, ...]}

What a key asks for is one coarse bucket: one read answers for all data files of the object. A section counts for a live
data file of the same path, size and tail tag, and for no other. ``at`` is [0, 0, 0] where the object has no tail. ``counts``
may be absent, which means true: the file's counts may be lost, and are made again.

What does not prove itself raises ``FormatError``, and is then as if it were not there.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import xxhash

from logsink.errors import UPGRADE, FormatError
from logsink.index.names import FILTERS, index_date
from logsink.index.section import FEWEST, KEY_BITS, MOST_MICRO, Filter, blocks_of, join, possible_blocks

if TYPE_CHECKING:
    from backports.zstd import ZstdDecompressor, ZstdError, compress
else:
    try:
        from compression.zstd import ZstdDecompressor, ZstdError, compress
    except ImportError:  # before Python 3.14
        from backports.zstd import ZstdDecompressor, ZstdError, compress

FORMAT: Final = 1

INDEX_REMEDY: Final = "delete it: `logsink maintain --index` makes another, and no answer depends on it"
"""What to do about a damaged object."""

HEAD_READ: Final = 1 << 16
"""Bytes at the end of an index object that usually hold its whole head."""

MOST_COARSE: Final = 1024

_MAGIC: Final = b"LSINDEX1"
_TRAILER: Final = Struct("<QQ8s")
_LENGTH: Final = Struct("<Q")
_SLICE: Final = Struct("<I")
_HASH: Final = Struct("<Q")

_COARSE_BYTES: Final = 16 << 10
"""Bytes of a coarse bucket, about, as long as there are not too many of them."""

_LEVEL: Final = 3

_MOST_HEAD: Final = 64 << 20
"""Most bytes of a head uncompressed: a million data files have less."""

_MOST_TAIL: Final = 64 << 20
"""Most bytes of a data file's tail."""


class Section(NamedTuple):
    """What the head says of a section: its data file by ``path``, ``size`` and ``tail`` (the tag; "" where it has none),
    that file's ``rows`` and row ``groups``; ``micro`` buckets and different ``keys`` of the section, and its ``unindexed``
    blocks, which may have every key; ``at``: offset, bytes, and bytes uncompressed of the file's tail in the object;
    ``counts``: false where the file has no counts because they would not be small.
    """

    path: str
    size: int
    tail: str
    rows: int
    groups: int
    micro: int
    keys: int
    unindexed: tuple[int, ...]
    at: tuple[int, int, int]
    counts: bool = True

    @property
    def all_blocks(self) -> int:
        """All blocks of the file, as a number whose bit b is block b's."""
        return (1 << blocks_of(self.groups)[0]) - 1

    def row_groups(self, blocks: int) -> list[int]:
        """Return the row groups of blocks, which are given as the bits of a number."""
        count, each = blocks_of(self.groups)
        return [
            group
            for block in range(count)
            if blocks >> block & 1
            for group in range(block * each, min((block + 1) * each, self.groups))
        ]

    def tail_of(self, data: bytes) -> bytes:
        """Return the data file's tail of the bytes that stand at ``at``. ``FormatError``: they are none of this length.

        The bytes are not proved: compare them with the tag of the live file.
        """
        return _decompressed(data, self.at[2])


@dataclass(frozen=True)
class Head:
    """The head of the index object ``key``: its date, the store's id, where coarse buckets begin, and its sections in order."""

    key: str
    date: datetime.date
    store: str
    buckets: tuple[int, ...]
    sections: tuple[Section, ...]

    def bucket(self, key: int) -> int:
        """Return the number of the coarse bucket of a key."""
        return key >> KEY_BITS - (len(self.buckets) - 1).bit_length() + 1

    def span(self, bucket: int) -> tuple[int, int]:
        """Return where a coarse bucket stands in the object: its first byte, and the byte behind its last."""
        return self.buckets[bucket], self.buckets[bucket + 1]

    def slices(self, data: bytes | memoryview) -> list[memoryview]:
        """Return the slice of each section in a coarse bucket. ``FormatError`` when the bucket does not prove itself."""
        view = memoryview(data).cast("B")
        body = view[: max(0, len(view) - _HASH.size)]
        if view[len(body) :] != _HASH.pack(xxhash.xxh3_64_intdigest(body)):
            raise self._damaged("a coarse bucket does not match its checksum")
        found, p = [], 0
        for _ in self.sections:
            if p + _SLICE.size > len(body):
                raise self._damaged("a coarse bucket lacks sections")
            (size,) = _SLICE.unpack_from(body, p)
            p += _SLICE.size
            if p + size > len(body):
                raise self._damaged("a section ends behind its coarse bucket")
            found.append(body[p : p + size])
            p += size
        return found

    def find(self, key: int, data: bytes | memoryview) -> list[int]:
        """Return the blocks of each section that may have a key, as numbers whose bit b is block b's.

        ``data``: the key's coarse bucket, of which every byte is proved. ``FormatError`` when it does not prove itself.
        """
        return self.find_in(key, self.slices(data))

    def find_in(self, key: int, slices: Sequence[memoryview]) -> list[int]:
        """Return what ``find`` does, from the ``slices`` of the key's coarse bucket."""
        coarse, found = len(self.buckets) - 1, []
        for section, part in zip(self.sections, slices, strict=True):
            blocks, _ = blocks_of(section.groups)
            possible = possible_blocks(part, key, micro=section.micro, count=section.micro // coarse, blocks=blocks)
            for block in section.unindexed:
                possible |= 1 << block
            found.append(possible)
        return found

    def _damaged(self, what: str) -> FormatError:
        return damaged(self.key, what)


class NewSection(NamedTuple):
    """A section to be put into an object: what the head says of it, ``at`` aside; its filter; and its data file's tail,
    compressed (``compressed_tail``), which is empty where there is none.
    """

    said: Section
    filter: Filter
    tail: bytes = b""


def new_section(
    path: str, size: int, tag: str, rows: int, found: Filter, tail: bytes | memoryview = b"", *, counts: bool = True
) -> NewSection:
    """Return the section of a data file: its path, bytes, tag of its tail, number of rows, filter, tail, and if it has counts.

    Without a tag the tail is left out: a reader could not prove it.
    """
    kept = tail if tag else b""
    said = Section(
        path, size, tag, rows, found.groups, found.micro, found.keys, found.unindexed, (0, 0, len(kept)), counts
    )
    return NewSection(said, found, compress(bytes(kept), _LEVEL) if kept else b"")


def encode_object(date: datetime.date, store: str, sections: Sequence[NewSection]) -> bytes:
    """Return an index object of these sections, of which there is at least one, all of data files of ``date``."""
    data = sum(len(one.filter.data) for one in sections)
    coarse = 1
    while coarse < min([MOST_COARSE, *(one.said.micro for one in sections)]) and data > coarse * _COARSE_BYTES:
        coarse *= 2
    parts, buckets, p = list[bytes](), [0], 0
    for slices in zip(*(one.filter.slices(coarse) for one in sections), strict=True):
        bucket = b"".join(part for one in slices for part in (_SLICE.pack(len(one)), one))
        parts += [bucket, _HASH.pack(xxhash.xxh3_64_intdigest(bucket))]
        p += len(bucket) + _HASH.size
        buckets.append(p)
    said = []
    for one in sections:
        said.append(one.said._replace(at=(p, len(one.tail), one.said.at[2]) if one.tail else (0, 0, 0))._asdict())
        parts.append(one.tail)
        p += len(one.tail)
    head = compress(
        orjson.dumps({"format": FORMAT, "date": str(date), "store": store, "buckets": buckets, "sections": said}),
        _LEVEL,
    )
    sealed = head + _LENGTH.pack(len(head))
    return b"".join([*parts, sealed, _HASH.pack(xxhash.xxh3_64_intdigest(sealed)), _MAGIC])


def decode_object(key: str, body: bytes) -> list[NewSection]:
    """Return all sections of a whole index object, to be put into another. ``FormatError`` when any byte does not prove itself.

    Tails are no part of that: what they must be stands in the table's log.
    """
    head = read_head(key, body, len(body))
    count = len(head.buckets) - 1
    slices = [head.slices(body[slice(*head.span(bucket))]) for bucket in range(count)]
    found = []
    for number, one in enumerate(head.sections):
        data = join([bucket[number] for bucket in slices], one.micro)
        offset, length, _ = one.at
        kept = Filter(one.groups, one.micro, one.keys, one.unindexed, data)
        found.append(NewSection(one, kept, body[offset : offset + length]))
    return found


def head_size(key: str, end: bytes | memoryview) -> int:
    """Return how many bytes head and trailer of an index object have, from bytes at its end.

    ``FormatError``: it is no index object, or one of a newer format.
    """
    if len(end) < _TRAILER.size:
        raise damaged(key, f"{len(end)} bytes are too few")
    size, _, magic = _TRAILER.unpack(end[-_TRAILER.size :])
    if magic != _MAGIC:
        raise damaged(key, "it does not end as one of format 1")
    return int(size) + _TRAILER.size


def read_head(key: str, end: bytes | memoryview, size: int) -> Head:
    """Return the head of an index object of ``size`` bytes, from bytes at its end: ``head_size`` of them, or more.

    ``FormatError`` when the head does not prove itself, or is of a newer format.
    """
    needed = head_size(key, end)
    if not needed <= len(end) <= size:
        raise damaged(key, f"its head does not fit into {len(end)} bytes")
    length, said, _ = _TRAILER.unpack(end[-_TRAILER.size :])
    head = bytes(end[-needed : -_TRAILER.size])
    if xxhash.xxh3_64_intdigest(head + _LENGTH.pack(length)) != said:
        raise damaged(key, "its head does not match its checksum")
    try:
        parsed = orjson.loads(_decompressed(head, None))
        if parsed["format"] != FORMAT:
            what = f"it has format {parsed['format']!r}, and this version reads {FORMAT}"
            raise FormatError(f"cannot read index object {key}", what, hint=UPGRADE)
        date = datetime.date.fromisoformat(parsed["date"])
        sections = tuple(map(_section, parsed["sections"]))
        buckets = tuple(map(int, parsed["buckets"]))
        _check(date, sections, buckets, key, size)
        return Head(key, date, str(parsed.get("store", "")), buckets, sections)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(key, f"its head says {error!r}") from error


def damaged(key: str, what: str) -> FormatError:
    """Return the error that says that an index object is damaged."""
    return FormatError(f"cannot read index object {key}", what, hint=INDEX_REMEDY)


def _section(said: Mapping[str, Any]) -> Section:
    offset, length, raw = map(int, said["at"])
    section = Section(
        str(said["path"]),
        int(said["size"]),
        str(said["tail"]),
        int(said["rows"]),
        int(said["groups"]),
        int(said["micro"]),
        int(said["keys"]),
        tuple(map(int, said["unindexed"])),
        (offset, length, raw),
        bool(said.get("counts", True)),
    )
    blocks, _ = blocks_of(section.groups)
    if section.groups < 0 or not all(0 <= block < blocks for block in section.unindexed):
        raise ValueError(f"{section.path} has other blocks")
    if not (_power(section.micro) and FEWEST <= section.micro <= MOST_MICRO) or not 0 <= raw <= _MOST_TAIL:
        raise ValueError(f"{section.path} has {section.micro} micro buckets, a tail of {raw} bytes")
    return section


def _check(date: datetime.date, sections: Sequence[Section], buckets: Sequence[int], key: str, size: int) -> None:
    """Raise ``ValueError`` when parts of the head contradict each other, the key, or the object's size."""
    coarse = len(buckets) - 1
    if date != index_date(key, FILTERS):
        raise ValueError(f"the date {date}")
    if not (_power(coarse) and coarse <= min([MOST_COARSE, *(one.micro for one in sections)])):
        raise ValueError(f"{coarse} coarse buckets")
    if any(first > last for first, last in zip(buckets, [*buckets[1:], size], strict=True)) or buckets[0] < 0:
        raise ValueError("coarse buckets beyond the object")
    if any(offset < 0 or length < 0 or offset + length > size for offset, length, _ in (one.at for one in sections)):
        raise ValueError("tails beyond the object")


def _power(number: int) -> bool:
    """Return whether a number is a power of two."""
    return number > 0 and number & number - 1 == 0


def _decompressed(data: bytes, size: int | None) -> bytes:
    """Return what zstd made of these bytes: ``size`` of them. ``FormatError`` otherwise."""
    most = _MOST_HEAD if size is None else size
    stream = ZstdDecompressor()
    try:
        found = stream.decompress(data, max_length=most + 1)
    except ZstdError as error:
        raise FormatError(f"cannot decompress {len(data)} bytes of an index object", str(error)) from error
    if not stream.eof or len(found) > most or size not in (None, len(found)):
        raise FormatError(
            f"cannot decompress {len(data)} bytes of an index object", f"they are cut or longer than {most}"
        )
    return found
