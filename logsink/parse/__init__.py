"""Frames to rows of the table, and back. Pure: bytes, settings and times in, arrays out; no clock, no files, no logging.

The parser proposes, the prover proves: ``strict`` and ``loose`` may read a frame as they like, for ``wire`` checks that the
columns give its bytes back, and where they do not the row keeps the bytes themselves. Loops over bytes are kernels
(``logsink.kernel``); importing this package loads numpy and pyarrow but never numba.
"""

from logsink.parse.frames import Frames, Origin, Settings
from logsink.parse.rebuild import RAW_COLUMNS, raw_frames
from logsink.parse.rows import ROWS, Rows, parse
from logsink.parse.workspace import Workspace

__all__ = ["RAW_COLUMNS", "ROWS", "Frames", "Origin", "Rows", "Settings", "Workspace", "parse", "raw_frames"]
