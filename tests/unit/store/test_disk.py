"""Objects as files: what stands in the directory, and what is passed over."""

from __future__ import annotations

import os
import shutil
import stat
import time
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.errors import NotFound, Refused, Withheld
from logsink.store.disk import STALE, TEMPORARIES, Disk
from logsink.store.local import CACHED, LocalStore
from logsink.store.memory import MemoryStore

_NAMES = st.sampled_from(["a", "a-b", "a.c", "a0", "a=1", "ab", "b", "B", "_x", "-"])
_KEYS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)


@given(st.sets(_KEYS, max_size=25), st.lists(st.tuples(_KEYS, _KEYS), min_size=1, max_size=10), st.integers(0, 3))
async def test_lists_like_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], questions: list[tuple[str, str]], cut: int
) -> None:
    root = tmp_path_factory.mktemp("store")
    keys = {key for key in keys if not any(other.startswith(f"{key}/") for other in keys)}
    model = MemoryStore()
    for key in keys:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        await model.put(key, b"x")
    disk = Disk(str(root))
    for prefix, after in [("", ""), *((p[: len(p) - cut], a) for p, a in questions)]:
        wanted = [entry.key async for entry in model.list(prefix, after)]
        assert [entry.key for entry in disk.walk(prefix, after)] == wanted


async def test_objects_are_plain_files(tmp_path: Path) -> None:
    async with LocalStore(tmp_path) as store:
        await store.put("logs/date=2026-11-22/x.parquet", b"PAR1")
        await store.put_absent("journal/r/0/1.arrow", b"ARROW1")
    assert (tmp_path / "logs/date=2026-11-22/x.parquet").read_bytes() == b"PAR1"
    assert (tmp_path / "journal/r/0/1.arrow").read_bytes() == b"ARROW1"
    assert os.stat(tmp_path / "journal/r/0/1.arrow").st_nlink == 1
    assert list((tmp_path / TEMPORARIES).iterdir()) == []


async def test_what_is_no_object_is_not_listed(tmp_path: Path) -> None:
    for name in (".hidden", "a b", "x#1", f"{TEMPORARIES}/abc", "d/.swp", "ä", "d/fine", "fine"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link").symlink_to("fine")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    async with LocalStore(tmp_path) as store:
        assert [entry.key async for entry in store.list()] == ["d/fine", "fine"]


@pytest.mark.parametrize("waits", [False, True])
async def test_what_is_in_memory_is_read_at_once_and_all_else_by_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """The same either way; only what is in memory, not too much and nothing strange comes without a thread."""
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "pipe")
    threaded, read = [], Disk.read
    monkeypatch.setattr(Disk, "read", lambda self, *where: threaded.append(where) or read(self, *where))
    body = bytes(range(256)) * (CACHED // 256)
    async with LocalStore(tmp_path) as store:
        await store.put("a/b", body + b"!")
        if waits:
            monkeypatch.setattr(os, "preadv", _not_in_memory)
        elif store._disk.read_cached("a/b", 0, 1, bytearray(1)) is None:
            pytest.skip("this file system does not say what is in memory")
        at_once = [
            (0, 5),
            (5, 5),
            (7, 3),
            (-3, None),
            (CACHED, None),
            (CACHED + 7, None),
            (1, CACHED + 9),
            (0, CACHED),
        ]
        for start, end in at_once:
            assert await store.get("a/b", start, end) == (body + b"!")[start:end]
        assert threaded == [("a/b", *where) for where in at_once if waits]
        assert await store.get("a/b") == body + b"!"
        for key in ("a", "a/c", "a/b/c", "dir", "pipe"):
            with pytest.raises(NotFound):
                await store.get(key)
        assert [key for key, *_ in threaded][-6:] == ["a/b", "a", "a/c", "a/b/c", "dir", "pipe"]


def _not_in_memory(*call: object) -> int:
    raise BlockingIOError(11, "Resource temporarily unavailable")


async def test_a_part_that_is_in_memory_is_not_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "preadv", lambda *call: 2)
    async with LocalStore(tmp_path) as store:
        await store.put("a", b"12345")
        assert await store.get("a") == b"12345"


def test_a_listing_looks_only_where_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b/c/d", "b/c2/e", "b/d/f", "g/h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    seen = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: seen.append(os.path.relpath(path, tmp_path)) or real(path))
    disk = Disk(str(tmp_path))
    assert [entry.key for entry in disk.walk("b/c", "")] == ["b/c/d", "b/c2/e"]
    assert seen == ["b", "b/c", "b/c2"]
    seen.clear()
    assert [entry.key for entry in disk.walk("", "b/c2/d")] == ["b/c2/e", "b/d/f", "g/h"]
    assert seen == [".", "b", "b/c2", "b/d", "g"]
    seen.clear()
    assert [entry.key for entry in islice(disk.walk("b/", ""), 1)] == ["b/c/d"]
    assert seen == ["b", "b/c"]


async def test_emptied_directories_go_and_those_in_use_stay(tmp_path: Path) -> None:
    async with LocalStore(tmp_path) as ours, LocalStore(tmp_path) as others:
        await ours.put("journal/r/0/1", b"")
        await ours.put("journal/r/0/2", b"")
        await ours.delete(["journal/r/0/1", "journal/r/0/2"])
        assert (tmp_path / "journal/r/0").is_dir()  # the next segment comes soon
        await ours.put("journal/r/0/3", b"")
        await others.delete(["journal/r/0/3"])
        assert not (tmp_path / "journal").exists()
        assert await ours.put_absent("journal/r/0/4", b"4")
        assert await others.get("journal/r/0/4") == b"4"
        await others.put("logs/x", b"")
        await ours.delete(["journal/r/0/4"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [TEMPORARIES, "logs"]


async def test_temporary_files_that_nobody_owns_go(tmp_path: Path) -> None:
    (tmp_path / TEMPORARIES).mkdir()
    old, young = tmp_path / TEMPORARIES / "old", tmp_path / TEMPORARIES / "young"
    for path, age in ((old, STALE + 60), (young, STALE - 600)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    async with LocalStore(tmp_path) as store:
        assert [entry async for entry in store.list()] == []
        assert old.exists()  # reading leaves no trace
        await store.put("a", b"")
    assert not old.exists()
    assert young.exists()


async def test_a_directory_that_is_removed_while_open_is_made_again(tmp_path: Path) -> None:
    async with LocalStore(tmp_path / "store") as store:
        await store.put("a/b/c", b"1")
        shutil.rmtree(tmp_path / "store/a")
        (tmp_path / "store" / TEMPORARIES).rmdir()
        await store.put_absent("a/b/c", b"2")
        assert (tmp_path / "store/a/b/c").read_bytes() == b"2"


@pytest.mark.parametrize("there", ["nothing", "another", "a copy", "a file"])
@pytest.mark.parametrize("by", ["hold", "put"])
async def test_a_root_that_is_moved_away_is_waited_for_and_never_made_again(
    tmp_path: Path, there: str, by: str
) -> None:
    root, away = tmp_path / "store", tmp_path / "elsewhere"
    root.mkdir()
    (root / "x").write_bytes(b"old")
    async with LocalStore(root) as store:
        await (store.put("a/b", b"1") if by == "put" else store.hold())
        root.rename(away)
        match there:
            case "another":
                root.mkdir()
            case "a copy":
                shutil.copytree(away, root)
            case "a file":
                root.write_bytes(b"")
        before = sorted(tmp_path.rglob("*"))
        calls = (
            lambda: store.put("a/b", b"2"),
            lambda: store.put_absent("a/c", b"2"),
            lambda: store.get("x"),
            lambda: store.delete(["x"]),
            lambda: anext(aiter(store.list())),
            store.hold,
        )
        for call in calls:
            with pytest.raises(Withheld, match=f"cannot use {root}: ") as caught:
                await call()
            assert "move it back" in caught.value.hint
        assert sorted(tmp_path.rglob("*")) == before
        if there != "nothing":
            root.rename(tmp_path / "wrong")
        away.rename(root)
        assert await store.put_absent("a/c", b"3")
        assert await store.get("x") == b"old"
    assert (root / "a/c").read_bytes() == b"3"


async def test_a_write_that_is_under_way_goes_to_the_directory_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, away, real = tmp_path / "store", tmp_path / "elsewhere", os.link

    def link(*arguments: str, **options: int) -> None:
        root.rename(away)
        root.mkdir()
        real(*arguments, **options)

    async with LocalStore(root) as store:
        await store.put("a/b", b"1")
        monkeypatch.setattr(os, "link", link)
        await store.put_absent("a/c", b"2")
        assert (away / "a/c").read_bytes() == b"2"
    assert list(root.iterdir()) == []


async def test_only_a_directory_that_is_there_can_be_held(tmp_path: Path) -> None:
    async with LocalStore(tmp_path / "store") as store:
        with pytest.raises(NotFound, match=r"cannot open .*/store: no such directory"):
            await store.hold()
        await store.delete(["a"])
        assert list(tmp_path.iterdir()) == []


async def test_a_file_where_the_store_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    async with LocalStore(tmp_path / "file") as store, LocalStore(tmp_path / "file" / "below") as below:
        assert not await store.exists()
        assert not await below.exists()
        for each in (store, below):
            with pytest.raises(Refused, match=r"cannot put .*: (file exists|not a directory)") as caught:
                await each.put("a", b"")
            assert "choose another directory" in caught.value.hint


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o640, 0o750), (0o000, 0o640, 0o750), (0o077, 0o600, 0o700)]
)
async def test_what_is_stored_is_not_for_everybody(tmp_path: Path, umask: int, file: int, folder: int) -> None:
    before = os.umask(umask)
    try:
        async with LocalStore(tmp_path / "new" / "store") as store:
            await store.put_absent("a/b/c", b"x")
            await store.put("a/d", b"x")
        for path in (tmp_path / "new").rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (folder if path.is_dir() else file), path
    finally:
        os.umask(before)
