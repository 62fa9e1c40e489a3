"""What a query keeps of a store on its own machine, and that this never changes what it reads."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path

import pytest
import xxhash

from logsink.errors import NotFound
from logsink.store import MARKER, Entry, encode_marker, new_marker
from logsink.store import cached as module
from logsink.store.cached import CachedStore
from logsink.store.memory import MemoryStore

COMMIT = "logs/_delta_log/00000000000000000001.json"
INDEX = "index/date=2026-11-22/0123456789abcdef.index"
HINT = "logs/_delta_log/_last_checkpoint"
FILE = "logs/date=2026-11-22/x.parquet"
SEGMENT = "journal/r/0/00000000000000000001.arrow"
KEPT, OTHERS = (COMMIT, INDEX), (HINT, FILE, SEGMENT)
BODY = bytes(range(200))
LIMIT = 1 << 20


class Bucket(MemoryStore):
    """A store that says ETags, and what of it was read."""

    def __init__(self, store_id: str = "one") -> None:
        super().__init__(clock=lambda: 1000.0)
        self.read: list[str] = []
        self.store_id = store_id

    async def filled(self, body: bytes = BODY) -> Bucket:
        if self.store_id:
            await self.put(MARKER, encode_marker(new_marker(self.store_id, "tests", 0)))
        for key in (*KEPT, *OTHERS):
            await self.put(key, body)
        return self

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self.read.append(key)
        return await super().get(key, start, end)

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[Entry]:
        async for entry in super().list(prefix, after):
            body = await super().get(entry.key)
            yield entry._replace(etag=xxhash.xxh3_64_hexdigest(body))


async def read(inner: MemoryStore, directory: Path, keys: Iterable[str] = KEPT, limit: int = LIMIT) -> list[bytes]:
    """Read these objects as a query does, listing them first."""
    async with CachedStore(inner, directory, limit) as store:
        async for _ in store.list():
            pass
        return [await store.get(key) for key in keys]


@pytest.fixture
async def bucket() -> Bucket:
    return await Bucket().filled()


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*"))


async def test_what_never_changes_is_read_once(bucket: Bucket, tmp_path: Path) -> None:
    for _ in range(3):
        assert await read(bucket, tmp_path / "new", (*KEPT, *OTHERS)) == [BODY] * 5
    assert [bucket.read.count(key) for key in KEPT] == [1, 1]
    assert [bucket.read.count(key) for key in OTHERS] == [3, 3, 3]
    assert {path.stat().st_mode & 0o777 for path in files(tmp_path / "new")} == {0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


async def test_each_range_is_kept(bucket: Bucket, tmp_path: Path) -> None:
    for _ in range(2):
        async with CachedStore(bucket, tmp_path, LIMIT) as store:
            async for _ in store.list("index/"):
                pass
            assert await store.get(INDEX, 10, 20) == BODY[10:20]
            assert await store.get(INDEX, 190, 300) == BODY[190:]
            assert await store.get(INDEX, 190) == BODY[190:]
            assert await store.get(INDEX, -3) == BODY[-3:]  # a range that counts from the end is not
    assert bucket.read.count(INDEX) == 2 + 2


async def test_what_was_not_listed_is_read(bucket: Bucket, tmp_path: Path) -> None:
    await read(bucket, tmp_path)
    async with CachedStore(bucket, tmp_path, LIMIT) as store:
        assert await store.get(COMMIT) == BODY
        async for _ in store.list("index/"):
            pass
        assert await store.get(COMMIT) == BODY
    assert bucket.read.count(COMMIT) == 3


async def test_an_object_that_is_gone_is_gone(bucket: Bucket, tmp_path: Path) -> None:
    await read(bucket, tmp_path)
    await bucket.delete([COMMIT])
    with pytest.raises(NotFound):
        await read(bucket, tmp_path)
    async with CachedStore(bucket, tmp_path, LIMIT) as store:
        async for _ in store.list():
            pass
        await bucket.delete([INDEX])
        async for _ in store.list("index/"):
            pass
        with pytest.raises(NotFound):
            await store.get(INDEX)


async def test_an_object_that_was_written_anew_is_read_anew(bucket: Bucket, tmp_path: Path) -> None:
    await read(bucket, tmp_path)
    await bucket.filled(BODY[::-1])  # of the same size, at the same time
    assert await read(bucket, tmp_path) == [BODY[::-1]] * 2


async def test_another_store_at_the_same_place_has_nothing_of_it(bucket: Bucket, tmp_path: Path) -> None:
    await read(bucket, tmp_path)
    other = await Bucket("two").filled()
    await read(other, tmp_path)
    assert [other.read.count(key) for key in KEPT] == [1, 1]


@pytest.mark.parametrize("marker", [None, b"{}"])
async def test_nothing_is_kept_of_a_store_that_does_not_say_which_it_is(marker: bytes | None, tmp_path: Path) -> None:
    bucket = await Bucket("").filled()
    if marker is not None:
        await bucket.put(MARKER, marker)
    assert await read(bucket, tmp_path) == [BODY, BODY]
    assert files(tmp_path) == []


async def test_nothing_is_kept_without_etags(tmp_path: Path) -> None:
    store = MemoryStore()
    await store.put(MARKER, encode_marker(new_marker("one", "tests", 0)))
    for key in KEPT:
        await store.put(key, BODY)
    assert await read(store, tmp_path) == [BODY, BODY]
    assert files(tmp_path) == []


@pytest.mark.parametrize("bit", [0, 7, 9, 23, 24, 30, -1])
async def test_a_file_that_was_damaged_does_not_count(bucket: Bucket, tmp_path: Path, bit: int) -> None:
    await read(bucket, tmp_path)
    for path in files(tmp_path):
        body = bytearray(path.read_bytes())
        body[bit] ^= 1
        path.write_bytes(body)
    assert await read(bucket, tmp_path) == [BODY, BODY]
    assert [bucket.read.count(key) for key in KEPT] == [2, 2]
    await read(bucket, tmp_path)  # and was replaced
    assert [bucket.read.count(key) for key in KEPT] == [2, 2]


@pytest.mark.parametrize("length", [0, 8, 30, 150])
async def test_a_file_that_was_cut_does_not_count(bucket: Bucket, tmp_path: Path, length: int) -> None:
    await read(bucket, tmp_path)
    for path in files(tmp_path):
        os.truncate(path, length)
    assert await read(bucket, tmp_path) == [BODY, BODY]


async def test_files_that_were_exchanged_do_not_count(bucket: Bucket, tmp_path: Path) -> None:
    await bucket.put(INDEX, BODY[::-1])
    await read(bucket, tmp_path)
    one, other = files(tmp_path)
    body = one.read_bytes()
    other.replace(one)
    other.write_bytes(body)
    assert await read(bucket, tmp_path) == [BODY, BODY[::-1]]


async def test_a_directory_that_cannot_be_used_is_no_cache(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for _ in range(2):
        assert await read(bucket, tmp_path / "file" / "objects") == [BODY, BODY]
    await read(bucket, tmp_path / "objects")
    (tmp_path / "objects").chmod(0o500)  # root may write to it all the same
    assert await read(bucket, tmp_path / "objects") == [BODY, BODY]


async def test_a_full_disk_is_no_error_and_leaves_nothing(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert await read(bucket, tmp_path) == [BODY, BODY]
    assert files(tmp_path) == []


async def test_a_draft_of_another_process_is_left_alone_and_deleted_when_it_is_old(
    bucket: Bucket, tmp_path: Path
) -> None:
    await read(bucket, tmp_path)
    drafts = [path.rename(path.with_name(f".{path.name}.{os.getpid()}")) for path in files(tmp_path)]
    assert await read(bucket, tmp_path) == [BODY, BODY]
    assert files(tmp_path) == sorted(drafts)
    os.utime(drafts[0], (0, 0))
    module._tidy(tmp_path, LIMIT)
    assert files(tmp_path) == drafts[1:]


async def test_what_was_used_longest_ago_is_deleted_first(tmp_path: Path) -> None:
    bucket = await Bucket().filled()
    for number in range(20):
        await bucket.put(f"logs/_delta_log/{number:020d}.json", bytes(100))
    keys = [f"logs/_delta_log/{number:020d}.json" for number in range(20)]
    await read(bucket, tmp_path, keys[:10])
    sizes = 12 * files(tmp_path)[0].stat().st_size
    for path in files(tmp_path):
        os.utime(path, (1, 1))
    await read(bucket, tmp_path, keys[:2])  # used again: these stay
    await read(bucket, tmp_path, keys[10:], limit=sizes)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= sizes
    bucket.read.clear()
    await read(bucket, tmp_path, [*keys[:2], *keys[12:], *keys[2:4]], limit=sizes)
    assert set(keys[2:4]) <= set(bucket.read)
    assert not set(keys[:2]) & set(bucket.read)


async def test_a_body_that_would_drive_out_all_others_is_not_kept(bucket: Bucket, tmp_path: Path) -> None:
    await read(bucket, tmp_path, limit=16 * (len(BODY) - 1))
    assert files(tmp_path) == []


async def test_bounds_hold_for_the_number_of_files(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILES", 1)
    await read(bucket, tmp_path)
    assert len(files(tmp_path)) == 1


async def test_everything_else_is_the_stores(bucket: Bucket, tmp_path: Path) -> None:
    async with CachedStore(bucket, tmp_path, LIMIT) as store:
        assert await store.exists()
        async with aclosing(store.list("logs/_delta_log/")) as listing:  # type: ignore[type-var]
            assert [entry.key async for entry in listing] == [COMMIT, HINT]
        assert await store.get(COMMIT) == BODY
        await store.put(COMMIT, b"other")
        assert await store.get(COMMIT) == b"other"
        await store.delete([COMMIT])
        with pytest.raises(NotFound):
            await store.get(COMMIT)
        assert await store.put_absent(COMMIT, BODY)
        assert await store.now() == 1000.0
        await store.hold()
        await store.probe()
    assert not await CachedStore(MemoryStore(), tmp_path, LIMIT).exists()
