"""What ``logsink doctor`` finds about a store, each fault planted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from logsink.archive import DeltaLog, settle
from logsink.cli.doctor.finding import Finding
from logsink.cli.doctor.stores import PROGRAMS, policy, store_findings
from logsink.cli.main import main
from logsink.place import Bucket
from logsink.store.base import Bytes
from logsink.store.memory import MemoryStore
from tests.support.faulty import Call, Fail, Fate, FaultyStore, Pass, Withhold


class Careless(MemoryStore):
    """A store that lets every conditional put succeed."""

    async def put_absent(self, key: str, body: Bytes) -> bool:
        await self.put(key, body)
        return True


async def found(store: FaultyStore | MemoryStore, program: str = "receiver", ahead: float = 0.0) -> list[Finding]:
    return [one async for one in store_findings(store, program, "THE POLICY", lambda: time.time() + ahead)]


async def made() -> MemoryStore:
    store = MemoryStore()
    await settle(DeltaLog(store), create=True)
    return store


def bad(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(one.check, one.subject) for one in findings if one.bad}


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_store_as_it_should_be(program: str) -> None:
    store = await made()
    before = [entry.key async for entry in store.list()]
    findings = await found(store, program)
    assert bad(findings) == set()
    assert {one.state for one in findings} == {"ok"}
    assert [entry.key async for entry in store.list()] == before
    assert ("conditional put" in {one.check for one in findings}) == (program != "reader")


async def test_a_reader_writes_nothing() -> None:
    store = FaultyStore(await made())
    await found(store, "reader")
    assert {call.verb for call in store.calls} <= {"list", "get", "now", "exists"}


@pytest.mark.parametrize(
    ("program", "verb", "right"),
    [
        ("receiver", "exists", "s3:ListBucket"),
        ("receiver", "put", "s3:PutObject"),
        ("receiver", "get", "s3:GetObject"),
        ("maintainer", "delete", "s3:DeleteObject"),
        ("reader", "exists", "s3:ListBucket"),
        ("reader", "get", "s3:GetObject"),
    ],
)
async def test_a_right_that_is_missing_is_named_with_the_policy(program: str, verb: str, right: str) -> None:
    def denied(call: Call) -> Fate:
        return Withhold() if call.verb == verb else Pass()

    findings = [one for one in await found(FaultyStore(await made(), denied), program) if one.check == "rights"]
    assert bad(findings) == {("rights", f"{right} ({program})")}
    assert findings[0].remedy.endswith(f"the least policy for a {program}: THE POLICY")


def test_the_policies() -> None:
    place = Bucket("my-logs", "prod/")
    assert "s3:PutObject" in policy(place, "receiver")
    assert policy(place, "maintainer") == policy(place, "receiver")
    reader = policy(place, "reader")
    assert "s3:GetObject" in reader
    assert "s3:PutObject" not in reader
    assert "s3:DeleteObject" not in reader


async def test_a_server_that_does_not_answer() -> None:
    findings = await found(FaultyStore(await made(), lambda call: Fail()))
    assert [(one.check, one.state) for one in findings] == [("store", "failed")]
    assert "can be reached" in findings[0].remedy


async def test_a_store_that_honours_no_conditional_puts() -> None:
    findings = await found(Careless())
    assert [one.check for one in findings if one.bad] == ["conditional put"]


@pytest.mark.parametrize(("ahead", "says"), [(3600.0, "ahead of"), (-3600.0, "behind")])
async def test_a_clock_that_is_wrong(ahead: float, says: str) -> None:
    findings = await found(await made(), ahead=ahead)
    (wrong,) = [one for one in findings if one.bad]
    assert wrong.check == "clock"
    assert says in wrong.detail
    assert "chronyc" in wrong.remedy


async def test_a_clock_that_cannot_be_read() -> None:
    def mute(call: Call) -> Fate:
        return Fail() if call.verb == "now" else Pass()

    assert "clock" in {check for check, _ in bad(await found(FaultyStore(await made(), mute)))}


async def test_no_store_yet_is_a_warning_and_a_damaged_one_a_failure() -> None:
    empty = [one for one in await found(MemoryStore()) if one.check == "store"]
    assert [one.state for one in empty] == ["warning"]
    store = await made()
    await store.put("store.json", b"{}")
    (damaged,) = [one for one in await found(store) if one.bad]
    assert damaged.check == "store"
    assert "logsink repair" in damaged.remedy


async def test_a_damaged_table() -> None:
    store = await made()
    await store.put("logs/_delta_log/00000000000000000000.json", b"nothing")
    findings = await found(store)
    (damaged,) = [one for one in findings if one.bad]
    assert damaged.check == "store"


def test_the_command_tries_the_rights_that_were_asked_for(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--store", str(tmp_path), "--as", "reader"])
    assert "all of a reader" in result.stdout
    assert "listener" not in result.stdout
