"""Frames for the parser from a list of byte strings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from logsink.parse import Frames, Origin

ORIGIN = Origin("192.0.2.1", None, "tcp")


def frames_of(
    frames: Sequence[bytes], received: int | Sequence[int] = 0, *, before: bytes = b"", after: bytes = b""
) -> Frames:
    """``frames`` end to end, with other bytes before and after them; one time of receipt for all, or one each."""
    n = len(frames)
    offsets = np.cumsum([len(before), *map(len, frames)]).astype(np.int32)
    return Frames(
        np.frombuffer(before + b"".join(frames) + after, np.uint8),
        offsets,
        np.zeros(n, np.int32),
        np.broadcast_to(np.asarray(received, np.int64), n).copy(),
        np.zeros(n, np.int32),
        [ORIGIN],
    )
