"""What a store's URL says. Nothing is opened, touched or imported to find out, so that a configuration can be checked."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from logsink.errors import ConfigError

_HINT = "write file:///directory, a path, or s3://bucket/prefix"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_FOLDERS = re.compile(r"(?:(?!\.)[A-Za-z0-9._=-]+(?:/(?!\.)[A-Za-z0-9._=-]+)*)?")
_LONGEST_PREFIX = 200


class Directory(NamedTuple):
    """A directory of this machine; the path is absolute."""

    path: Path

    @property
    def url(self) -> str:
        return f"file://{quote(str(self.path))}"


class Bucket(NamedTuple):
    """A place in an S3 bucket: ``prefix`` is '' or ends at a ``/``."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse(url: str) -> Directory | Bucket:
    """Where ``url`` points.

    ``file:///dir`` (percent-encoding is understood, as RFC 8089 has it; ``file://localhost/dir`` is the same), a path without
    ``://`` (relative ones from the working directory), or ``s3://bucket`` with or without a prefix. ``ConfigError`` otherwise.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Directory(_absolute(url, url))
    match scheme.lower():
        case "file":
            host, slash, path = rest.partition("/")
            if host not in ("", "localhost") or not slash:
                raise ConfigError(f"cannot use {url!r} as a store: a file URL has three slashes", hint=_HINT)
            return Directory(_absolute(url, f"/{unquote(path)}"))
        case "s3":
            return _bucket(url, rest)
        case _:
            raise ConfigError(f"cannot use {url!r} as a store: unknown scheme {scheme!r}", hint=_HINT)


def _absolute(url: str, path: str) -> Path:
    if not path or "\0" in path:
        raise ConfigError(f"cannot use {url!r} as a store: no directory in it", hint=_HINT)
    return Path(os.path.abspath(path))


def _bucket(url: str, rest: str) -> Bucket:
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.rstrip("/")
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(f"cannot use {url!r} as a store: {bucket!r} is no bucket's name", hint=_HINT)
    if not _FOLDERS.fullmatch(prefix) or len(prefix) > _LONGEST_PREFIX:
        cause = f"prefix {prefix!r} is not folders of letters, digits and ._=- (at most {_LONGEST_PREFIX} characters)"
        raise ConfigError(f"cannot use {url!r} as a store: {cause}", hint=_HINT)
    return Bucket(bucket, f"{prefix}/" if prefix else "")
