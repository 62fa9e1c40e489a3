"""What a store's URL may be, and which store opens it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from logsink.errors import ConfigError
from logsink.store import open_store
from logsink.store.local import LocalStore
from logsink.store.retry import Retrying
from logsink.store.s3 import S3Store
from logsink.store.url import Bucket, Directory, parse


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///srv/logs", "/srv/logs"),
        ("FILE:///srv/logs/", "/srv/logs"),
        ("file://localhost/srv/logs", "/srv/logs"),
        ("file:///srv/two%20words", "/srv/two words"),
        ("file:///srv/../var/logs", "/var/logs"),
        ("/srv/logs", "/srv/logs"),
        ("/srv/100%", "/srv/100%"),
    ],
)
def test_directories(url: str, path: str) -> None:
    place = parse(url)
    assert place == Directory(Path(path))
    assert parse(place.url) == place


def test_a_relative_path_is_of_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse("logs") == Directory(tmp_path / "logs")
    assert parse("./a/../logs") == Directory(tmp_path / "logs")


@pytest.mark.parametrize(
    ("url", "place", "again"),
    [
        ("s3://logs", Bucket("logs", ""), "s3://logs"),
        ("s3://logs/", Bucket("logs", ""), "s3://logs"),
        ("s3://my.logs-1/a/b=c", Bucket("my.logs-1", "a/b=c/"), "s3://my.logs-1/a/b=c"),
        ("S3://logs/a//", Bucket("logs", "a/"), "s3://logs/a"),
    ],
)
def test_buckets(url: str, place: Bucket, again: str) -> None:
    assert parse(url) == place
    assert place.url == again


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file://",
        "file://srv/logs",
        "file://host/srv",
        "file:///a%00b",
        "s3://",
        "s3:///logs",
        "s3://x",
        "s3://lo gs/a",
        "s3://key:secret@logs/a",
        "s3://logs/a//b",
        "s3://logs/../b",
        "s3://logs/a?region=x",
        f"s3://logs/{'x' * 201}",
        "gs://logs/a",
        "http://127.0.0.1:9000/logs",
    ],
)
def test_other_urls_are_refused_with_a_hint(url: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot use '.*' as a store: ") as caught:
        open_store(url)
    assert repr(url) in str(caught.value)
    assert "s3://bucket/prefix" in caught.value.hint


async def test_opening_touches_nothing(tmp_path: Path) -> None:
    async with open_store(str(tmp_path / "logs")) as local, open_store("s3://no-such-bucket/a") as remote:
        assert isinstance(local, LocalStore)
        assert local.url == f"file://{tmp_path}/logs"
        assert isinstance(remote, Retrying)
        assert isinstance(remote.inner, S3Store)
        assert remote.url == "s3://no-such-bucket/a"
    assert list(tmp_path.iterdir()) == []


def test_a_local_store_does_not_import_the_s3_client() -> None:
    program = "import sys, logsink.store as s; s.open_store('/tmp'); print({'botocore', 'aiohttp'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
