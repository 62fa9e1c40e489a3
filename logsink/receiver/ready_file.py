"""The file that tells another program that a receiver listens, and where (``--ready-file``)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from logsink.errors import ConfigError
from logsink.platform.processes import birth


def prove_ready_file(path: Path) -> None:
    """Make sure that ``write_ready_file`` can write to ``path``, which stays as it is. ``ConfigError`` if it cannot."""
    if path.is_dir():
        raise _cannot_write(path, "it is a directory")
    try:
        _draft(path).touch()
        _draft(path).unlink()
    except OSError as error:
        raise _cannot_write(path, error.strerror) from error


def write_ready_file(path: Path, addresses: Mapping[str, Sequence[str]], http: str | None) -> None:
    """Write process id, ``addresses`` by kind and the address of HTTP to ``path`` as a JSON object; the file appears whole.

    ``birth`` in it tells the process from a later one with the same id. ``ConfigError``: the file cannot be written.
    """
    ready = {"pid": os.getpid(), "birth": birth(os.getpid())} | dict(addresses) | {"http": http}
    draft = _draft(path)
    try:
        draft.write_text(json.dumps(ready) + "\n", encoding="utf8")
        draft.replace(path)
    except OSError as error:
        raise _cannot_write(path, error.strerror) from error


def remove_ready_file(path: Path) -> None:
    """Remove the file if this process has written it, and not a later one."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        if json.loads(path.read_text(encoding="utf8"))["pid"] == os.getpid():
            path.unlink()


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _cannot_write(path: Path, cause: str | None) -> ConfigError:
    return ConfigError(
        f"cannot write --ready-file {path}: {cause}", hint="name a file in a directory that exists and is writable"
    )
