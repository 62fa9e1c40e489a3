"""Objects as files of one directory, durably: what ``LocalStore`` does in its threads. Everything here blocks.

Layout: the object under key ``a/b`` is the file ``<root>/a/b``. Temporary files stand in ``<root>/.tmp``; no key begins so.

Writing: a temporary file is written and fsynced, then linked (put-if-absent: EEXIST = something is there) or renamed (put)
to its name, then the directory is fsynced. So a name appears with all its bytes, or not at all, also after a power cut.
The names of new directories are fsynced before anything in them counts as stored.

A failed fsync leaves the kernel free to forget what was written while a second fsync succeeds: so all is written anew, from
memory. An object whose directory could not be fsynced is not shown until it can be.

Deleting: the file, then each directory that this leaves empty, unless this process writes there. A writer whose directory
disappears makes it again.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from operator import itemgetter

from logsink.errors import NotFound, Refused, StoreError, Unavailable, Withheld
from logsink.store.base import Bytes, Entry, is_key

TEMPORARIES = ".tmp"

FILE_MODE, DIRECTORY_MODE = 0o640, 0o750
"""Permissions of what is made here, where the umask allows them: logs are not for everybody on the machine."""

STALE = 86400.0
"""Seconds after which a temporary file has no owner any more: no write takes a day."""

WRITES = 4
"""Times that a write is begun when fsync fails or its directory disappears, before the caller hears of it."""

OPEN_DIRECTORIES = 64
"""Directories held open, so that a put into one of them does not prove again that its own name is durable."""

_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)
"""Read what is in memory; 0 where the system has no such thing."""

_ANEW = frozenset({errno.EIO, errno.ENOENT, errno.ESTALE})

_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL})
"""What fsync of a directory above the root may answer: whoever cannot open it did not make a directory in it either."""

_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})

_HINTS = {
    errno.ENOSPC: "free some space on this file system: writing goes on by itself",
    errno.EDQUOT: "free some space, or raise the quota: writing goes on by itself",
    errno.EACCES: "give the user that runs logsink read and write permission there",
    errno.EPERM: "the user that runs logsink needs permission there, and the file system must have hard links",
    errno.EROFS: "mount the file system for writing, or choose another directory",
    errno.ENOTDIR: "a part of the path is a file: choose another directory",
    errno.EISDIR: "a directory stands where an object should be: move it away",
    errno.ENAMETOOLONG: "choose a directory with a shorter path",
    errno.EXDEV: "everything below the store's directory must be one file system",
    errno.EOPNOTSUPP: "choose a directory on a file system with hard links",
    errno.ENOSYS: "choose a directory on a file system with hard links",
    errno.EMLINK: "choose a directory on a file system with hard links",
    errno.EINVAL: "choose a directory on a file system that can fsync directories",
    errno.ELOOP: "choose a path without circular links",
}
"""What to do about errors that stay until somebody does something; all others may pass."""


class Disk:
    """The files below ``root``. Safe for use by several threads, and beside other processes that do the same."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._prepared = False
        self._directories: dict[str, _Directory] = {}
        self._unsettled: set[str] = set()

    def write(self, key: str, body: Bytes, *, replace: bool) -> bool:
        """Store ``body``; False when something is there and ``replace`` is not set. Durable in both cases."""
        path = f"{self._root}/{key}"
        folder, _, name = path.rpartition("/")
        with _trouble("put", path):
            for left in reversed(range(WRITES)):
                try:
                    directory = self._directory(folder)
                    placed = self._place(directory, name, body, replace)
                    replace = replace or placed  # what has won the name is put there again, if need be
                    self._settle(directory)
                    return placed
                except OSError as error:
                    if error.errno not in _ANEW or not left:
                        raise
                    if error.errno != errno.EIO:
                        self._forget(folder)
        raise AssertionError("unreachable")

    def read(self, key: str, start: int, end: int | None) -> bytes:
        path = f"{self._root}/{key}"
        with _trouble("get", path):
            folder = path.rpartition("/")[0]
            if folder in self._unsettled:
                self._settle(self._directory(folder))
            with _opened(path, start, end) as (file, first, last):
                return _read_range(file, first, last)

    def at_hand(self, key: str, start: int, end: int | None, room: bytearray) -> bytes | None:
        """As ``read``, without waiting for a disk: None where the system does not have all of it in memory, where it takes more
        than ``room``, and for whatever else ``read`` must look into.
        """
        path = f"{self._root}/{key}"
        if not _NO_WAIT or path.rpartition("/")[0] in self._unsettled:
            return None
        try:
            with _opened(path, start, end) as (file, first, last), memoryview(room)[: max(0, last - first)] as view:
                whole = last - first <= len(room) and os.preadv(file, [view], first, _NO_WAIT) == len(view)
                return bytes(view) if whole else None
        except (OSError, StoreError):
            return None

    def walk(self, prefix: str, after: str) -> Iterator[Entry]:
        """Objects in order of their keys; see ``Store.list``. Whole directories are passed over where none can match."""
        with _trouble("list", f"{self._root}/{prefix}"):
            yield from self._walk(prefix.rpartition("/")[0], prefix, after)

    def remove(self, keys: Iterable[str]) -> None:
        folders = set()
        for key in keys:
            path = f"{self._root}/{key}"
            # An object's parent directory is no object.
            with _trouble("delete", path), suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                os.unlink(path)
                folders.add(path.rpartition("/")[0])
        for folder in folders:
            self._prune(folder)

    def exists(self) -> bool:
        with _trouble("open", self._root):
            try:
                return stat.S_ISDIR(os.stat(self._root).st_mode)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def close(self) -> None:
        folders = list(self._directories)
        self._directories.clear()
        for folder in folders:
            self._prune(folder)

    # Writing

    def _place(self, directory: _Directory, name: str, body: Bytes, replace: bool) -> bool:
        temporary = self._temporary(body)
        try:
            if replace:
                os.rename(temporary, name, dst_dir_fd=directory.file)
                return True
            os.link(temporary, name, dst_dir_fd=directory.file)
            return True
        except FileExistsError:
            return False
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)

    def _temporary(self, body: Bytes) -> str:
        """The path of a new file that holds ``body`` durably."""
        path = f"{self._root}/{TEMPORARIES}/{os.urandom(16).hex()}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            rest = memoryview(body).cast("B")
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
        finally:
            os.close(file)
        return path

    def _settle(self, directory: _Directory) -> None:
        """Make the names in ``directory`` durable; once that has failed, ``read`` tries again before it shows anything."""
        try:
            directory.sync()
        except OSError:
            self._unsettled.add(directory.path)
            raise
        self._unsettled.discard(directory.path)

    def _directory(self, folder: str) -> _Directory:
        """``folder``, made if need be, open, its own name and those of its parents durable."""
        if not self._prepared:
            self._prepare()
        known = self._directories.get(folder)
        if known is not None:
            return known
        _make_directories(folder)
        directory = _Directory(folder)
        while folder != self._root:
            folder = folder.rpartition("/")[0]
            _Directory(folder).sync()
        while len(self._directories) >= OPEN_DIRECTORIES:
            with suppress(KeyError, StopIteration):  # another thread may be doing the same
                self._directories.pop(next(iter(self._directories)))
        return self._directories.setdefault(directory.path, directory)

    def _prepare(self) -> None:
        """Make the root and the directory of temporary files; the names of the root's parents become durable too."""
        folder = f"{self._root}/{TEMPORARIES}"
        _make_directories(folder)
        parent = self._root
        while parent != "/":
            parent = os.path.dirname(parent)
            try:
                _Directory(parent).sync()
            except OSError as error:
                if error.errno not in _NOT_OURS:
                    raise
        with os.scandir(folder) as found:
            for entry in found:
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < time.time() - STALE:
                        os.unlink(entry.path)
        self._prepared = True

    def _forget(self, folder: str) -> None:
        """A directory that was relied upon is gone: look at everything again."""
        self._directories.pop(folder, None)
        self._unsettled.discard(folder)
        self._prepared = False

    # Listing and deleting

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[Entry]:
        base = f"{folder}/" if folder else ""
        for name, entry in _names(f"{self._root}/{base}"):
            key = base + name
            if name.endswith("/"):
                wanted = key.startswith(prefix) or prefix.startswith(key)
                if wanted and (key > after or after.startswith(key)):
                    yield from self._walk(key[:-1], prefix, after)
            elif key > after and key.startswith(prefix):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield Entry(key, status.st_size, status.st_mtime)

    def _prune(self, folder: str) -> None:
        """Remove ``folder`` and then its parents as long as they are empty and not written to."""
        while folder != self._root and folder not in self._directories:
            try:
                os.rmdir(folder)
            except OSError:
                return
            folder = folder.rpartition("/")[0]


class _Directory:
    """An open directory. Closed when the last user lets go of it: another thread may be linking into it.

    Being open it cannot be confused with a later one of the same path: linking into a removed directory fails.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def sync(self) -> None:
        """Make the names in it durable."""
        os.fsync(self.file)

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


def _names(path: str) -> list[tuple[str, os.DirEntry[str]]]:
    """What stands in a directory, as parts of keys, in order of the keys: a directory's name has its ``/``.

    ``a-b`` stands before ``a/``, and that before ``a0``: order of whole keys is not order of names.
    """
    found = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if not is_key(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found.append((f"{entry.name}/", entry))
                elif entry.is_file(follow_symlinks=False):
                    found.append((entry.name, entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    found.sort(key=itemgetter(0))
    return found


@contextmanager
def _opened(path: str, start: int, end: int | None) -> Iterator[tuple[int, int, int]]:
    """A file, open, and its bytes that ``[start, end)`` means. ``NotFound``."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe that stands there is no object
    except (FileNotFoundError, NotADirectoryError):
        raise _not_found(path) from None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise _not_found(path)
        first = max(0, status.st_size + start) if start < 0 else start
        yield file, first, status.st_size if end is None else min(end, status.st_size)
    finally:
        os.close(file)


def _make_directories(folder: str) -> None:
    """Make ``folder`` and those of its parents that are missing."""
    try:
        os.mkdir(folder, DIRECTORY_MODE)
    except FileNotFoundError:
        _make_directories(os.path.dirname(folder))
        with suppress(FileExistsError):
            os.mkdir(folder, DIRECTORY_MODE)
    except OSError:
        if not os.path.isdir(folder):
            raise


def _read_range(file: int, first: int, last: int) -> bytes:
    parts = []
    while first < last:
        part = os.pread(file, last - first, first)
        if not part:
            break
        parts.append(part)
        first += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _not_found(path: str) -> NotFound:
    return NotFound(f"cannot get {path}: no such object")


@contextmanager
def _trouble(verb: str, path: str) -> Iterator[None]:
    """Turn an ``OSError`` into what ``Store`` raises."""
    try:
        yield
    except OSError as error:
        cause = os.strerror(error.errno).lower() if error.errno else str(error)
        kind: type[StoreError] = Unavailable
        if error.errno in _HINTS:
            kind = Withheld if error.errno in _SPACE else Refused
        raise kind(f"cannot {verb} {path}: {cause}", hint=_HINTS.get(error.errno or 0, "")) from error
