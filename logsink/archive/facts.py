"""Facts about a data file: gathered while it is written, and put beside the table before the file is committed.

::

    FileWriter -> Facts.add(row group), ... -> Facts.objects -> PUT them -> commit of the file

They are put first so that there is no moment at which a live file lacks them; those of a file that never becomes live are
passed over by readers, and deleted later (``indexing``). What they hold is the business of ``logsink.index``. No answer depends
on them: whatever fails in here is logged, and the file is written and committed all the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from logsink import telemetry
from logsink.archive import proof
from logsink.archive.counts import CountedFile, Counts, encode_counts
from logsink.archive.file import NewFile
from logsink.archive.snapshot import DataFile
from logsink.errors import StoreError
from logsink.index import COUNTS, FILTERS, CountsBuilder, SectionBuilder, encode_object, index_key, new_section
from logsink.store import Store


class NewObject(NamedTuple):
    """An object about data files that is not stored yet."""

    key: str
    body: bytes | pa.Buffer


class Facts:
    """Gathers facts about one data file, as an observer of ``file.FileWriter``.

    ``store``: the id of the store; "" where that is not known.
    """

    def __init__(self, store: str) -> None:
        self._store = store
        self._section: SectionBuilder | None = SectionBuilder(random.getrandbits(62))
        self._counts: CountsBuilder | None = CountsBuilder()

    def add(self, group: pa.Table) -> None:
        """Take the next row group."""
        try:
            if self._section is not None:
                self._section.add(group)
            if self._counts is not None:
                self._counts.add(group)
        except Exception as error:  # noqa: BLE001  whatever is wrong, the file is written
            self._give_up(error)

    def objects(self, new: NewFile) -> list[NewObject]:
        """Return the objects about the file, to be stored; none when something failed. Takes CPU: run it in a thread."""
        if self._section is None or self._counts is None:
            return []
        try:
            counted = _counted(self._counts, new.file)
            body = memoryview(new.body).cast("B")
            return [*counted, self._filter(self._section, new.file, body, counts=bool(counted))]
        except Exception as error:  # noqa: BLE001  as above
            self._give_up(error)
            return []

    def _filter(self, section: SectionBuilder, file: DataFile, body: memoryview, *, counts: bool) -> NewObject:
        tag = proof.tail_tag(file.tags)
        tail = body[len(body) - tag.size :] if tag is not None else b""
        made = new_section(file.path, file.size, str(tag or ""), file.rows, section.finish(), tail, counts=counts)
        return NewObject(index_key(file.date, new_name(), FILTERS), encode_object(file.date, self._store, [made]))

    def _give_up(self, error: Exception) -> None:
        self._section = self._counts = None
        telemetry.INDEX_FAILED.log(error=repr(error))


def _counted(builder: CountsBuilder, file: DataFile) -> list[NewObject]:
    """Return the object with the counts of the file, where it has counts."""
    table = builder.finish(file.path)
    if table is None:
        return []
    counts = Counts({file.path: CountedFile.of(file)}, table)
    return [NewObject(index_key(file.date, new_name(), COUNTS), encode_counts(counts))]


def new_name() -> str:
    """Return the random part of a name: 16 hexadecimal digits."""
    return f"{random.getrandbits(64):016x}"


async def put_objects(store: Store, objects: Sequence[NewObject]) -> int:
    """Put these objects, and return how many were. An error of the store is logged, and ends it."""
    done = 0
    for one in objects:
        try:
            await store.put(one.key, memoryview(one.body))
        except StoreError as error:
            telemetry.INDEX_FAILED.log(error=error)
            break
        telemetry.INDEX_OBJECTS.inc()
        done += 1
    return done
