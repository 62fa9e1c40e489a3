"""Objects as files of one directory, durably. Everything here blocks; ``LocalStore`` calls it in threads.

Layout: the object under key ``a/b`` is the file ``<root>/a/b``. Temporary files are in ``<root>/.tmp``, which no key begins
with.

Write path: a temporary file is written and fsynced, then linked (put-if-absent; EEXIST means that an object is there) or
renamed (put) to its name, then the directory is fsynced. So a name appears with all its bytes or not at all, even after a
power cut. The names of new directories are fsynced before an object in them counts as stored. After a failed fsync the kernel
may forget what was written, and report success for a second fsync: so everything is written again, from memory.

Read path: an object whose directory could not be fsynced is not shown until the fsync succeeds. One that the disk cannot read
is damaged (``MediumError``), and the others can be read.

Deletion: the file, then each directory that this leaves empty, unless this process writes there. A writer whose directory
disappears makes it again.

Identity: the first write opens the root, and so does ``hold``. From then on the root stays open and is never made again, all
writes and deletions go to the open directory, and each call first looks whether the path still leads there: where the root was
moved away, replaced, or its file system unmounted, calls raise ``Withheld`` until it is back.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from operator import itemgetter

from logsink.errors import MediumError, NotFound, Refused, StoreError, Unavailable, Withheld
from logsink.store.base import Bytes, Entry, is_key

TEMPORARIES = ".tmp"

FILE_MODE, DIRECTORY_MODE = 0o640, 0o750
"""Permissions of new files and directories, less the umask: logs are not for everybody on the machine."""

STALE = 86400.0
"""Age in seconds at which a temporary file is deleted: no write takes a day."""

WRITES = 4
"""Most tries of a write whose fsync fails or whose directory disappears, before an error is raised."""

OPEN_DIRECTORIES = 64
"""Most directories held open, so that a put into one of them need not fsync its parents again."""

_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)
"""The flag to read only what the page cache holds; 0 where the system has none."""

_WRITE_AGAIN = frozenset({errno.EIO, errno.ENOENT, errno.ESTALE})
"""Errors after which a write is tried again: a failed fsync, a directory that disappeared."""

_UNREADABLE = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.ENODATA})
"""Errors of reading one file by which the disk, or its file system, says that the bytes are damaged."""

_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL})
"""Errors of fsync above the root that do no harm: a process that cannot open a directory made none in it either."""

_NO_OBJECT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""Errors of deleting what is no object."""

_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})

_HINTS = {
    errno.ENOSPC: "free some space on this file system: writing goes on by itself",
    errno.EDQUOT: "free some space, or raise the quota: writing goes on by itself",
    errno.EACCES: "give the user that runs logsink read and write permission there",
    errno.EPERM: "the user that runs logsink needs permission there, and the file system must have hard links",
    errno.EROFS: "mount the file system for writing, or choose another directory",
    errno.ENOTDIR: "a part of the path is a file: choose another directory",
    errno.EEXIST: "a file is where a directory should be: choose another directory",
    errno.EISDIR: "a directory is where an object should be: move it away",
    errno.ENAMETOOLONG: "choose a directory with a shorter path",
    errno.EXDEV: "everything below the store's directory must be one file system",
    errno.EOPNOTSUPP: "choose a directory on a file system with hard links",
    errno.ENOSYS: "choose a directory on a file system with hard links",
    errno.EMLINK: "choose a directory on a file system with hard links",
    errno.EINVAL: "choose a directory on a file system that can fsync directories",
    errno.ELOOP: "choose a path without circular links",
}
"""Remedies by error number. An error that is not here may pass by itself."""


_SAVE = "the disk cannot read it: save what can be read of it, and put it back; else move it away"


class Disk:
    """The files below ``root``. Several threads, and several processes, may use them at the same time."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._held: _Directory | None = None
        self._holding = threading.Lock()
        self._prepared = False
        self._directories: dict[str, _Directory] = {}
        self._unsettled: set[str] = set()

    def hold(self) -> None:
        """Keep to the directory that is the root now. Raises ``NotFound`` when there is none."""
        with _trouble("open", self._root):
            try:
                self._home(make=False)
            except (FileNotFoundError, NotADirectoryError):
                raise NotFound(f"cannot open {self._root}: no such directory") from None

    def write(self, key: str, body: Bytes, *, replace: bool) -> bool:
        """Store ``body`` durably. Return False when an object is there and ``replace`` is not set."""
        folder, _, name = key.rpartition("/")
        with _trouble("put", f"{self._root}/{key}"):
            for left in reversed(range(WRITES)):
                try:
                    home = self._home(make=True)
                    directory = self._directory(home, folder)
                    placed = self._place(home, directory, name, body, replace)
                    replace = replace or placed  # placed by this call: a retry may replace it
                    self._settle(directory)
                    return placed
                except OSError as error:
                    if error.errno not in _WRITE_AGAIN or not left:
                        raise
                    if error.errno != errno.EIO:
                        self._forget(folder)
        raise AssertionError("unreachable")

    def read(self, key: str, start: int, end: int | None) -> bytes:
        """Return bytes of an object; see ``Store.get``."""
        path = f"{self._root}/{key}"
        with _trouble("get", path):
            home = self._home(make=False) if self._held else None
            folder = key.rpartition("/")[0]
            if home is not None and folder in self._unsettled:
                self._settle(self._directory(home, folder))
            with _medium(path), _opened(path, start, end) as (file, first, last):
                return _read_range(file, first, last)

    def read_cached(self, key: str, start: int, end: int | None, room: bytearray) -> bytes | None:
        """Return what ``read`` returns when the page cache holds all of it, without waiting for a disk; else None.

        Also None for more bytes than ``room`` has, and whenever something is wrong, which ``read`` then finds out.
        """
        path = f"{self._root}/{key}"
        if not _NO_WAIT or key.rpartition("/")[0] in self._unsettled:
            return None
        try:
            if self._held:
                self._home(make=False)
            with _opened(path, start, end) as (file, first, last), memoryview(room)[: max(0, last - first)] as view:
                whole = last - first <= len(room) and os.preadv(file, [view], first, _NO_WAIT) == len(view)
                return bytes(view) if whole else None
        except (OSError, StoreError):
            return None

    def walk(self, prefix: str, after: str) -> Iterator[Entry]:
        """Yield objects in order of their keys; see ``Store.list``. Directories in which none can match are not read."""
        with _trouble("list", f"{self._root}/{prefix}"):
            if self._held:
                self._home(make=False)
            yield from self._walk(prefix.rpartition("/")[0], prefix, after)

    def remove(self, keys: Iterable[str]) -> None:
        """Delete objects; see ``Store.delete``."""
        folders = set()
        home: _Directory | None = None
        for key in keys:
            # A directory above objects is no object: deleting "a" where "a/b" is stored does nothing.
            with _trouble("delete", f"{self._root}/{key}"), suppress(*_NO_OBJECT):
                home = self._home(make=False)
                os.unlink(key, dir_fd=home.file)
                folders.add(key.rpartition("/")[0])
        if home is not None:
            for folder in folders:
                self._prune(home, folder)

    def exists(self) -> bool:
        """Return whether the root is a directory."""
        with _trouble("open", self._root):
            try:
                return stat.S_ISDIR(os.stat(self._root).st_mode)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def close(self) -> None:
        """Close all directories and remove those that are empty."""
        folders, home = list(self._directories), self._held
        self._directories.clear()
        self._held = None
        if home is not None:
            for folder in folders:
                self._prune(home, folder)

    # The root

    def _home(self, *, make: bool) -> _Directory:
        """Return the root, open. Raises ``Withheld`` when it is open, and its path leads to it no more.

        The first call opens it. Where it is missing then, it is made, or ``OSError`` is raised unless ``make`` is set.
        """
        with self._holding:
            held = self._held
            if held is None:
                if make:
                    _make_directories(self._root)
                self._held = _Directory(self._root)
                return self._held
        try:
            if _identity(os.stat(self._root)) == held.identity:
                return held
            cause = "another directory is there than the one in use"
        except (FileNotFoundError, NotADirectoryError):
            cause = "the directory in use is there no more"
        raise Withheld(
            f"cannot use {self._root}: {cause}",
            hint="move it back, or mount its file system again: work goes on by itself; to use what is there now, restart",
        )

    # Writing

    def _place(self, home: _Directory, directory: _Directory, name: str, body: Bytes, replace: bool) -> bool:
        temporary = _temporary(home, body)
        try:
            if replace:
                os.rename(temporary, name, src_dir_fd=home.file, dst_dir_fd=directory.file)
                return True
            os.link(temporary, name, src_dir_fd=home.file, dst_dir_fd=directory.file)
            return True
        except FileExistsError:
            return False
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=home.file)

    def _settle(self, directory: _Directory) -> None:
        """Make the names in ``directory`` durable. After a failure ``read`` tries again before it shows an object there."""
        try:
            directory.sync()
        except OSError:
            self._unsettled.add(directory.path)
            raise
        self._unsettled.discard(directory.path)

    def _directory(self, home: _Directory, folder: str) -> _Directory:
        """Return ``folder`` as an open directory, made where it is missing, with its name and those of its parents durable."""
        if not self._prepared:
            self._prepare(home)
        known = self._directories.get(folder)
        if known is not None:
            return known
        _make_directories(folder, home)
        directory = _Directory(folder, home)
        while folder:
            folder = folder.rpartition("/")[0]
            _Directory(folder, home).sync()
        while len(self._directories) >= OPEN_DIRECTORIES:
            with suppress(KeyError, StopIteration):  # another thread may do the same meanwhile
                self._directories.pop(next(iter(self._directories)))
        return self._directories.setdefault(directory.path, directory)

    def _prepare(self, home: _Directory) -> None:
        """Make the directory of temporary files, and make the names of the root and its parents durable."""
        _make_directories(TEMPORARIES, home)
        parent = self._root
        while parent != "/":
            parent = os.path.dirname(parent)
            try:
                _Directory(parent).sync()
            except OSError as error:
                if error.errno not in _NOT_OURS:
                    raise
        temporaries = _Directory(TEMPORARIES, home)
        with os.scandir(temporaries.file) as found:
            for entry in found:
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < time.time() - STALE:
                        os.unlink(entry.name, dir_fd=temporaries.file)
        self._prepared = True

    def _forget(self, folder: str) -> None:
        """Look at everything again, because a directory that was relied upon has disappeared."""
        self._directories.pop(folder, None)
        self._unsettled.discard(folder)
        self._prepared = False

    # Listing and deleting

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[Entry]:
        base = f"{folder}/" if folder else ""
        for name, entry in _names(f"{self._root}/{base}"):
            key = base + name
            if name.endswith("/"):
                may_match = key.startswith(prefix) or prefix.startswith(key)
                if may_match and (key > after or after.startswith(key)):
                    yield from self._walk(key[:-1], prefix, after)
            elif key > after and key.startswith(prefix):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield Entry(key, status.st_size, status.st_mtime)

    def _prune(self, home: _Directory, folder: str) -> None:
        """Remove ``folder`` and then its parents, up to the first that is not empty or that this process writes to."""
        while folder and folder not in self._directories:
            try:
                os.rmdir(folder, dir_fd=home.file)
            except OSError:
                return
            folder = folder.rpartition("/")[0]


class _Directory:
    """An open directory, closed with its last reference, because another thread may be linking into it.

    ``path`` is relative to the open directory ``home``, or, without one, absolute. While a directory is open, it cannot be
    confused with a later one of the same path: linking into a removed directory fails.
    """

    def __init__(self, path: str, home: _Directory | None = None) -> None:
        self.path = path
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self.file: int = os.open(path or ".", flags, dir_fd=home.file if home else None)
        self.identity = _identity(os.fstat(self.file))

    def sync(self) -> None:
        """Make the names in the directory durable."""
        os.fsync(self.file)

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


def _names(path: str) -> list[tuple[str, os.DirEntry[str]]]:
    """Return the entries of a directory by their part of a key, in the order of whole keys. Directories end with ``/``.

    ``a-b`` comes before ``a/``, and that before ``a0``: the order of whole keys is not the order of names.
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
    """Open a file; yield its descriptor, and the range ``[start, end)`` as offsets. Raises ``NotFound``."""
    try:
        file = os.open(
            path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        )  # without waiting for a writer where there is a named pipe
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


def _temporary(home: _Directory, body: Bytes) -> str:
    """Write ``body`` durably to a new temporary file and return its path below ``home``."""
    path = f"{TEMPORARIES}/{os.urandom(16).hex()}"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE, dir_fd=home.file)
    try:
        rest = memoryview(body).cast("B")
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except BaseException:
        with suppress(OSError):
            os.unlink(path, dir_fd=home.file)
        raise
    finally:
        os.close(file)
    return path


def _make_directories(folder: str, home: _Directory | None = None) -> None:
    """Make ``folder``, and its parents that are missing: below the open directory ``home``, or at an absolute path."""
    at = home.file if home else None
    if home is not None and not folder:
        return
    try:
        os.mkdir(folder, DIRECTORY_MODE, dir_fd=at)
    except FileNotFoundError:
        above = os.path.dirname(folder)
        if not above:
            raise  # the root itself is removed
        _make_directories(above, home)
        with suppress(FileExistsError):
            os.mkdir(folder, DIRECTORY_MODE, dir_fd=at)
    except OSError:
        if not _is_directory(folder, at):
            raise


def _is_directory(path: str, at: int | None) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path, dir_fd=at).st_mode)
    except OSError:
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    """Return what tells a directory from every other one on this machine."""
    return status.st_dev, status.st_ino


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
def _medium(path: str) -> Iterator[None]:
    """Raise ``MediumError`` for what the disk cannot read of a file."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        raise MediumError(f"cannot get {path}", f"{os.strerror(error.errno).lower()}", hint=_SAVE) from error


@contextmanager
def _trouble(verb: str, path: str) -> Iterator[None]:
    """Turn an ``OSError`` into an error that ``Store`` may raise."""
    try:
        yield
    except OSError as error:
        cause = os.strerror(error.errno).lower() if error.errno else str(error)
        kind: type[StoreError] = Unavailable
        if error.errno in _HINTS:
            kind = Withheld if error.errno in _SPACE else Refused
        raise kind(f"cannot {verb} {path}: {cause}", hint=_HINTS.get(error.errno or 0, "")) from error
