"""The directory of an authority: its certificate and key, and a directory for each host that can be copied there whole.

::

    tls/ca.crt  tls/ca.key
    tls/server/logs.example.com/   ca.crt  server.crt  server.key       -> /etc/logsink/tls
    tls/client/web-1.example.com/  ca.crt  client.crt  client.key       -> /etc/rsyslog-tls

Keys can be read by their owner only (0600), and so can directories with keys (0700). Every file appears whole: a draft
is renamed. A key is replaced before its certificate, and a receiver takes both once they belong together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from logsink.cli.drafts import write_whole
from logsink.cli.tls.certificates import Certificate, Pair, describe
from logsink.errors import ArgumentError, FormatError, LogsinkError

KINDS = ("server", "client")
PLACES = {"server": "/etc/logsink/tls", "client": "/etc/rsyslog-tls"}
"""Directories that the documentation and ``logsink client-config`` name: where the files of each kind go."""

_ANY = "_"
"""Stands for ``*`` in the name of a directory: a shell would take that for a pattern. No DNS name has it."""


class Folder:
    """The files of one authority below ``root``. Everything here raises ``LogsinkError`` for files that cannot be used."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.certificate, self.key = root / "ca.crt", root / "ca.key"

    def exists(self) -> bool:
        """Return whether there is an authority, or a part of one."""
        return self.certificate.exists() or self.key.exists()

    def authority(self) -> Pair:
        """Return the authority."""
        if not self.exists():
            raise ArgumentError(
                f"cannot find an authority in {self.root}: there is no ca.crt", hint="make one: logsink tls init"
            )
        for path, other in ((self.certificate, self.key), (self.key, self.certificate)):
            if not path.exists():
                raise ArgumentError(
                    f"cannot use the authority in {self.root}: there is {other.name} and no {path.name}",
                    hint=f"copy {path.name} back, or remove {other} and make a new authority: logsink tls init",
                )
        return Pair(read(self.certificate), read(self.key))

    def keep_authority(self, pair: Pair) -> None:
        """Write the authority, and its certificate into the directories of what it has issued."""
        _directory(self.root)
        _write(self.key, pair.key, 0o600)
        _write(self.certificate, pair.certificate, 0o644)
        for issued in self.issued():
            _write(issued / "ca.crt", pair.certificate, 0o644)

    def home(self, kind: str, name: str) -> Path:
        """Return the directory for the certificate of ``kind`` whose common name is ``name``."""
        return self.root / kind / name.replace("*", _ANY)

    def keep(self, kind: str, name: str, pair: Pair, authority: bytes) -> Path:
        """Write an issued certificate with its key and the certificate of its authority. Returns its directory."""
        home = self.home(kind, name)
        for directory in (self.root / kind, home):
            _directory(directory)
        _write(home / "ca.crt", authority, 0o644)
        _write(home / f"{kind}.key", pair.key, 0o600)
        _write(home / f"{kind}.crt", pair.certificate, 0o644)
        return home

    def issued(self) -> Iterator[Path]:
        """Yield the directories of issued certificates, servers first."""
        for kind in KINDS:
            yield from sorted(path.parent for path in (self.root / kind).glob(f"*/{kind}.crt"))


def read(path: Path) -> bytes:
    """Return the contents of a file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise LogsinkError(f"cannot read {path}: {error.strerror}") from error


def described(path: Path) -> Certificate:
    """Return what the first certificate of a file says. ``FormatError`` names the file, if there is none."""
    try:
        return describe(read(path))
    except FormatError as error:
        kind, name = path.parent.parent.name, path.parent.name.replace(_ANY, "*")
        again = f"issue it again with all its names: logsink tls issue {kind} {name!r} OTHER-NAME..."
        hint = "take it from a backup" if path.name == "ca.crt" else f"take it from a backup, or remove it and {again}"
        raise FormatError(f"cannot use {path}", error.why, hint=hint) from error


def _directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LogsinkError(f"cannot make directory {path}: {error.strerror}") from error


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        write_whole(path, data, mode)
    except OSError as error:
        raise LogsinkError(f"cannot write {path}: {error.strerror}") from error
