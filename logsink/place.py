"""Places of stores: read the URL or path of a store without opening it, so that a configuration can be checked.

``s3://bucket/prefix`` and ``file:///directory`` are URLs of stores. Everything else is the path of a directory, unless it looks
like a URL: then it is refused, with the spelling that was probably meant, because a typing error would otherwise keep the logs
of a whole site on the local disk. A directory whose name looks like a URL is written with ``./``.

A URL with credentials (``https://user:password@host/bucket?key=...``) is refused, and never shown: neither in an error nor by
``config show``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from logsink.errors import ConfigError

_HINT = "write file:///directory, a path, or s3://bucket/prefix"
_CREDENTIALS = (
    "give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or another source of the AWS chain, and the server by "
    "AWS_ENDPOINT_URL"
)
_BUCKET = re.compile(r"(?!.*\.\.)(?!\d+\.\d+\.\d+\.\d+$)[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
"""Matches every name that a server may have let a bucket have. New buckets of AWS have 3 to 63 lower case letters, digits,
dots and hyphens; those of us-east-1 before March 2018 and those of other servers (Ceph) may have capitals, ``_``, and 255
characters. The server refuses what it does not know."""

_BUCKET_RULE = (
    "is no bucket's name: 3 to 255 letters, digits and . _ -, beginning and ending with a letter or digit, without two dots "
    "together, and no IPv4 address"
)
_FOLDERS = re.compile(r"(?:(?!\.)[A-Za-z0-9._=-]+(?:/(?!\.)[A-Za-z0-9._=-]+)*)?")
_LONGEST_PREFIX = 200

_LOOKS_LIKE_A_URL = re.compile(
    r"//|[^/]*:|[A-Za-z][A-Za-z0-9+.-]*//|[^/:]+\.(?:amazonaws|googleapis|cloudflarestorage)\.com(?:/|$)"
)
"""Matches the beginning of ``//x``, ``word:x``, ``word//x``, and the host of a well-known provider."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(?::[/\\]*|//+)")
_PORT = re.compile(r"[^:]*|(?:[^:\[\]]*|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
"""Matches the part of a URL that names a server, when it has no user and no password."""

_ARN = re.compile(r"arn:[a-z-]+:s3:::(.+)")
_AMAZON = re.compile(r"(?:(.+)\.)?s3(?:[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?:\.cn)?")
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}")
_ENDPOINTS = {"gs": "https://storage.googleapis.com", "gcs": "https://storage.googleapis.com"}
_OTHERS = frozenset(
    {"minio", "r2", "b2", "oss", "cos", "obs", "ceph", "rgw", "swift", "wasabi", "spaces", "do", "garage"}
)
"""Schemes of other providers and servers that have an S3 interface."""

_IN_TEXT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:/{0,3})([^\s'\"]*@)?([^\s'\"?]*)(\?[^\s'\"]*)?")


class Directory(NamedTuple):
    """A directory of this machine; the path is absolute."""

    path: Path

    @property
    def url(self) -> str:
        return f"file://{quote(str(self.path))}"


class Bucket(NamedTuple):
    """A place in an S3 bucket: ``prefix`` is '' or ends with ``/``."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse(url: str) -> Directory | Bucket:
    """Return the place that ``url`` names.

    ``url`` is ``s3://bucket`` with or without a prefix, ``file:///dir`` (RFC 8089, percent-encoding included;
    ``file://localhost/dir`` is the same), or a path, which may be relative to the working directory. Raises ``ConfigError`` for
    anything else; its message shows ``url`` unless that may hold credentials.
    """
    bare = url.strip().strip("\"'").strip()
    if not bare:
        raise _cannot_use(url, "it is empty", _HINT)
    if bare != url:
        _refuse_secrets(bare)
        raise _cannot_use(url, "it begins or ends with a space or a quote", f"write {bare}")
    if url.startswith("s3://"):
        _refuse_secrets(url)
        return _bucket(url)
    if url.startswith("file://"):
        return _file(url)
    if _LOOKS_LIKE_A_URL.match(url):
        _refuse_secrets(url)
        raise _cannot_use(url, "it looks like a URL, and is none that logsink knows", _meant(url))
    if url.startswith(("~", "$")):
        raise _cannot_use(url, f"nothing replaces the {url[0]} here", "write the whole path")
    return Directory(_absolute(url, url))


def redacted(text: str) -> str:
    """Return ``text`` with possible credentials in its URLs replaced, to be shown in a message."""

    def without(found: re.Match[str]) -> str:
        scheme, user, rest, query = found.groups()
        return f"{scheme}{'***@' if user else ''}{rest}{'?***' if query and '/' in scheme else query or ''}"

    return _ACCESS_KEY.sub("***", _IN_TEXT.sub(without, text))


def has_credentials(url: str) -> bool:
    """Return whether ``url`` has a user, a password or parameters, so that it must not be shown."""
    _, _, rest = url.partition("://")
    return "@" in rest or "?" in rest


def _bucket(url: str) -> Bucket:
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/")
    if not bucket or not _BUCKET.fullmatch(bucket):
        cause = f"{bucket!r} {_BUCKET_RULE}" if bucket else "it names no bucket"
        raise _cannot_use(url, cause, _meant(url) if not bucket or ":" in bucket else _HINT)
    if not _FOLDERS.fullmatch(prefix) or len(prefix) > _LONGEST_PREFIX:
        cause = f"prefix {prefix!r} is not folders of letters, digits and ._=- (at most {_LONGEST_PREFIX} characters)"
        raise _cannot_use(url, cause, _HINT)
    return Bucket(bucket, f"{prefix}/" if prefix else "")


def _file(url: str) -> Directory:
    host, slash, path = url.removeprefix("file://").partition("/")
    if host not in ("", "localhost") or not slash:
        _refuse_secrets(url)
        raise _cannot_use(url, "a file URL has three slashes", _meant(url) if host else _HINT)
    if "?" in path or "#" in path:
        raise _not_shown("a file URL has no parameters", "write ? as %3F and # as %23")
    return Directory(_absolute(url, f"/{unquote(path)}"))


def _absolute(url: str, path: str) -> Path:
    if not path or "\0" in path:
        raise _cannot_use(url, "it names no directory", _HINT)
    return Path(re.sub("^/+", "/", os.path.abspath(path)))


def _refuse_secrets(url: str) -> None:
    """Raise ``ConfigError`` when ``url``, which looks like a URL, may hold a user, a password, a key or a token."""
    text = unquote(url)
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text.lstrip("/")
    server = rest.partition("/")[0]
    if any(c in text for c in "@?#;") or _ACCESS_KEY.search(text) or not (_ARN.match(text) or _PORT.fullmatch(server)):
        clean = rest.rpartition("@")[2]
        bucket, _, prefix = clean.partition("/")
        meant = scheme is not None and scheme[1].lower() in ("s3", "s3a", "s3n") and not any(c in text for c in "?#;")
        known = meant and "@" in rest and _BUCKET.fullmatch(bucket) and _FOLDERS.fullmatch(prefix.rstrip("/"))
        hint = f"write s3://{clean}; {_CREDENTIALS}" if known else f"{_HINT}; {_CREDENTIALS}"
        raise _not_shown("it has a user, a password or parameters in it", hint)


def _meant(url: str) -> str:
    """Return the hint what to write in place of ``url``, which holds no credentials."""
    if arn := _ARN.fullmatch(url):
        return f"write s3://{arn[1]}"
    found = _SCHEME.match(url)
    scheme, rest = (found[1].lower(), url[found.end() :]) if found else ("", url.lstrip("/"))
    server, _, path = rest.partition("/")
    if scheme in ("s3", "s3a", "s3n"):
        if re.fullmatch(r".+:\d+", server):
            return f"write s3://{path or 'bucket/prefix'}, and AWS_ENDPOINT_URL=http://{server}"
        return f"write s3://{rest or 'bucket/prefix'}" + _or_directory(url)
    if scheme == "file":
        return f"write file:///{rest or 'directory'}"
    if amazon := _AMAZON.fullmatch(server):
        bucket, region = amazon.groups()
        place = "/".join(filter(None, (bucket, path))) or "bucket/prefix"
        return f"write s3://{place}" + (f", and AWS_REGION={region}" if region else "")
    if scheme in ("http", "https") or (scheme in _OTHERS and ":" in server):
        protocol = "https" if scheme == "https" else "http"
        return f"write s3://{path or 'bucket/prefix'}, and AWS_ENDPOINT_URL={protocol}://{server}"
    if scheme in _ENDPOINTS:
        return f"write s3://{rest or 'bucket/prefix'}, and AWS_ENDPOINT_URL={_ENDPOINTS[scheme]}"
    if scheme in _OTHERS:
        return f"write s3://{rest or 'bucket/prefix'}, and AWS_ENDPOINT_URL, the URL of its S3 interface"
    if not scheme and url.startswith("//"):
        return f"write s3://{rest} or /{rest}"
    return _HINT + _or_directory(url)


def _or_directory(url: str) -> str:
    return "" if "://" in url or url.startswith("/") else f"; ./{url} is a directory of that name"


def _cannot_use(url: str, cause: str, hint: str) -> ConfigError:
    return ConfigError(f"cannot use {url!r} as a store: {cause}", hint=hint)


def _not_shown(cause: str, hint: str) -> ConfigError:
    return ConfigError(f"cannot use this URL, which is not shown, as a store: {cause}", hint=hint)
