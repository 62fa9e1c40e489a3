"""Segments: the frames of one group commit as one object, an Arrow IPC stream (zstd level 1) with a checksum behind it. A
persistent format, within that of Apache Arrow (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format).

Layout, version 2, under the key ``journal/<receiver>/<lane>/<sequence, 20 digits>.arrow``::

    schema metadata   logsink.format=2  logsink.receiver  logsink.lane  logsink.sequence
                      logsink.default_timezone  logsink.deploy_sd_id  logsink.parser
                      logsink.ordinal           place among all segments of the receiver, its lanes together
                      logsink.store             id of the store, from its marker
                      logsink.stored            JSON: other lanes of the receiver -> last sequence that is stored in each
                      logsink.commit            newest version of the table that the receiver knows of
    received   timestamp[us, UTC]            when the bytes were read; equal within a read
    sender     dictionary<int32, string>     peer address without port, or null
    identity   dictionary<int32, string>     subject of the verified client certificate, or null
    transport  dictionary<int32, string>     tcp, tls, udp, relp, relp-tls, internal
    flags      int32                         bits of ``flags.Flag`` that framing set
    frame      binary                        one syslog message as it came, without its framing
    ---
    trailer    8 bytes                       LOGSINK2
               8 bytes, little-endian        bytes of the stream before it
               8 bytes, little-endian        xxh3_64 of everything before these 8 bytes

Version 1 has no trailer, ends with the stream's own end, and lacks ``logsink.store``, ``stored`` and ``commit``. Every later
version will have this trailer: so a flipped bit is never taken for a segment of a later version.

Constraints: the metadata names receiver, lane and sequence as the key does; where they differ, the segment is refused. Encoding
the same segment twice gives the same bytes, so that after a lost reply a PUT can be compared with what is there.

What a segment says of other lanes and of the table lets a reader see that the newest segments or commits are lost.

Write path: ``writer``, by put-if-absent, number n + 1 of a lane only after n is stored. Read path: ``reader``. Deletion:
``archive``, some time after the rows are in the table; a segment that cannot be read is copied to ``quarantine/`` first.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import xxhash

from logsink.errors import UPGRADE, FormatError
from logsink.parse import Frames, Origin, Settings

VERSION = 2
"""Format version of segments; ``decode_segment`` reads every version up to this one."""

PREFIX = "journal/"

_MAGIC = b"LOGSINK2"
_TRAILER = struct.Struct("<8sQQ")
_CHECKSUM = 8  # bytes
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""How an Arrow IPC stream ends."""

_RULES_1 = (1, 2)
"""Versions of the parsing rules that a segment of format 1 can name. Another one is a flipped bit, not a newer logsink."""

_CODED = pa.dictionary(pa.int32(), pa.string())
_FIELDS = [
    pa.field("received", pa.timestamp("us", tz="UTC"), nullable=False),
    pa.field("sender", _CODED),
    pa.field("identity", _CODED),
    pa.field("transport", _CODED, nullable=False),
    pa.field("flags", pa.int32(), nullable=False),
    pa.field("frame", pa.binary(), nullable=False),
]
_OPTIONS = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1), use_threads=False)
_KEY = re.compile(r"journal/([A-Za-z0-9-]+)/([0-9]+)/([0-9]{20})\.arrow")


LAST_SEQUENCE: Final = (1 << 63) - 1
"""The greatest sequence: the table's log has it as a number of 64 bits. A key with a greater one is somebody else's."""


class SegmentName(NamedTuple):
    """The name of a segment. Sequences count from 1, without a gap, in each lane of each receiver."""

    receiver: str
    lane: int
    sequence: int

    @property
    def key(self) -> str:
        """The segment's key in the store."""
        return f"{PREFIX}{self.receiver}/{self.lane}/{self.sequence:020d}.arrow"

    @property
    def app_id(self) -> str:
        """The ``appId`` of the table's ``txn`` action that covers this lane."""
        return f"{self.receiver}.{self.lane}"

    @classmethod
    def from_key(cls, key: str) -> SegmentName | None:
        """Return the name that ``key`` spells, or None when it is no segment's key."""
        match = _KEY.fullmatch(key)
        return cls(match[1], int(match[2]), int(match[3])) if match and int(match[3]) <= LAST_SEQUENCE else None


class Segment(NamedTuple):
    """A segment in memory. ``frames`` may be views of memory that they keep alive.

    ``ordinal``: its place among all segments of its receiver, in the order in which frames came, from 1; 0: not known.
    ``store_id``: the id of the store that it was written for; '': not known. ``stored``: ``appId`` of other lanes of the
    receiver -> the last sequence that was stored in each. ``commit``: the newest version of the table that the receiver knew
    of; -1: not known.
    """

    name: SegmentName
    settings: Settings
    frames: Frames
    ordinal: int = 0
    store_id: str = ""
    stored: Mapping[str, int] = MappingProxyType({})
    commit: int = -1


def encode_segment(segment: Segment) -> pa.Buffer:
    """Return the bytes of the segment's object."""
    frames, n = segment.frames, len(segment.frames)
    metadata = {
        "logsink.format": str(VERSION),
        "logsink.receiver": segment.name.receiver,
        "logsink.lane": str(segment.name.lane),
        "logsink.sequence": str(segment.name.sequence),
        "logsink.default_timezone": segment.settings.default_timezone,
        "logsink.deploy_sd_id": segment.settings.deploy_sd_id,
        "logsink.parser": str(segment.settings.parser),
    }
    if segment.ordinal:
        metadata["logsink.ordinal"] = str(segment.ordinal)
    if segment.store_id:
        metadata["logsink.store"] = segment.store_id
    if segment.stored:
        lanes = {app_id.rpartition(".")[2]: sequence for app_id, sequence in segment.stored.items()}
        metadata["logsink.stored"] = orjson.dumps(lanes, option=orjson.OPT_SORT_KEYS).decode()
    if segment.commit >= 0:
        metadata["logsink.commit"] = str(segment.commit)
    columns = [
        pa.Array.from_buffers(_FIELDS[0].type, n, [None, pa.py_buffer(frames.received)]),
        *(_coded(frames, k) for k in range(3)),
        pa.Array.from_buffers(pa.int32(), n, [None, pa.py_buffer(frames.flags)]),
        pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(frames.offsets), pa.py_buffer(frames.data)]),
    ]
    schema = pa.schema(_FIELDS, metadata=metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=_OPTIONS) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    return _sealed(sink)


def decode_segment(body: bytes | pa.Buffer, name: SegmentName | None = None) -> Segment:
    """Return the segment whose object is ``body``.

    Raises ``FormatError`` when it cannot be read, does not prove itself, or says that it is another segment than ``name``.
    """
    segment = _decoded(body)
    if name is not None and segment.name != name:
        raise FormatError(f"cannot read segment {name.key}", f"it says it is {segment.name.key}")
    return segment


def _decoded(body: bytes | pa.Buffer) -> Segment:
    try:
        sealed = _proved(body)
        with pa.ipc.open_stream(body) as reader:
            meta = {k.decode(): v.decode() for k, v in (reader.schema.metadata or {}).items()}
            version = int(meta.get("logsink.format", "0"))
            if sealed and version > VERSION:
                why = f"it is of format {version}, and this version reads 1 to {VERSION}"
                raise FormatError("cannot read segment", why, hint=UPGRADE)
            if version < 1 or sealed != (version > 1):
                raise FormatError("cannot read segment", "it does not match its checksum")
            table = reader.read_all()
        table.validate(full=True)
        name = SegmentName(meta["logsink.receiver"], int(meta["logsink.lane"]), int(meta["logsink.sequence"]))
        settings = Settings(meta["logsink.default_timezone"], meta["logsink.deploy_sd_id"], int(meta["logsink.parser"]))
        if not sealed and settings.parser not in _RULES_1:
            raise FormatError("cannot read segment", f"format 1 has no version {settings.parser} of the parsing rules")
        lanes = orjson.loads(meta.get("logsink.stored", "{}"))
        return Segment(
            name,
            settings,
            _frames(table),
            int(meta.get("logsink.ordinal", "0")),
            meta.get("logsink.store", ""),
            {f"{name.receiver}.{int(lane)}": int(sequence) for lane, sequence in lanes.items()},
            int(meta.get("logsink.commit", "-1")),
        )
    except (pa.ArrowException, LookupError, ValueError, ArithmeticError, AttributeError, TypeError, OSError) as error:
        raise FormatError("cannot read segment", str(error)) from error


def written_by_newer(body: bytes) -> bool:
    """Return whether ``body`` proves itself, and is a segment of a later format version than this logsink can read."""
    try:
        if not _proved(body):
            return False
        with pa.ipc.open_stream(body) as reader:
            return int((reader.schema.metadata or {})[b"logsink.format"]) > VERSION
    except (pa.ArrowException, OSError, KeyError, ValueError, FormatError):
        return False


def _sealed(sink: pa.BufferOutputStream) -> pa.Buffer:
    """Write the trailer behind the stream in ``sink``, and return both.

    The checksum's place is filled afterwards: to put the trailer behind the finished stream would copy all of it.
    """
    sink.write(_TRAILER.pack(_MAGIC, sink.tell(), 0))
    body = sink.getvalue()
    written = memoryview(body).cast("B")
    written[-_CHECKSUM:] = xxhash.xxh3_64_intdigest(written[:-_CHECKSUM]).to_bytes(_CHECKSUM, "little")
    return body


def _proved(body: bytes | pa.Buffer) -> bool:
    """Return whether ``body`` has a trailer, which then is right; False for version 1. ``FormatError``: it is neither."""
    view = memoryview(body).cast("B")
    if len(view) >= _TRAILER.size:
        magic, length, checksum = _TRAILER.unpack_from(view, len(view) - _TRAILER.size)
        if magic == _MAGIC:
            if length != len(view) - _TRAILER.size or xxhash.xxh3_64_intdigest(view[:-_CHECKSUM]) != checksum:
                raise FormatError("cannot read segment", "it does not match its checksum")
            return True
    if bytes(view[-len(_END) :]) != _END:
        raise FormatError("cannot read segment", "it is cut, or damaged at its end")
    return False


def _coded(frames: Frames, field: int) -> pa.DictionaryArray:
    """Return field number ``field`` of each frame's origin as a column."""
    values: dict[str, int] = {}
    fields = [origin[field] for origin in frames.origins]
    codes = np.array([-1 if value is None else values.setdefault(value, len(values)) for value in fields], np.int32)
    n = len(frames)
    if len(set(codes.tolist())) == 1:  # of one connection, or of one transport
        valid = None if values else pa.py_buffer(bytes(-(-n // 8)))
        indices = pa.Array.from_buffers(pa.int32(), n, [valid, pa.py_buffer(np.zeros(n, np.int32))])
    else:
        per_frame = codes[frames.origin]
        indices = pa.array(per_frame, mask=per_frame < 0) if codes.min() < 0 else pa.array(per_frame)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(values), pa.string()), safe=False)


def _frames(table: pa.Table) -> Frames:
    """Return the columns as frames; origins are the distinct triples of sender, identity and transport."""
    batch = table.combine_chunks().to_batches(max_chunksize=None)
    if not batch:
        empty = np.zeros(0, np.int32)
        return Frames(np.zeros(0, np.uint8), np.zeros(1, np.int32), empty, np.zeros(0, np.int64), empty, ())
    row = batch[0]
    frame = row.column("frame")
    offsets = np.frombuffer(frame.buffers()[1], np.int32)[frame.offset : frame.offset + len(frame) + 1]
    data = np.frombuffer(frame.buffers()[2], np.uint8) if frame.buffers()[2] else np.zeros(0, np.uint8)
    dictionaries = [row.column(k) for k in ("sender", "identity", "transport")]
    codes = [d.indices.fill_null(-1).to_numpy() for d in dictionaries]
    values = [d.dictionary.to_pylist() for d in dictionaries]
    packed = np.zeros(len(row), np.int64)
    for code, value in zip(codes, values, strict=True):
        packed = packed * (len(value) + 1) + code + 1
    _, first, origin = np.unique(packed, return_index=True, return_inverse=True)
    origins = [
        Origin._make(None if c[i] < 0 else v[c[i]] for c, v in zip(codes, values, strict=True)) for i in first.tolist()
    ]
    return Frames(
        data,
        offsets,
        row.column("flags").to_numpy(),
        row.column("received").cast(pa.int64()).to_numpy(),
        origin.astype(np.int32),
        origins,
    )
