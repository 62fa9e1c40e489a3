"""The local store when disks and processes fail: nothing half, nothing lost that was said to be stored."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logsink.errors import NotFound, Refused, Unavailable, Withheld
from logsink.store.disk import TEMPORARIES, WRITES
from logsink.store.local import LocalStore
from logsink.store.retry import put_once

_WRITER = """
import asyncio, sys
from pathlib import Path
from logsink.store.local import LocalStore

async def lane(store, lane):
    for n in range(1, 1_000_000):
        key = f"journal/r/{lane}/{n:020}"
        body = (key.encode() + b" ") * 20_000
        assert await store.put_absent(key, body)
        print(key, flush=True)

async def main():
    store = LocalStore(Path(sys.argv[1]))
    await asyncio.gather(*(lane(store, n) for n in range(4)))

asyncio.run(main())
"""


def body_of(key: str) -> bytes:
    return (key.encode() + b" ") * 20_000


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that puts objects in four lanes, and prints the key of each once it is stored."""
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


@pytest.mark.parametrize("acknowledged", [1, 7, 30])
async def test_a_writer_that_is_killed(tmp_path: Path, writer: subprocess.Popen[str], acknowledged: int) -> None:
    assert writer.stdout is not None
    async with LocalStore(tmp_path) as store:
        whole = set[str]()

        async def check() -> list[str]:
            """Read what is listed for the first time: each object is whole."""
            keys = [entry.key async for entry in store.list()]
            assert all(TEMPORARIES not in key for key in keys)
            for key in keys:
                if key not in whole:
                    assert await store.get(key) == body_of(key)
                    whole.add(key)
            return keys

        told = []
        for _ in range(acknowledged):
            told.append((await asyncio.to_thread(writer.stdout.readline)).strip())
            await check()
        writer.kill()
        told += writer.stdout.read().split()  # the pipe holds whole lines: each was written at once
        assert set(told) <= set(await check())
        assert await store.put_absent("journal/r/0/next", b"") is True


Call = tuple[str, str]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Every call that changes the disk or makes it durable, with the path it was about."""
    seen: list[Call] = []

    def watch(name: str, path_of: Callable[..., str]) -> None:
        real = getattr(os, name)

        def watched(*arguments: object, **options: object) -> object:
            path = path_of(*arguments, **options)
            done = real(*arguments, **options)
            seen.append((name, path))
            return done

        monkeypatch.setattr(os, name, watched)

    def opened(file: int) -> str:
        return os.readlink(f"/proc/self/fd/{file}")

    def target(_: str, name: str, *, src_dir_fd: int, dst_dir_fd: int) -> str:
        return f"{opened(dst_dir_fd)}/{name}"

    def made(path: str | Path, _: int, *, dir_fd: int | None = None) -> str:
        return str(path) if dir_fd is None else f"{opened(dir_fd)}/{path}"

    watch("fsync", opened)
    watch("link", target)
    watch("rename", target)
    watch("mkdir", made)
    return seen


@pytest.mark.parametrize("verb", ["link", "rename"])
async def test_all_is_durable_in_the_right_order(tmp_path: Path, calls: list[Call], verb: str) -> None:
    root = tmp_path / "made" / "by us"
    async with LocalStore(root) as store:
        put = store.put_absent if verb == "link" else store.put
        for key in ("a/b/one", "a/b/two", "a/c/three"):
            calls.clear()
            await put(key, b"x")
            named = calls.index((verb, str(root / key)))
            [file] = [n for n, (name, path) in enumerate(calls) if name == "fsync" and TEMPORARIES in path]
            assert file < named
            assert ("fsync", str((root / key).parent)) in calls[named:]
            for n, (name, path) in enumerate(calls):
                if name == "mkdir" and TEMPORARIES not in path:  # temporary files need not survive
                    assert ("fsync", os.path.dirname(path)) in calls[n:], path
    assert calls.count(("fsync", str(tmp_path))) == 0  # only the first put looks above the root


async def test_what_another_process_has_linked_is_made_durable_before_it_counts(
    tmp_path: Path, calls: list[Call]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"theirs")
    async with LocalStore(tmp_path) as store:
        assert await store.put_absent("a/b", b"ours") is False
    assert ("fsync", str(tmp_path / "a")) in calls
    assert ("fsync", str(tmp_path)) in calls  # the name "a" may be new as well


class FailingSync:
    """Takes the place of ``os.fsync``: fails with ``error`` for the calls in ``failing`` (counted from 1)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: range, error: int = errno.EIO) -> None:
        self._real = os.fsync
        self._failing = failing
        self._error = error
        self.calls = 0
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, file: int) -> None:
        self.calls += 1
        if self.calls in self._failing:
            # What the kernel may do: forget the pages, report it once, and call the next fsync a success.
            if os.path.isfile(f"/proc/self/fd/{file}"):
                os.truncate(f"/proc/self/fd/{file}", 0)
            raise OSError(self._error, os.strerror(self._error))
        self._real(file)


@pytest.mark.parametrize("absent", [True, False])
@pytest.mark.parametrize("first", range(1, 9))
async def test_a_failed_fsync_writes_anew_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, absent: bool
) -> None:
    body = os.urandom(100_000)
    async with LocalStore(tmp_path / "store") as store:
        await store.put("a/warm", b"")
        sync = FailingSync(monkeypatch, range(first, first + 1))
        for n in range(4):
            if absent:
                assert await store.put_absent(f"a/{n}", body) is True
            else:
                await store.put(f"a/{n}", body)
        assert sync.calls > first
        for n in range(4):
            assert await store.get(f"a/{n}") == body
    assert list((tmp_path / "store" / TEMPORARIES).iterdir()) == []


async def test_an_fsync_that_keeps_failing_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with LocalStore(tmp_path) as store:
        await store.put("a/warm", b"")
        FailingSync(monkeypatch, range(1, 10**9))
        with pytest.raises(Unavailable, match=r"cannot put .*/a/b: input/output error"):
            await store.put_absent("a/b", b"body")
        with pytest.raises(NotFound):
            await store.get("b")
        assert [entry.key async for entry in store.list()] == ["a/warm"]


async def test_a_name_whose_directory_cannot_be_fsynced_is_not_taken_for_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = True
    real = os.fsync

    def fsync(file: int) -> None:
        if broken and os.path.isdir(f"/proc/self/fd/{file}"):
            raise OSError(errno.EIO, "injected")
        real(file)

    async with LocalStore(tmp_path) as store:
        await store.put("a/warm", b"")
        monkeypatch.setattr(os, "fsync", fsync)
        for _ in range(WRITES):
            with pytest.raises(Unavailable):
                await put_once(store, "a/b", b"body")
        broken = False
        assert await put_once(store, "a/b", b"body") is False
        assert await store.get("a/b") == b"body"


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.ENOSPC, Withheld, "free some space"),
        (errno.EDQUOT, Withheld, "quota"),
        (errno.EACCES, Refused, "permission"),
        (errno.EROFS, Refused, "mount"),
        (errno.EOPNOTSUPP, Refused, "hard links"),
        (errno.EIO, Unavailable, ""),
        (errno.EMFILE, Unavailable, ""),
        (errno.ETIMEDOUT, Unavailable, ""),
    ],
)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "link"])
async def test_errors_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], hint: str, call: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "injected")

    async with LocalStore(tmp_path) as store:
        await store.put("a/warm", b"")
        with monkeypatch.context() as broken:
            broken.setattr(os, call, fail)
            with pytest.raises((Refused, Unavailable), match=r"cannot put /.*/a/b: ") as caught:
                await store.put_absent("a/b", b"body")
            assert type(caught.value) is kind
            assert os.strerror(number).lower() in str(caught.value)
            assert hint in caught.value.hint
        assert list((tmp_path / TEMPORARIES).iterdir()) == []
        assert await store.put_absent("a/b", b"body") is True  # it goes on by itself


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mounted)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount a file system here")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "--lazy", str(mounted)], check=True)


async def test_a_full_disk(small_disk: Path) -> None:
    async with LocalStore(small_disk / "store") as store:
        body = os.urandom(300_000)
        stored: list[str] = []

        async def fill() -> None:
            for n in range(10):
                await store.put_absent(f"a/{n}", body)
                stored.append(f"a/{n}")

        with pytest.raises(Refused, match=r"cannot put .*: no space left on device") as caught:
            await fill()
        assert "free some space" in caught.value.hint
        assert len(stored) >= 2
        assert [entry.key async for entry in store.list()] == stored
        for key in stored:
            assert await store.get(key) == body
        await store.delete(stored[:1])
        assert await store.put_absent("a/again", body) is True


async def test_no_permission(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may do everything")
    tmp_path.chmod(0o500)
    async with LocalStore(tmp_path / "store") as store:
        assert await store.exists() is False
        with pytest.raises(Refused, match="permission denied"):
            await store.put("a", b"")
