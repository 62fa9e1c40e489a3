"""The index: facts about named data files, by which a question passes over those that cannot answer it.

Tables of rows go in and bytes come out; bytes go in and answers come out. There is no store, clock or setting in here:
``logsink.archive`` puts objects, and ``logsink.query`` reads them. The law of this room is that no answer depends on it: where
an object is missing, cut, damaged, or about files that no longer exist, a question is answered by reading more.

- ``counts``: how many rows a data file has for each hour and each combination of values of its short columns.
- ``words``: tokens of a text, and the keys of tokens and values.
- ``keys``: the keys of a data file's row groups, found while it is written.
- ``section``: which row groups of one data file may have a key.
- ``names``: the keys of objects in a store.
- ``objects``: index objects, which hold the sections of many data files; their head, and which row groups may have a key.

Everything is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform.lazy import exports

if TYPE_CHECKING:
    from logsink.index.counts import COUNTED, COUNTS_SCHEMA, DAY, HOUR, CountsBuilder, by_day, join_counts
    from logsink.index.keys import SectionBuilder
    from logsink.index.names import COUNTS, FILTERS, INDEX, index_date, index_key
    from logsink.index.objects import (
        HEAD_READ,
        INDEX_REMEDY,
        Head,
        NewSection,
        Section,
        damaged,
        decode_object,
        encode_object,
        head_size,
        new_section,
        read_head,
    )
    from logsink.index.words import (
        ESCAPE,
        TEXT_COLUMNS,
        VALUE_COLUMNS,
        Token,
        is_token_character,
        token_key,
        tokens,
        value_key,
    )
else:
    __getattr__ = exports(
        __name__,
        {
            "counts": ("COUNTED", "COUNTS_SCHEMA", "DAY", "HOUR", "CountsBuilder", "by_day", "join_counts"),
            "keys": ("SectionBuilder",),
            "names": ("COUNTS", "FILTERS", "INDEX", "index_date", "index_key"),
            "objects": (
                *(
                    "HEAD_READ",
                    "INDEX_REMEDY",
                    "Head",
                    "NewSection",
                    "Section",
                    "damaged",
                    "decode_object",
                    "encode_object",
                ),
                *("head_size", "new_section", "read_head"),
            ),
            "words": (
                *("ESCAPE", "TEXT_COLUMNS", "VALUE_COLUMNS", "Token", "is_token_character"),
                *("token_key", "tokens", "value_key"),
            ),
        },
    )

__all__ = [
    "COUNTED",
    "COUNTS",
    "COUNTS_SCHEMA",
    "DAY",
    "ESCAPE",
    "FILTERS",
    "HEAD_READ",
    "HOUR",
    "INDEX",
    "INDEX_REMEDY",
    "TEXT_COLUMNS",
    "VALUE_COLUMNS",
    "CountsBuilder",
    "Head",
    "NewSection",
    "Section",
    "SectionBuilder",
    "Token",
    "by_day",
    "damaged",
    "decode_object",
    "encode_object",
    "head_size",
    "index_date",
    "index_key",
    "is_token_character",
    "join_counts",
    "new_section",
    "read_head",
    "token_key",
    "tokens",
    "value_key",
]
