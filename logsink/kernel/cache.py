"""Files in which the machine code of one kernel is kept: which directories, which names, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import NamedTuple

from logsink.platform.caches import user_caches

_FORMAT = 3
"""Changes with the layout of the files; those of another one are not read."""


class Files(NamedTuple):
    """The files of one kernel. A file holds the SHA-256 of its content in hexadecimal, LF, and the content.

    directories    where they may be, the preferred one first
    name           what their names begin with: one for each source of the kernel
    """

    directories: tuple[str, ...]
    name: str

    def read(self, kind: str) -> Iterator[bytes]:
        """Yield the content of each whole file of this kind, the preferred directory first."""
        for directory in self.directories:
            with contextlib.suppress(OSError), open(self._path(directory, kind), "rb") as file:
                digest, _, content = file.read().partition(b"\n")
                if digest == _digest(content):
                    yield content

    def write(self, kind: str, content: bytes) -> bool:
        """Replace the file of this kind in the first directory that can be written; return whether there is one."""
        for directory in self.directories:
            path = self._path(directory, kind)
            draft = f"{path}.{os.getpid()}.{threading.get_ident()}"
            with contextlib.suppress(OSError):
                os.makedirs(directory, exist_ok=True)
                with open(draft, "wb") as file:
                    file.write(_digest(content) + b"\n" + content)
                os.replace(draft, path)
                return True
        return False

    def _path(self, directory: str, kind: str) -> str:
        return os.path.join(directory, f"{self.name}.{kind}")


def files(source: str, name: str) -> Files:
    """Return the files of the kernel ``name`` in the module at ``source``: beside the module, or in the user's cache."""
    beside = os.path.join(os.path.dirname(source), "__pycache__")
    directories = (beside, *(os.path.join(cache, "logsink", "kernels") for cache in user_caches()))
    usable = tuple(filter(os.path.isabs, directories))  # relative: there is no source file
    return Files(usable, f"{name}.{sys.implementation.cache_tag}-{_FORMAT}")


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
