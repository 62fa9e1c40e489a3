"""Compression on the wire: whole streams (zlib, zstd) and single messages, as rsyslog sends them.

::

    stream    78 xx ...           zlib (RFC 1950) from the connection's first byte on      compression.mode="stream:always"
              28 B5 2F FD ...     zstd (RFC 8878)
    message   "z" 78 xx ...       a counted frame or a datagram with one zlib stream       compression.mode="single"

What inflates becomes what was compressed; what does not is kept as it came. A stream that ends early, or goes bad, has given
what could be inflated by then.

Expansion is bounded in three ways. A stream gives its output in pieces that the caller asks for, so it takes no more memory
than one; past ``ratio`` times what it received (and ``FLOOR``) it is given up. A message gives at most ``max_message``, and the
messages of one read at most ``READ_LIMIT``, or less if the caller says so: those after that stay compressed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from logsink.flags import Flag
from logsink.wire.batch import Batch
from logsink.wire.framing import zlib_head

if TYPE_CHECKING:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    try:
        from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
    except ImportError:  # before Python 3.14
        from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

FLOOR: Final = 1 << 20
"""Bytes that a stream may give whatever it has received."""

READ_LIMIT: Final = 16 << 20
"""Bytes that the compressed messages of one read may give."""

WINDOW_LOG: Final = 23
"""A zstd stream may look back 8 MiB, as all levels up to 19 do: that memory is each stream's own."""

_ZLIB_MEMORY: Final = 48 << 10
"""Bytes of memory that a zlib stream takes: its window of 32 KiB and tables."""

_TELLING: Final = 16
"""Bytes that tell a zlib stream (some are not printable) from a text that begins like one (``x^``)."""
_PRINTABLE: Final = re.compile(rb"[\t\n\r -~]*")

_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_TRUNCATED, _INFLATED = int(Flag.TRUNCATED), int(Flag.INFLATED)


def stream_kind(first: bytes, *, ended: bool = False) -> str | None:
    """Return how a stream is compressed by its ``first`` bytes: ``zlib``, ``zstd``, or '' for not at all.

    None: that cannot be said before more has come. ``ended``: nothing more will come.
    """
    if first.startswith(_ZSTD):
        return "zstd"
    if _ZSTD.startswith(first):
        return "" if ended else None
    if not first.startswith(b"\x78") or (len(first) > 1 and not zlib_head.py(*first[:2])):
        return ""
    if len(first) < _TELLING and not ended:
        return None
    return "" if _PRINTABLE.fullmatch(first[:_TELLING]) else "zlib"


class _Decoder(Protocol):
    """One compressed stream of a connection; after its end another may follow."""

    def read(self, data: bytes, most: int) -> bytes: ...
    @property
    def left(self) -> bytes: ...  # input that is to be given again (zlib), or that stands behind the end
    @property
    def ended(self) -> bool: ...
    @property
    def memory(self) -> int: ...


class _Zlib:
    """Reads a zlib stream. After an error it reads again, byte by byte, to get what precedes the broken byte."""

    memory = _ZLIB_MEMORY

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()
        self._broken = False
        self._behind = b""

    def read(self, data: bytes, most: int) -> bytes:
        if not self._broken:
            before = self._stream.copy()
            try:
                return self._stream.decompress(data, most)
            except zlib.error:
                self._stream, self._broken = before, True
        for at in range(len(data)):
            if piece := self._stream.decompress(data[at : at + 1], most):
                self._behind = data[at + 1 :]
                return piece
        self._behind = b""
        return b""

    @property
    def left(self) -> bytes:
        return self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail + self._behind

    @property
    def ended(self) -> bool:
        return self._stream.eof


class _Zstd:
    """Reads a zstd stream, and counts the memory of its window: as much as it gave, up to the largest window."""

    def __init__(self) -> None:
        self._stream = ZstdDecompressor(options={DecompressionParameter.window_log_max: WINDOW_LOG})
        self.memory = 0

    def read(self, data: bytes, most: int) -> bytes:
        piece = self._stream.decompress(data, most)
        self.memory = min(self.memory + len(piece), 1 << WINDOW_LOG)
        return piece

    @property
    def left(self) -> bytes:
        return self._stream.unused_data if self._stream.eof else b""

    @property
    def ended(self) -> bool:
        return self._stream.eof


_DECODERS: Final[dict[str, Callable[[], _Decoder]]] = {"zlib": _Zlib, "zstd": _Zstd}


class StreamInflater:
    """Inflates what one connection receives. ``feed`` what was read, then ``read`` until it gives nothing.

    ``ratio`` is how many times its size a stream may become.

    error     why nothing more will come: a word for the counter and an explanation; None as long as all is well
    pending   ``read`` may have something to give
    """

    def __init__(self, ratio: int) -> None:
        self.error: tuple[str, str] | None = None
        self.pending = False
        self._decoder: _Decoder | None = None
        self._input = b""
        self._ratio = ratio
        self._fed = 0
        self._given = 0

    @property
    def given(self) -> int:
        """Bytes that came out so far."""
        return self._given

    @property
    def memory(self) -> int:
        """Bytes of memory in use for what the stream may refer back to."""
        return self._decoder.memory if self._decoder else 0

    def give_up(self, kind: str, reason: str) -> None:
        """Inflate nothing more of what was fed, for this reason (see ``error``), and give back the memory."""
        self._fail(kind, f"{reason}, after {self._given} bytes")

    def feed(self, data: bytes) -> None:
        """Take what was read. At most one read should be pending."""
        self._input += data
        self._fed += len(data)
        self.pending = self.error is None

    def read(self, most: int) -> bytes:
        """Return up to ``most`` inflated bytes; b'': more has to be fed first, or there is an ``error``. Raises nothing."""
        while self.pending:
            try:
                piece = self._step(most)
            except (zlib.error, ZstdError) as error:
                self._fail("compression", f"its compressed stream is broken after {self._given} bytes: {error}")
                return b""
            if piece:
                self._given += len(piece)
                if self._given > FLOOR + self._ratio * self._fed:
                    what = f"{self._fed} bytes became {self._given}"
                    self._fail(
                        "inflation", f"its compressed stream expands too much: {what}, the limit is {self._ratio}:1"
                    )
                return piece
        return b""

    def _step(self, most: int) -> bytes:
        if self._decoder is None:
            kind = stream_kind(self._input)
            if kind == "":
                self._fail(
                    "compression", f"{self._input[:8]!r} is no compressed stream, after {self._given} bytes of one"
                )
            if not kind:
                self.pending = False
                return b""
            self._decoder = _DECODERS[kind]()
        decoder = self._decoder
        piece = decoder.read(self._input, most)
        self._input = decoder.left
        if decoder.ended:
            self._decoder = None
            self.pending = bool(self._input)
        else:
            self.pending = bool(piece)
        return piece

    def _fail(self, kind: str, reason: str) -> None:
        self.error, self.pending, self._input = self.error or (kind, reason), False, b""
        self._decoder = None


def inflated(batch: Batch, max_message: int, room: int, budget: int = READ_LIMIT) -> Iterator[Batch]:
    """Yield the frames of ``batch`` in order, with those that are flagged INFLATED inflated.

    A frame that cannot be inflated stays as it came and loses the flag. The batches have buffers of their own, of at most
    ``room`` bytes (and no less than a frame); frames that turn out empty are left out. An inflated message longer than
    ``max_message`` is cut and flagged. When messages have become ``budget`` bytes longer than they came, the others stay
    compressed.
    """
    frames: list[bytes] = []
    flags: list[int] = []
    size = 0
    for start, end, flag in zip(batch.starts.tolist(), batch.ends.tolist(), batch.flags.tolist(), strict=True):
        frame = batch.data[start:end].tobytes()
        if flag & _INFLATED:
            before = len(frame)
            frame, flag = _message(frame, flag & ~_INFLATED, max_message if budget > 0 else 0)
            budget -= max(0, len(frame) - before)
        if not frame:
            continue
        if frames and size + len(frame) > room:
            yield _gathered(frames, flags)
            frames, flags, size = [], [], 0
        frames.append(frame)
        flags.append(flag)
        size += len(frame)
    if frames:
        yield _gathered(frames, flags)


def _message(frame: bytes, flag: int, most: int) -> tuple[bytes, int]:
    """Return the message that ``frame`` holds compressed, or ``frame`` itself; and its flags."""
    stream = zlib.decompressobj()
    try:
        message = stream.decompress(frame[1:], most + 1) if most else b""
    except zlib.error:
        message = b""
    if len(message) > most > 0:
        return message[:most], flag | _INFLATED | _TRUNCATED
    if not stream.eof or stream.unused_data not in (b"", b"\n", b"\r\n", b"\0"):
        return _without_end(frame), flag
    return _without_end(message), flag | _INFLATED


def _without_end(frame: bytes) -> bytes:
    """Return ``frame`` without the one LF, CRLF or NUL at its end that belongs to the framing."""
    if frame.endswith(b"\n"):
        return frame[:-2] if frame.endswith(b"\r\n") else frame[:-1]
    return frame[:-1] if frame.endswith(b"\0") else frame


def _gathered(frames: list[bytes], flags: list[int]) -> Batch:
    """Return the frames as one batch, end to end in a buffer of its own."""
    ends = np.cumsum([len(frame) for frame in frames]).astype(np.int32)
    starts = np.concatenate([np.zeros(1, np.int32), ends[:-1]])
    return Batch(np.frombuffer(b"".join(frames), np.uint8), starts, ends, np.array(flags, np.int32))
