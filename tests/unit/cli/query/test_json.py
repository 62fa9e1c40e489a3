"""``logsink query`` over messages in JSON and logfmt, as its users meet it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from logsink.cli.main import main
from logsink.store import open_store
from tests.unit.query.archives import archive, row

MESSAGES = [
    '{"status":500,"user":{"name":"ada"},"path":"/api"}',
    '{"status":200,"user":{"name":"bob"},"path":"/"}',
    'done {"status":503,"path":"/api"}',
    'status=404 path="/a b"',
    "no members",
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = f"file://{tmp_path_factory.mktemp('archive')}/store"

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [[row(n * 1_000_000, message=text) for n, text in enumerate(MESSAGES)]])

    asyncio.run(build())
    return place


def query(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["query", "--store", url, "-q", "--utc", *arguments])


def test_conditions(url: str) -> None:
    assert query(url, "--json", "status>=500", "-o", "cat").stdout.splitlines() == [MESSAGES[0], MESSAGES[2]]
    assert query(url, "--json", "status>=500", "--json", "user.name=ada", "--count").stdout == "1\n"
    assert query(url, "--json", "path=/a b", "-o", "cat").stdout.splitlines() == [MESSAGES[3]]
    nothing = query(url, "--json", "status>=600")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    wrong = query(url, "--json", ">3")
    assert wrong.exit_code == 2
    assert "'>3'" in wrong.stderr


def test_sums(url: str) -> None:
    assert query(url, "--stats", "by=.status,.user.name", "-o", "csv").stdout.splitlines() == [
        '".status",".user.name","count"',
        '"200","bob",1',
        '"404",,1',
        '"500","ada",1',
        '"503",,1',
        ",,1",
    ]
    assert query(url, "--top", ".path", "-n", "1").stdout == "count  .path\n    2  /api\n"
    assert query(url, "--values", ".status").stdout == "200\n404\n500\n503\n"
    hist = query(url, "--hist", "1m", "--by", ".path", "--json", "status", "-o", "json").stdout
    assert '".path":"/api","count":2' in hist


def test_fields(url: str) -> None:
    one = query(url, "--json", "user.name=ada", "-o", "json", "--fields", ".status,host,.user")
    assert one.stdout == '{".status":500,".user":{"name":"ada"}}\n'
    assert query(url, "-o", "csv", "--fields", ".status,.path", "-n", "2").stdout == '.status,.path\n"404","/a b"\n,\n'
    assert query(url, "--fields", ".a..b", "-o", "json").exit_code == 2
    verbose = query(url, "--json", "status=503", "-o", "verbose", "--fields", "time,.status").stdout
    assert "    .status=503\n" in verbose


def test_members_drive_no_terminal(tmp_path: Path) -> None:
    place = f"file://{tmp_path}/store"

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [[row(0, message='{"a":{"b":"\u202ex\x7f"}}')]])

    asyncio.run(build())
    assert query(place, "-o", "json", "--fields", ".a").stdout == '{".a":{"b":"\\u202ex\\u007f"}}\n'


def test_members_as_parquet(url: str, tmp_path: Path) -> None:
    import io

    import pyarrow.parquet as pq

    found = query(url, "-o", "parquet", "--fields", "time,.status", "--json", "status")
    assert pq.read_table(io.BytesIO(found.stdout_bytes)).column(".status").to_pylist() == ["500", "200", "503", "404"]


def test_json_without_a_condition_is_the_format(url: str) -> None:
    assert query(url, "--json", "-n", "1").stdout.startswith('{"time":')
    assert query(url, "-n", "1", "--json").stdout.startswith('{"time":')
