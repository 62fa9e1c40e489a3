"""The upkeep of the index: what is joined, what is deleted and when, and how old files get theirs."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from logsink.archive import decode_counts, indexing
from logsink.archive.indexing import Indexed, Indexing, IndexProgress, Joined, Tended
from logsink.archive.log import Remove
from logsink.archive.snapshot import ROOT, DataFile, commit_key, join_tags
from logsink.damage import Damage
from logsink.errors import Damaged, MediumError, NotFound, Unavailable
from logsink.index import (
    COUNTS,
    FILTERS,
    INDEX,
    Head,
    decode_object,
    encode_object,
    index_date,
    index_key,
    read_head,
    value_key,
)
from logsink.store import Store
from logsink.store.memory import MemoryStore
from tests.support.faulty import Call, Fail, Fate, FaultyStore, Pass
from tests.unit.archive.tables import MIDNIGHT, Limits, log_of, table_of

AGES = 1e9
DATE = datetime.date(2026, 11, 22)
SETTINGS: Mapping[str, Any] = {"compact_after": -AGES, "target_file": 1, "keep_removed": 3600.0}
"""All dates are over, and no file is to be merged."""


class Clock:
    """Seconds since the epoch, by which the store says how old objects are."""

    def __init__(self) -> None:
        self.time = MIDNIGHT / 1e6 + 1e6

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return MemoryStore(clock=clock)


class Work:
    """The upkeep of a store's index by one process."""

    def __init__(self, store: Store, clock: Clock, **settings: Any) -> None:
        self.store = store
        self.log = log_of(store, wall=clock)
        self.indexing = Indexing(self.log, Limits(**{**SETTINGS, **settings}))

    async def index(self) -> Indexed:
        progress = IndexProgress()
        done = await self.indexing.index_missing(progress)
        assert progress.done == progress.total
        return done

    async def keys(self) -> list[str]:
        return [entry.key async for entry in self.store.list(INDEX)]

    async def filters(self) -> list[str]:
        return [key for key in await self.keys() if index_date(key, FILTERS)]

    async def head(self, key: str) -> Head:
        body = await self.store.get(key)
        return read_head(key, body, len(body))


@pytest.fixture
def work(store: Store, clock: Clock) -> Iterator[Work]:
    made = Work(store, clock)
    yield made
    made.indexing.close()


async def paths_of(work: Work) -> list[list[str]]:
    return sorted([[one.path for one in (await work.head(key)).sections] for key in await work.filters()])


async def test_files_without_an_index_get_one(work: Work) -> None:
    files = await table_of(work.store)
    assert await work.index() == Indexed(3, 15, ())
    assert await paths_of(work) == sorted([file.path] for file in files)
    for key in await work.filters():
        head, body = await work.head(key), await work.store.get(key)
        host = value_key("host", "h0")
        assert head.find(host, body[slice(*head.span(head.bucket(host)))]) == [1]
    assert await work.index() == Indexed()


async def test_indexing_goes_on_where_it_was_interrupted(work: Work) -> None:
    await table_of(work.store)
    puts = 0

    def second_file_fails(call: Call) -> Fate:
        nonlocal puts
        if call.verb == "put" and call.key.startswith(INDEX):
            puts += 1
            return Fail() if puts > 2 else Pass()  # each file has counts and a filter
        return Pass()

    broken = Work(FaultyStore(work.store, second_file_fails), Clock())
    assert await broken.index() == Indexed(1, 5, ())
    broken.indexing.close()
    assert await work.index() == Indexed(2, 10, ())


async def test_small_files_of_a_date_that_is_not_over_wait(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await table_of(store)
    work = Work(store, clock, compact_after=AGES)
    assert await work.index() == Indexed()
    monkeypatch.setattr(indexing, "ENOUGH_ROWS", 5)
    assert (await work.index()).files == 3
    work.indexing.close()


async def test_files_of_an_older_version_are_indexed_without_their_tail(work: Work) -> None:
    await table_of(work.store, tagged=False)
    assert (await work.index()).files == 3
    heads = [await work.head(key) for key in await work.filters()]
    assert {(one.tail, one.at) for head in heads for one in head.sections} == {("", (0, 0, 0))}
    assert await work.index() == Indexed()


async def test_a_file_that_cannot_be_read_is_named_and_the_others_are_indexed(work: Work) -> None:
    files = sorted(await table_of(work.store), key=lambda file: file.path)
    body = bytearray(await work.store.get(files[0].key))
    body[50] ^= 1
    await work.store.put(files[0].key, body)
    await work.store.delete([files[1].key])
    done = await work.index()
    assert (done.files, done.rows) == (1, 5)
    assert done.damage[0] == Damage(files[1].key, "is missing", 5)
    assert done.damage[1].key == files[0].key
    assert "cannot be indexed" in done.damage[1].what
    assert "checksum" in done.damage[1].what


async def test_objects_of_a_date_that_is_over_become_one(work: Work, clock: Clock) -> None:
    files = await table_of(work.store)
    await work.index()
    before = await work.filters()
    parts = [one for key in before for one in decode_object(key, await work.store.get(key))]
    tended = await work.indexing.tend()
    (new,) = set(await work.filters()) - set(before)
    body = await work.store.get(new)
    assert Joined(DATE, 3, 3, len(body)) in tended.joined
    assert tended.removed == 0
    assert [one.path for one in (await work.head(new)).sections] == sorted(file.path for file in files)
    joined = {one.said.path: one for one in decode_object(new, body)}
    for one in parts:
        assert (joined[one.said.path].filter, joined[one.said.path].tail) == (one.filter, one.tail)
    assert await work.indexing.tend() == Tended()


async def test_counts_of_a_date_that_is_over_become_one_object(work: Work, clock: Clock) -> None:
    files = await table_of(work.store)
    await work.index()
    before = [key for key in await work.keys() if index_date(key, COUNTS)]
    rows = [row for key in before for row in decode_counts(key, await work.store.get(key)).table.to_pylist()]
    tended = await work.indexing.tend()
    (new,) = {key for key in await work.keys() if index_date(key, COUNTS)} - set(before)
    counts = decode_counts(new, await work.store.get(new))
    assert Joined(DATE, 3, 3, len(await work.store.get(new))) in tended.joined
    assert {path: (said.size, said.rows) for path, said in counts.files.items()} == {f.path: (f.size, 5) for f in files}
    assert sorted(map(repr, counts.table.to_pylist())) == sorted(map(repr, rows))
    clock.time += 4000
    assert (await work.indexing.tend()).removed == 6
    assert [key for key in await work.keys() if index_date(key, COUNTS)] == [new]


async def test_counts_that_cannot_be_read_are_left_alone(work: Work) -> None:
    await table_of(work.store)
    await work.index()
    key = next(key for key in await work.keys() if index_date(key, COUNTS))
    await work.store.put(key, (await work.store.get(key))[:-1])
    assert Joined(DATE, 2, 2, 0)[:3] in {one[:3] for one in (await work.indexing.tend()).joined}
    assert key in await work.keys()


async def test_what_was_joined_is_deleted_when_it_and_its_successor_are_old(work: Work, clock: Clock) -> None:
    files = await table_of(work.store)
    await work.index()
    before = set(await work.keys())
    await work.indexing.tend()
    after = set(await work.keys()) - before
    clock.time += 3500
    assert (await work.indexing.tend()).removed == 0
    clock.time += 200
    assert (await work.indexing.tend()).removed == len(before)
    assert set(await work.keys()) == after
    assert await paths_of(work) == [sorted(file.path for file in files)]
    assert await work.indexing.tend() == Tended()


async def test_another_process_sees_the_same(work: Work, clock: Clock) -> None:
    await table_of(work.store)
    await work.index()
    await work.indexing.tend()
    clock.time += 4000
    other = Work(work.store, clock)
    assert (await other.indexing.tend()).joined == ()
    assert len(await other.filters()) == 1
    assert await work.indexing.tend() == Tended()
    other.indexing.close()


async def test_two_processes_that_join_at_once_leave_one_in_the_end(work: Work, clock: Clock) -> None:
    await table_of(work.store)
    await work.index()
    first = await work.filters()
    bodies = {key: await work.store.get(key) for key in first}
    chosen = {one.said.path: key for key, body in bodies.items() for one in decode_object(key, body)}
    for _ in range(2):
        new = indexing.Filters().join(DATE, "", bodies, chosen)
        await work.store.put(new.key, memoryview(new.body))
    clock.time += 4000
    tended = await work.indexing.tend()
    assert [one for one in tended.joined if one.nbytes == len(new.body)] == []
    assert len(await work.filters()) == 1


async def test_dates_that_are_not_over_or_about_to_be_merged_are_not_joined(store: Store, clock: Clock) -> None:
    await table_of(store)
    for settings in ({"compact_after": AGES}, {"target_file": 128 << 20}):
        work = Work(store, clock, **settings)
        await Work(store, clock).index()
        assert (await work.indexing.tend()).joined == ()
        work.indexing.close()


async def test_sections_of_files_that_are_gone_are_left_out(work: Work, clock: Clock) -> None:
    files = await table_of(work.store)
    await work.index()
    log = log_of(work.store)
    await log.commit(await log.load(), [Remove(files[0], data_change=True)])
    await work.indexing.tend()
    assert sorted([file.path for file in files[1:]]) in await paths_of(work)
    clock.time += 4000
    await work.indexing.tend()
    assert await paths_of(work) == [sorted(file.path for file in files[1:])]


async def test_objects_of_a_date_without_files_are_deleted_when_they_are_old(work: Work, clock: Clock) -> None:
    files = await table_of(work.store)
    await work.index()
    log = log_of(work.store)
    await log.commit(await log.load(), [Remove(file, data_change=True) for file in files])
    assert (await work.indexing.tend()).removed == 0
    clock.time += 4000
    assert (await work.indexing.tend()).removed >= 3
    assert await work.keys() == []


async def test_the_section_of_another_file_of_that_name_counts_for_nothing(work: Work, clock: Clock) -> None:
    await table_of(work.store)
    await work.index()
    key = (await work.filters())[0]
    (one,) = decode_object(key, await work.store.get(key))
    forged = one._replace(said=one.said._replace(size=one.said.size + 1))
    await work.store.put(key, encode_object(DATE, "", [forged]))
    other = Work(work.store, clock)
    assert (await other.index()).files == 1
    other.indexing.close()


async def test_an_object_that_cannot_be_read_is_left_alone_and_passed_over(
    work: Work, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    files = await table_of(work.store)
    await work.index()
    damaged = index_key(DATE, "0" * 16, FILTERS)
    await work.store.put(damaged, b"not an index")
    tended = await work.indexing.tend()
    assert [(one.objects, one.files) for one in tended.joined][:1] == [(3, 3)]
    clock.time += 4000
    await work.indexing.tend()
    assert damaged in await work.keys()
    assert len(await work.filters()) == 2
    assert len(files) == 3


async def damage(work: Work, kind: str, at: int) -> str:
    """Change a bit of the first object of this kind, and return its key."""
    key = next(key for key in await work.keys() if index_date(key, kind))
    body = bytearray(await work.store.get(key))
    body[at] ^= 1
    await work.store.put(key, bytes(body))
    return key


@pytest.mark.parametrize(("kind", "at"), [(FILTERS, 100), (COUNTS, 9)])
async def test_in_the_place_of_a_damaged_object_its_data_file_is_read(
    work: Work, clock: Clock, kind: str, at: int
) -> None:
    files = await table_of(work.store)
    await work.index()
    intact = {key: await work.store.get(key) for key in await work.keys()}
    damaged = await damage(work, kind, at)
    assert [one[:3] for one in (await work.indexing.tend()).joined] == 2 * [(DATE, 3, 3)]
    clock.time += 4000
    assert (await work.indexing.tend()).removed == 6
    assert damaged not in await work.keys()
    keys = await work.keys()
    (filters,), (counts,) = ([key for key in keys if index_date(key, one)] for one in (FILTERS, COUNTS))
    before = {key: body for key, body in intact.items() if index_date(key, FILTERS)}
    sections = [one.filter for key, body in before.items() for one in decode_object(key, body)]
    found = [one.filter for one in decode_object(filters, await work.store.get(filters))]
    assert sorted(map(repr, found)) == sorted(map(repr, sections))
    assert set(decode_counts(counts, await work.store.get(counts)).files) == {file.path for file in files}


@pytest.mark.parametrize("gone", [False, True])
async def test_a_damaged_object_about_a_file_that_cannot_be_read_is_left_out(
    work: Work, clock: Clock, gone: bool
) -> None:
    await table_of(work.store)
    await work.index()
    damaged = await damage(work, FILTERS, 100)
    (path,) = [one.path for one in (await work.head(damaged)).sections]
    key, body = ROOT + path, bytearray(await work.store.get(ROOT + path))
    body[50] ^= 1
    await (work.store.delete([key]) if gone else work.store.put(key, body))
    assert [one[:3] for one in (await work.indexing.tend()).joined] == [(DATE, 3, 2), (DATE, 3, 3)]
    assert (await work.indexing.tend()).joined == ()  # that is not tried again
    clock.time += 4000
    await work.indexing.tend()
    assert damaged in await work.filters()
    assert len(await work.filters()) == 2


async def test_of_two_objects_one_that_cannot_be_mended_leaves_nothing_to_join(work: Work) -> None:
    files = await table_of(work.store, lanes=2)
    await work.index()
    await damage(work, FILTERS, 100)
    await work.store.delete([file.key for file in files])
    before = await work.filters()
    await work.indexing.tend()
    assert await work.filters() == before


async def test_lost_counts_are_made_again(work: Work, clock: Clock) -> None:
    files = await table_of(work.store)
    await work.index()
    await work.indexing.tend()
    clock.time += 4000
    await work.indexing.tend()
    await work.store.delete([key for key in await work.keys() if index_date(key, COUNTS)])
    assert await work.index() == Indexed(3, 15, ())
    await work.indexing.tend()
    counted = [decode_counts(key, await work.store.get(key)) for key in await work.keys() if index_date(key, COUNTS)]
    assert {path for one in counted for path in one.files} == {file.path for file in files}
    assert await work.index() == Indexed()


async def test_files_whose_counts_would_not_be_small_are_not_read_again(
    work: Work, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logsink.index.counts.FEW", 0)
    await table_of(work.store)
    assert await work.index() == Indexed(3, 15, ())
    assert [key for key in await work.keys() if index_date(key, COUNTS)] == []
    assert await work.index() == Indexed()
    await work.indexing.tend()
    clock.time += 4000
    await work.indexing.tend()
    other = Work(work.store, clock)
    assert (await other.index(), len(await other.filters())) == (Indexed(), 1)
    other.indexing.close()


async def test_an_object_that_another_process_deletes_meanwhile_is_no_error(store: Store, clock: Clock) -> None:
    await table_of(store)
    first = Work(store, clock)
    await first.index()
    first.indexing.close()
    whole: list[str] = []

    def gone(call: Call) -> Fate:
        if call.verb == "get" and index_date(call.key, FILTERS):
            whole.append(call.key)
            if len(whole) > 3:
                raise NotFound(f"cannot get {call.key}: no such object")
        return Pass()

    work = Work(FaultyStore(store, gone), clock)
    before = await work.filters()
    assert [one for one in (await work.indexing.tend()).joined if one.files == 0] == []
    assert await work.filters() == before
    work.indexing.close()


async def test_nothing_is_done_on_a_damaged_log(work: Work, clock: Clock) -> None:
    files = await table_of(work.store)
    await work.index()
    before = await work.keys()
    await work.store.put(commit_key(2), b"{}")
    clock.time += 4000
    other = Work(work.store, clock)
    with pytest.raises(Damaged):
        await other.indexing.tend()
    with pytest.raises(Damaged):
        await other.index()
    assert await work.keys() == before
    assert len(files) == 3
    other.indexing.close()


async def test_nothing_is_deleted_without_a_log(work: Work, clock: Clock) -> None:
    await table_of(work.store)
    await work.index()
    before = await work.keys()
    await work.store.delete([entry.key for entry in [one async for one in work.store.list("logs/")]])
    clock.time += 1e6
    other = Work(work.store, clock)
    assert await other.indexing.tend() == Tended()
    assert await work.keys() == before
    other.indexing.close()


async def test_large_objects_are_joined_in_parts(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    files = await table_of(work.store, lanes=5)
    await work.index()
    entries = [entry async for entry in work.store.list(INDEX) if index_date(entry.key, FILTERS)]
    monkeypatch.setattr(indexing, "MOST_JOINED", 2 * max(entry.size for entry in entries))
    tended = await work.indexing.tend()
    assert [one.files for one in tended.joined if one.files == 2][:2] == [2, 2]
    assert len(files) == 5
    monkeypatch.setattr(indexing, "MOST_JOINED", min(entry.size for entry in entries))
    assert (await work.indexing.tend()).joined == ()


async def test_errors_of_the_store_are_raised(work: Work, clock: Clock) -> None:
    await table_of(work.store)
    other = Work(FaultyStore(work.store, lambda call: Fail() if call.key.startswith(INDEX) else Pass()), clock)
    with pytest.raises(Unavailable):
        await other.indexing.tend()
    other.indexing.close()


def test_a_file_is_described_as_the_log_has_it() -> None:
    file = DataFile("date=2026-11-22/x.parquet", DATE, 7, "{}", join_tags([("logsink.tail", "5:ab")]))
    assert indexing.FileIdentity.of(file) == indexing.FileIdentity(7, "5:ab")


class Medium(MemoryStore):
    """A store whose disk cannot read some objects whole."""

    bad: frozenset[str] = frozenset()

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if key in self.bad:
            raise MediumError(f"cannot get {key}", "input/output error")
        return await super().get(key, start, end)


async def test_what_the_disk_cannot_read_keeps_nothing_else_from_its_index(clock: Clock) -> None:
    store = Medium(clock=clock)
    work = Work(store, clock)
    bad, *others = sorted(await table_of(store), key=lambda file: file.path, reverse=True)
    store.bad = frozenset([bad.key])
    done = await work.index()
    assert (done.files, done.rows) == (len(others), sum(file.rows for file in others))
    (damage,) = done.damage
    assert damage.key == bad.key
    assert "input/output error" in damage.what
    store.bad = frozenset()
    await work.index()
    await work.indexing._known(indexing.KINDS[0], [entry async for entry in store.list(INDEX)])  # heads can be read
    store.bad = frozenset((await work.filters())[:1])
    tended = await work.indexing.tend()
    assert [one.files for one in tended.joined] == [len(others) + 1] * 2
    work.indexing.close()
