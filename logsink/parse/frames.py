"""What the parser is given: frames of many reads as arrays, and settings.

The arrays belong to the caller; the parser only reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from logsink.parse.schema import RULES_VERSION


class Origin(NamedTuple):
    """Who opened a connection, and how.

    sender       address of the peer, without port
    identity     RFC 4514 name of its verified certificate
    transport    such as tcp, tls, udp, relp; internal: the receiver itself
    """

    sender: str | None
    identity: str | None
    transport: str


class Origins(NamedTuple):
    """Where the frames of a batch of several origins come from: frame i from ``known[codes[i]]``.

    All of ``known`` have the same transport. A list may be used for several batches, and only grow between them.
    """

    known: list[Origin]
    codes: npt.NDArray[np.int32]

    @property
    def transport(self) -> str:
        """The transport by which all frames came."""
        return self.known[0].transport


class Settings(NamedTuple):
    """What parsing depends on besides the frames (invariant I10). Every segment has them written in it."""

    default_timezone: str = "UTC"
    deploy_sd_id: str = "deploy@32473"
    parser: int = RULES_VERSION


@dataclass(frozen=True, slots=True)
class Frames:
    """``n`` frames in the order in which they were received. All arrays are C-contiguous.

    data        uint8[>= offsets[n]]: the frames' bytes, end to end, without framing
    offsets     int32[n + 1]: frame i is ``data[offsets[i]:offsets[i + 1]]``
    flags       int32[n]: what framing saw (``flags.Flag``)
    received    int64[n]: microseconds since the epoch; equal within a read, under a receiver id greater from read to read
    origin      int32[n]: index into ``origins``; a read of datagrams has frames of several
    """

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int32]
    flags: npt.NDArray[np.int32]
    received: npt.NDArray[np.int64]
    origin: npt.NDArray[np.int32]
    origins: Sequence[Origin]

    def __len__(self) -> int:
        return len(self.flags)

    @property
    def nbytes(self) -> int:
        """Bytes of all frames together."""
        return int(self.offsets[-1]) - int(self.offsets[0])
