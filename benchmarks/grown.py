"""Archives of many days, to ask questions of: ``python -m benchmarks.grown DIRECTORY --corpus FILE --days 10``.

A day has ``--rows`` messages (10 million), received on a date of its own; the newest day is yesterday, and a smaller archive
is a part of a larger one. Each million of them is the corpus anew: in seven of ten lines every run of four digits and more of
the message is drawn again, so that ids and numbers occur as seldom as they do in real logs, and the times are those of the day.
The rows go through the parser and the writer of data files, a commit for each 250,000, and are merged as receivers do it.

``PLANTED`` stands in three messages of the newest day. ``--linked 90`` adds days that are hard links to the files of older
days: for a billion rows where nobody wants to wait for them.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logsink.archive import Counts, decode_counts, encode_counts
from logsink.archive.file import write_files
from logsink.archive.log import Add, DeltaLog, Txn
from logsink.archive.snapshot import DataFile
from logsink.index import COUNTS, FILTERS, decode_object, encode_object, index_date, index_key
from logsink.parse import Frames, Origin, Settings, parse
from logsink.store import Store, open_store

PLANTED = "c0ffee5eed1dea7b"
"""An id that stands in ``PLANTED_ROWS`` messages of the newest day."""

PLANTED_ROWS = 3

MILLION = 1_000_000
_COMMIT = 250_000
_DAY = 86_400_000_000
_HEADER_SPACES = 7
"""Spaces of RFC 5424 before the message, where structured data has none."""

_LONG = 4
"""Digits of the shortest number that is drawn again."""

Bytes = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]


class Corpus:
    """Lines of RFC 5424 with microseconds, from which any number of different millions are made."""

    def __init__(self, data: bytes) -> None:
        text = np.frombuffer(data, np.uint8)
        self._ends = np.flatnonzero(text == ord("\n"))
        self._starts = np.concatenate([[0], self._ends[:-1] + 1])
        self._text = text
        self._digits, self._line_of_digits = self._numbers()

    def __len__(self) -> int:
        return len(self._starts)

    def sender(self) -> tuple[str, str]:
        """Host and app of the line in the middle."""
        middle = len(self) // 2
        line = self._text[self._starts[middle] : self._ends[middle]].tobytes().decode()
        _, _, host, app, *_ = line.split(" ", 4)
        return host, app

    def _numbers(self) -> tuple[Int64, Int64]:
        """The places of digits of long numbers in messages, and the line of each."""
        places, lines = [], []
        for first in range(0, len(self._starts), 100_000):  # in parts: the sums below take eight bytes an octet
            start = self._starts[first]
            last = min(first + 100_000, len(self._starts)) - 1
            part = self._text[start : self._ends[last] + 1]
            spaces = np.cumsum(part == ord(" "))
            line = np.searchsorted(self._ends[first : last + 1], np.arange(start, start + len(part)))
            before = np.where(line > 0, spaces[self._starts[first + line] - start - 1], 0)
            digit = (part >= ord("0")) & (part <= ord("9"))
            edges = np.flatnonzero(np.diff(digit, prepend=False, append=False))
            begin, end = edges[::2], edges[1::2]
            long = end - begin >= _LONG
            mark = np.zeros(len(part) + 1, np.int32)
            np.add.at(mark, begin[long], 1)
            np.add.at(mark, end[long], -1)
            chosen = np.flatnonzero((np.cumsum(mark)[:-1] > 0) & (spaces - before >= _HEADER_SPACES))
            places.append(chosen + start)
            lines.append(line[chosen] + first)
        return np.concatenate(places), np.concatenate(lines)

    def variant(self, seed: int, begin: int, end: int) -> Bytes:
        """The corpus with other numbers, its times spread evenly over ``[begin, end)``, microseconds since the epoch."""
        rng = np.random.default_rng(seed)
        text = self._text.copy()
        drawn = rng.random(len(self)) < 0.7
        places = self._digits[drawn[self._line_of_digits]]
        text[places] = rng.integers(ord("0"), ord("9") + 1, len(places), np.uint8)
        self._stamp(text, np.linspace(begin, end, len(self), endpoint=False).astype(np.int64))
        return text

    def _stamp(self, text: Bytes, times: Int64) -> None:
        """Write these times into the lines, as ``YYYY-MM-DDTHH:MM:SS.ffffff`` behind the first ``1 ``."""
        widths = 26
        first = np.zeros(len(self), np.int64)
        for offset in range(4, 8):  # <N>1 .. <NNN>1
            here = (text[self._starts + offset] == ord(" ")) & (first == 0)
            first[here] = (self._starts + offset + 1)[here]
        stamps = np.datetime_as_string(times.view("datetime64[us]"), unit="us").astype(f"S{widths}")
        letters = stamps.view(np.uint8).reshape(len(self), widths)
        for column in range(widths):
            text[first + column] = letters[:, column]

    def frames(self, text: Bytes, first: int, last: int, times: tuple[int, int]) -> Frames:
        """Lines ``[first, last)`` of a variant, without their LF, 200 a read, received evenly over ``times``."""
        starts, ends = self._starts[first:last], self._ends[first:last]
        keep = np.ones(int(ends[-1] + 1 - starts[0]), np.bool_)
        keep[ends - starts[0]] = False
        count = last - first
        reads = np.arange(count, dtype=np.int64) // 200
        received = times[0] + reads * ((times[1] - times[0]) // (int(reads[-1]) + 1))
        return Frames(
            np.ascontiguousarray(text[starts[0] : ends[-1] + 1][keep]),
            np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int32),
            np.zeros(count, np.int32),
            received,
            np.zeros(count, np.int32),
            (Origin("192.0.2.1", None, "tcp"),),
        )


def days(count: int) -> list[dt.date]:
    """The dates of an archive, the newest first: yesterday (UTC) and those before."""
    newest = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    return [newest - dt.timedelta(days=n) for n in range(count)]


def days_in(directory: Path) -> list[dt.date]:
    """The dates of an archive on disk, the oldest first."""
    return sorted(dt.date.fromisoformat(path.name[5:]) for path in Path(directory, "logs").glob("date=*"))


async def fill(store: Store, corpus: Corpus, date: dt.date, rows: int, *, plant: bool) -> None:
    """Archive the messages of one date, in the files of one receiver."""
    log = DeltaLog(store)
    if (await log.load()).version < 0:
        await log.create()
    receiver, sequence = f"grown{date:%Y%m%d}", 0
    midnight = (date - dt.date(1970, 1, 1)).days * _DAY
    rounds = -(-rows // len(corpus))
    for number in range(rounds):
        begin, end = (midnight + k * _DAY // rounds for k in (number, number + 1))
        text = corpus.variant(date.toordinal() * 1000 + number, begin, end)
        for first in range(0, len(corpus), _COMMIT):
            last = min(first + _COMMIT, len(corpus))
            sequence += 1
            within = tuple(begin + (end - begin) * k // len(corpus) for k in (first, last))
            frames = corpus.frames(text, first, last, (within[0], within[1]))
            if plant and number == rounds // 2 and first == 0:
                frames = with_needles(frames)
            parsed = parse(frames, Settings(), receiver)
            actions: list[Add | Txn] = [Txn(f"{receiver}.0", sequence)]
            for new in write_files(parsed, {f"{receiver}.0": (sequence, sequence)}, receiver, f"{sequence:x}"):
                await store.put(new.file.key, memoryview(new.body))
                actions.append(Add(new.file))
            await log.commit(await log.load(), actions)
        print(f"{date}: {(number + 1) * len(corpus):,} rows", file=sys.stderr, flush=True)


def with_needles(frames: Frames) -> Frames:
    """The same with ``PLANTED_ROWS`` messages more behind the last one, of its time and sender."""
    last = frames.data[frames.offsets[-2] : frames.offsets[-1]].tobytes()
    head = b" ".join(last.split(b" ")[:_HEADER_SPACES])
    extra = [head + f" payment {PLANTED} of order {n} was declined".encode() for n in range(PLANTED_ROWS)]
    flags, received, origin = (
        np.concatenate([one, np.repeat(one[-1:], PLANTED_ROWS)])
        for one in (frames.flags, frames.received, frames.origin)
    )
    offsets = np.concatenate([frames.offsets, frames.offsets[-1] + np.cumsum([*map(len, extra)])]).astype(np.int32)
    data = np.concatenate([frames.data, np.frombuffer(b"".join(extra), np.uint8)])
    return Frames(data, offsets, flags, received, origin, frames.origins)


def merge(url: str, *arguments: str) -> None:
    """Have ``logsink maintain --once`` do what is due, until nothing is."""
    command = [sys.executable, "-m", "logsink", "maintain", "--once", *arguments, "--store", url]
    settings = {"LOGSINK_MAINTAIN__EVERY": "1h", "LOGSINK_MAINTAIN__KEEP_REMOVED": "1h"}
    subprocess.run(command, check=True, stdout=sys.stderr, env=os.environ | settings)


async def excerpt(whole: Path, part: Path, dates: Sequence[dt.date]) -> None:
    """Make a store of hard links to the files of some dates of another, and to what the index has of them."""
    async with open_store(f"file://{whole}") as source, open_store(f"file://{part}") as store:
        files = [file for file in (await DeltaLog(source).load()).files.values() if file.date in dates]
        log = DeltaLog(store)
        await log.create()
        for key in [file.key for file in files] + [
            entry.key for date in dates async for entry in source.list(f"index/date={date}/")
        ]:
            Path(part, key).parent.mkdir(parents=True, exist_ok=True)
            os.link(whole / key, part / key)
        await log.commit(await log.load(), [Add(file) for file in files])


async def add_links(directory: Path, copies: int) -> None:
    """Add ``copies`` days before the oldest one, made of hard links to the files of all days but the newest."""
    async with open_store(f"file://{directory}") as store:
        await _link(directory, DeltaLog(store), copies)


async def _link(directory: Path, log: DeltaLog, copies: int) -> None:
    snapshot = await log.load()
    real = sorted({file.date for file in snapshot.files.values()})
    sources, oldest = real[:-1], real[0]
    for number in range(copies):
        source, date = sources[number % len(sources)], oldest - dt.timedelta(days=number + 1)
        os.makedirs(directory / "logs" / f"date={date}", exist_ok=True)
        actions = [Add(linked(directory, file, date)) for file in snapshot.files.values() if file.date == source]
        await log.commit(await log.load(), actions)
        await _copy_index(log.store, source, date)


async def _copy_index(store: Store, source: dt.date, date: dt.date) -> None:
    """Put what the index has of a date, as facts about the files that are linked into another."""
    for entry in [entry async for entry in store.list(f"index/date={source}/")]:
        body, name = await store.get(entry.key), entry.key.rpartition("/")[2].partition(".")[0]
        if index_date(entry.key, FILTERS) is not None:
            sections = [
                one._replace(said=one.said._replace(path=_moved(one.said.path, date)))
                for one in decode_object(entry.key, body)
            ]
            await store.put(index_key(date, name, FILTERS), encode_object(date, "", sections))
        else:
            counts = decode_counts(entry.key, body)
            column = counts.table.column("file").combine_chunks()
            values = pa.array([_moved(path, date) for path in column.dictionary.to_pylist()], pa.string())
            renamed = pa.DictionaryArray.from_arrays(column.indices, values)
            place = counts.table.schema.get_field_index("file")
            table = counts.table.set_column(place, counts.table.schema.field(place), renamed)
            files = {_moved(path, date): said for path, said in counts.files.items()}
            await store.put(index_key(date, name, COUNTS), memoryview(encode_counts(Counts(files, table))))


def _moved(path: str, date: dt.date) -> str:
    return f"date={date}/{path.rpartition('/')[2]}"


def linked(directory: Path, file: DataFile, date: dt.date) -> DataFile:
    """Link a file into another date; what the log has to say of it."""
    path = _moved(file.path, date)
    os.link(directory / file.key, directory / "logs" / path)
    return file._replace(path=path, date=date).tagged(tag for tag in file.tags if tag[0] != "logsink.lanes")


def lines_of(file: Path | None) -> bytes:
    """The first million lines of a file; without one, of ``benchmarks.corpus``."""
    if file is None:
        from benchmarks.corpus import corpus

        return corpus(MILLION)

    def taken() -> Iterator[bytes]:
        with file.open("rb") as source:
            for _, line in zip(range(MILLION), source, strict=False):
                yield line

    return b"".join(taken())


async def grow(directory: Path, corpus: Corpus, count: int, rows: int, copies: int) -> None:
    """Make the archive, or what is missing of it: a day at a time, each merged before the next."""
    url = f"file://{directory}"
    there = days_in(directory)
    for number, date in enumerate(days(count)):
        if date in there:
            continue
        async with open_store(url) as store:
            await fill(store, corpus, date, rows, plant=number == 0)
        await asyncio.to_thread(merge, url)
    if copies:
        await add_links(directory, copies)


def main() -> None:
    """Make an archive."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("directory", type=Path)
    options.add_argument("--corpus", type=Path, help="RFC 5424, one message a line; its first million is used")
    options.add_argument("--days", type=int, default=1)
    options.add_argument("--rows", type=int, default=10 * MILLION, help="messages a day")
    options.add_argument("--linked", type=int, default=0, help="days more that are links to others")
    given = options.parse_args()
    directory = given.directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    asyncio.run(grow(directory, Corpus(lines_of(given.corpus)), given.days, given.rows, given.linked))


if __name__ == "__main__":
    main()
