"""Frames become rows of the table here, and rows become frames again.

This room is pure: bytes, settings and times come in, arrays and Arrow tables go out. There is no clock, file, socket,
environment or log in it, and nothing is refused: every frame becomes one row. The rows depend only on the frames, the
time at which each was received and ``Settings`` (invariant I10).

How a frame becomes a row, in the order of the modules::

    frames      what comes in: Frames, Origin, Settings
    workspace   memory that outlives one parse
    zone        the default time zone as an array of numbers
    utf8        which frames are not valid UTF-8, and their replacement characters
    strict      first pass, over every frame: RFC 5424 and what rsyslog forwards
    loose       second pass, over what the first left: everything else
      rfc5424, rfc3164, tags, devices     the fields behind the time, for both passes
      timestamps, times, calendar         times as senders write them, dates and zones as numbers
      scanning                            blanks, words, digits: what all of those are made of
    shape       what a pass says of a frame: the places of its fields, and one integer for what stands between them
    templates   that integer as text, which is stored in the column ``wire``
    prover      fills the template with the row's columns and compares the result with the frame, byte for byte
    codes, distinct, numbered, deploy     distinct values of short columns, and the columns of the deploy element
    rows        runs all of this in blocks and lays the columns out; ``parse`` is the door
    rebuild     the way back: ``raw_frames`` gives each row's frame as it was received
    schema      the table's columns and versions

Both passes only propose. They may be wrong about a field, but no byte is lost: where template and columns do not give
the frame back, the row keeps the frame itself in ``raw``.

Loops over bytes are kernels (``logsink.kernel``); importing this room loads numpy and pyarrow but never numba. The
kernels that read text share these names and words:

    data, end         the frame's bytes end before ``data[end]``; nothing at or behind ``end`` is looked at, unless said
    p, q, r           positions in ``data``; ``p`` is where to read
    NONE (-1)         as a position: what was looked for is not there
    skip_...          returns where the thing at ``p`` ends (the first position behind it), or NONE
    read_...          returns the same, and what the thing means
    find_...          returns the next position of something, or ``end``
    rules             version of the parsing rules, ``Settings.parser``: 1 or 2
    received          when the frame was received
    zone              the default time zone (layout: ``zone``)
    spans, i          row ``i`` of ``spans`` takes the places of the frame's fields (layout: ``shape``)
    shape, bits       shape of the frame, or some of its bits (layout: ``shape``); 0 means irregular, and proposes nothing
    flags, seen       bits of ``logsink.flags.Flag`` to set for the frame

Times are microseconds since the epoch; a time of day is microseconds since midnight. A *wall-clock time* is what a
clock in some zone shows, as microseconds since the epoch as if that zone were UTC.
"""

from logsink.parse.codes import counting_sort, renumber_used
from logsink.parse.frames import Frames, Origin, Origins, Settings
from logsink.parse.rebuild import RAW_COLUMNS, raw_frames
from logsink.parse.rows import ROWS_SCHEMA, Rows, parse
from logsink.parse.schema import (
    CODED_COLUMNS,
    ESCAPED_BYTES,
    FILE_SCHEMA,
    FORMAT_VERSION,
    RULES_VERSION,
    STATISTICS_COLUMNS,
    TABLE_SCHEMA,
    UNESCAPED_COLUMNS,
    VERBATIM_COLUMNS,
)
from logsink.parse.workspace import Workspace

__all__ = [
    "CODED_COLUMNS",
    "ESCAPED_BYTES",
    "FILE_SCHEMA",
    "FORMAT_VERSION",
    "RAW_COLUMNS",
    "ROWS_SCHEMA",
    "RULES_VERSION",
    "STATISTICS_COLUMNS",
    "TABLE_SCHEMA",
    "UNESCAPED_COLUMNS",
    "VERBATIM_COLUMNS",
    "Frames",
    "Origin",
    "Origins",
    "Rows",
    "Settings",
    "Workspace",
    "counting_sort",
    "parse",
    "raw_frames",
    "renumber_used",
]
