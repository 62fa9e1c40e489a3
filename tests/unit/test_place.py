"""What a store's URL may be, and which store opens it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from click.testing import CliRunner

import logsink
from logsink.cli.main import main
from logsink.errors import ConfigError, Refused
from logsink.place import Bucket, Directory, parse, redacted
from logsink.store import open_store
from logsink.store.local import LocalStore
from logsink.store.retry import Retrying
from logsink.store.s3 import S3Store


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///srv/logs", "/srv/logs"),
        ("file:///srv/logs/", "/srv/logs"),
        ("file:////srv/logs", "/srv/logs"),
        ("file:///srv/a@b", "/srv/a@b"),
        ("/srv/a:b@c?d", "/srv/a:b@c?d"),
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
    for name in ("s3:bucket", "s3://bucket", "a@b:c", "~", " logs"):
        assert parse(f"./{name}") == Directory(Path(os.path.abspath(name)))


@pytest.mark.parametrize(
    ("url", "place", "again"),
    [
        ("s3://logs", Bucket("logs", ""), "s3://logs"),
        ("s3://logs/", Bucket("logs", ""), "s3://logs"),
        ("s3://my.logs-1/a/b=c", Bucket("my.logs-1", "a/b=c/"), "s3://my.logs-1/a/b=c"),
        ("s3://logs/a//", Bucket("logs", "a/"), "s3://logs/a"),
        ("s3://Old_Bucket/a", Bucket("Old_Bucket", "a/"), "s3://Old_Bucket/a"),
        (f"s3://{'b' * 255}", Bucket("b" * 255, ""), f"s3://{'b' * 255}"),
    ],
)
def test_buckets(url: str, place: Bucket, again: str) -> None:
    assert parse(url) == place
    assert place.url == again


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("s3:bucket", "s3://bucket;"),
        ("s3:/b", "s3://b;"),
        ("s3//b", "s3://b;"),
        ("S3://b", "s3://b"),
        ("S3:b/c", "s3://b/c;"),
        ("s3:///logs", "s3://logs"),
        ("s3a://logs/a", "s3://logs/a"),
        ("s3://", "s3://bucket/prefix"),
        ("s3:", "s3://bucket/prefix;"),
        ("s3://minio:9000/logs/a", "s3://logs/a, and AWS_ENDPOINT_URL=http://minio:9000"),
        ("minio://host:9000/logs", "s3://logs, and AWS_ENDPOINT_URL=http://host:9000"),
        ("minio:logs/a", "s3://logs/a, and AWS_ENDPOINT_URL"),
        ("https://minio:9000/logs/a", "s3://logs/a, and AWS_ENDPOINT_URL=https://minio:9000"),
        ("http://[::1]:9000/logs", "s3://logs, and AWS_ENDPOINT_URL=http://[::1]:9000"),
        ("https://logs.s3.eu-west-1.amazonaws.com/a", "s3://logs/a, and AWS_REGION=eu-west-1"),
        ("https://s3.amazonaws.com/logs/a", "s3://logs/a"),
        ("logs.s3.amazonaws.com/a", "s3://logs/a"),
        ("arn:aws:s3:::logs/a", "s3://logs/a"),
        ("gs://logs/a", "s3://logs/a, and AWS_ENDPOINT_URL=https://storage.googleapis.com"),
        ("az://logs/a", "s3://bucket/prefix"),
        ("file:/srv/logs", "file:///srv/logs"),
        ("file:srv", "file:///srv"),
        ("file//srv/logs", "file:///srv/logs"),
        ("FILE:///srv/logs", "file:///srv/logs"),
        ("file://srv/logs", "file:///srv/logs"),
        ("file://", "file:///directory"),
        ("//srv/logs", "/srv/logs"),
        ("C:\\logs", "./C:\\logs is a directory"),
        ("a:b", "./a:b is a directory"),
        ('"s3://logs"', "s3://logs"),
        (" /srv/logs", "/srv/logs"),
        ("~/logs", "the whole path"),
        ("$HOME/logs", "the whole path"),
    ],
)
def test_what_looks_like_a_url_is_refused_with_what_was_meant(url: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot use '.*' as a store: ") as caught:
        open_store(url)
    assert repr(url) in str(caught.value)
    assert meant in caught.value.hint


NO_NAMES = ["", "  ", "file:///a%00b", "s3://x", "s3://lo gs/a", "s3://1.2.3.4/a", "s3://lo..gs", "s3://-logs"]
NO_PREFIXES = ["s3://logs/a//b", "s3://logs/../b", f"s3://logs/{'x' * 201}"]


@pytest.mark.parametrize("name", ["x", "lo gs", "1.2.3.4", "lo..gs", "-logs", "b" * 256])
def test_the_rule_of_names_is_what_is_checked(name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"'{re.escape(name)}' is no bucket's name: 3 to 255 letters, digits and . _ -, "
    ):
        parse(f"s3://{name}")


@pytest.mark.parametrize("url", [*NO_NAMES, *NO_PREFIXES])
def test_names_that_cannot_be(url: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot use '.*' as a store: ") as caught:
        open_store(url)
    assert "s3://bucket/prefix" in caught.value.hint


SECRET = "hunter2"
HIDDEN = [
    f"s3://user:{SECRET}@logs/a",
    f"s3://user:ab/{SECRET}/c+d@logs/a",
    f"s3://{SECRET}@logs",
    f"s3://user:{SECRET}/logs",
    f"s3://user%3A{SECRET}%40logs/a",
    f"s3:user:{SECRET}@logs",
    f"s3//user:{SECRET}@logs",
    f"S3://user:{SECRET}@logs",
    f"//user:{SECRET}@logs",
    f"user:{SECRET}@logs",
    f" s3://user:{SECRET}@logs",
    f"https://user:{SECRET}@host:9000/logs",
    f"s3://logs/a?secret_access_key={SECRET}",
    f"s3://logs?x=a@b.c&token={SECRET}",
    f"s3://logs/a;token={SECRET}",
    f"https://host/logs?X-Amz-Signature={SECRET}",
    f"minio:user:{SECRET}",
    f"file://user:{SECRET}@host/a",
    f"file:///a?key={SECRET}",
    f"AKIAIOSFODNN7EXAMPLE:{SECRET}",
]


@pytest.mark.parametrize("url", HIDDEN)
def test_credentials_are_refused_and_never_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="not shown") as caught:
        parse(url)
    assert SECRET not in f"{caught.value} {caught.value.hint}"
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_what_was_meant_beside_the_credentials_is_said() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"s3://user:{SECRET}@logs/a")
    assert caught.value.hint.startswith("write s3://logs/a; give credentials by AWS_ACCESS_KEY_ID")


@pytest.mark.parametrize("url", HIDDEN)
@pytest.mark.parametrize("command", [["config", "show"], ["config", "check"], ["serve"], ["query", "x"], ["maintain"]])
def test_no_verb_shows_credentials(url: str, command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "logsink.toml"
    for text in (json.dumps(url), f"[{json.dumps(url)}]"):
        file.write_text(f"store = {text}\n")
        for arguments, environ in (
            ([*command, "-c", str(file)], {}),
            ([*command, "--store", url], {}),
            (command, {"LOGSINK_STORE": url}),
        ):
            ran = CliRunner().invoke(main, arguments, env={"HOME": str(tmp_path), **environ})
            assert ran.exit_code == 2
            assert ran.stderr.startswith("logsink: ")
            assert SECRET not in ran.output
    stray = CliRunner().invoke(main, ["maintain", f"s3://user:{SECRET}@logs"], env={"HOME": str(tmp_path)})
    assert stray.exit_code == 2
    assert SECRET not in stray.output


def test_the_library_refuses_at_once() -> None:
    with pytest.raises(ConfigError, match="not shown"):
        logsink.open(HIDDEN[0])


async def test_credentials_in_the_endpoint_are_refused_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{SECRET}@127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    async with open_store("s3://logs/a") as store:
        with pytest.raises(Refused, match="cannot use AWS_ENDPOINT_URL") as caught:
            await store.exists()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"cannot reach http://u:{SECRET}@host:9000/b: refused", "cannot reach http://***@host:9000/b: refused"),
        (f"GET https://host/b?X-Amz-Signature={SECRET} failed", "GET https://host/b?*** failed"),
        (f"argument ('s3:u:{SECRET}@b')", "argument ('s3:***@b')"),
        ("key AKIAIOSFODNN7EXAMPLE is unknown", "key *** is unknown"),
        ("--tcp: cannot listen on ':514' (did you mean b?)", "--tcp: cannot listen on ':514' (did you mean b?)"),
    ],
)
def test_messages_of_others_are_redacted(text: str, shown: str) -> None:
    assert redacted(text) == shown


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
