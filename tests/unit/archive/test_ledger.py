"""Ledgers: what they say, what they prove, and when a date is over."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from logsink.archive import digest
from logsink.archive.closing import AFTER, AT_LATEST, Evidence, close_dates, evidence, over
from logsink.archive.compaction import end_of_date
from logsink.archive.ledger import (
    Difference,
    Ledger,
    Signature,
    decode_ledger,
    differences,
    encode_ledger,
    key_of,
    make,
)
from logsink.archive.log import Add, Txn
from logsink.archive.proof import SHA256_TAG
from logsink.archive.signing import check_signature, signer
from logsink.archive.snapshot import DataFile, Snapshot, commit_key
from logsink.config import load
from logsink.errors import ConfigError, Damaged, FormatError, Refused
from logsink.journal.reader import StoredSegment
from logsink.journal.segment import SegmentName
from logsink.store.base import Store
from logsink.store.memory import MemoryStore
from tests.unit.archive.tables import data_file, fresh, log_of

DAY = datetime.date(2026, 11, 22)
END = end_of_date(DAY)
Hours = Mapping[str, tuple[int, int]]


def proved(name: str, hours: Hours, day: int = 22) -> DataFile:
    """A file of so many rows an hour, with these digests."""
    file = data_file(name, sum(rows for rows, _ in hours.values()), day)
    return file.tagged([(digest.TAG, digest.encode(hours)), (SHA256_TAG, f"{len(name):064x}")])


ONE = proved("one", {"2026-11-22T03": (2, 5), "2026-11-22T04": (1, 7)})
TWO = proved("two", {"2026-11-22T04": (3, (1 << 128) - 1)})
OLD = data_file("old", 4)


def ledger(*files: DataFile) -> Ledger:
    snapshot = Snapshot(version=7, files={file.path: file for file in files}, head="ab" * 32)
    return make(snapshot, DAY, store="id", by="logsink/x", written="2026-11-23T02:00:00+00:00", previous=None)


def test_what_a_ledger_says() -> None:
    made = ledger(ONE, TWO, OLD, proved("next", {"2026-11-23T00": (1, 1)}, 23))
    assert made.rows == 10
    assert made.unproved == 4
    assert made.hours == {"2026-11-22T03": (2, 5), "2026-11-22T04": (4, 6)}
    assert [one.path for one in made.objects] == sorted(file.path for file in (ONE, TWO, OLD))
    assert (made.version, made.commit) == (7, "ab" * 32)
    assert decode_ledger(encode_ledger(made)) == made


def test_a_merge_changes_no_sum() -> None:
    merged = proved(
        "merged",
        digest.total([{"2026-11-22T03": (2, 5), "2026-11-22T04": (1, 7)}, {"2026-11-22T04": (3, (1 << 128) - 1)}]),
    )
    assert differences(ledger(ONE, TWO), ledger(merged).hours) == []


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((ONE,), [Difference("2026-11-22T04", 4, 1)]),
        ((ONE, proved("two", {"2026-11-22T04": (3, 1)})), [Difference("2026-11-22T04", 4, 4)]),
        ((TWO,), [Difference("2026-11-22T03", 2, 0), Difference("2026-11-22T04", 4, 3)]),
        ((ONE, TWO, proved("x", {"2026-11-22T23": (1, 1)})), [Difference("2026-11-22T23", 0, 1)]),
    ],
)
def test_hours_that_do_not_add_up(found: tuple[DataFile, ...], expected: list[Difference]) -> None:
    assert differences(ledger(ONE, TWO), ledger(*found).hours) == expected


def test_what_a_difference_says() -> None:
    assert str(Difference("2026-11-22T04", 4, 1)) == "2026-11-22T04: 1 rows, where the ledger says 4"
    assert "not the same" in str(Difference("2026-11-22T04", 4, 4))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"format":1}', b'{"format":1,"chain":[1]}'])
def test_bytes_that_are_no_ledger(body: bytes) -> None:
    with pytest.raises(FormatError):
        decode_ledger(body)


def test_a_ledger_of_a_later_format() -> None:
    with pytest.raises(FormatError, match="format 2") as caught:
        decode_ledger(orjson.dumps(orjson.loads(encode_ledger(ledger(ONE))) | {"format": 2}))
    assert caught.value.hint == "upgrade logsink"


def private_key(path: Path, kind: str = "ed25519") -> Path:
    subprocess.run(["openssl", "genpkey", "-algorithm", kind, "-out", str(path)], check=True, capture_output=True)
    return path


def test_a_signature_proves_every_bit(tmp_path: Path) -> None:
    body = encode_ledger(ledger(ONE, TWO), signer(private_key(tmp_path / "key.pem")))
    signed = decode_ledger(body)
    assert check_signature(signed)
    assert not check_signature(signed._replace(rows=signed.rows + 1))
    assert not check_signature(signed._replace(hours={"2026-11-22T03": (2, 6)}))
    assert not check_signature(signed._replace(objects=signed.objects[:1]))
    other = decode_ledger(encode_ledger(ledger(ONE, TWO), signer(private_key(tmp_path / "other.pem"))))
    assert other.signature is not None
    assert signed.signature is not None
    assert not check_signature(signed._replace(signature=signed.signature._replace(key=other.signature.key)))
    with pytest.raises(FormatError):
        check_signature(signed._replace(signature=Signature("xy", "00")))


def test_the_setting_names_the_key_that_signs(tmp_path: Path) -> None:
    path = private_key(tmp_path / "key.pem")
    config = load(None, {"LOGSINK_STORE": "file:///nowhere", "LOGSINK_LEDGER__SIGN_KEY": str(path)}, {})
    sign = evidence(config.ledger, config.store).sign
    assert sign is not None
    assert sign(b"some bytes") == signer(path)(b"some bytes")


def test_a_directory_locks_no_ledgers() -> None:
    locked = {"LOGSINK_LEDGER__OBJECT_LOCK": "30d"}
    for store in ("file:///nowhere", "nowhere"):
        config = load(None, locked | {"LOGSINK_STORE": store}, {})
        with pytest.raises(
            ConfigError, match=r"cannot use ledger\.object_lock with file:///.*nowhere: a directory"
        ) as caught:
            evidence(config.ledger, config.store)
        assert "leave ledger.object_lock out" in caught.value.hint
    config = load(None, locked | {"LOGSINK_STORE": "s3://logs"}, {})
    assert evidence(config.ledger, config.store).object_lock == 30 * 86_400.0


def test_keys_that_cannot_sign(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no key")
    for path in (tmp_path / "none", tmp_path / "text", private_key(tmp_path / "x", "X25519")):
        with pytest.raises(ConfigError, match=r"ledger\.sign_key") as caught:
            signer(path)
        assert "openssl genpkey" in caught.value.hint


def test_signatures_need_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = parse_signed(tmp_path)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    for act in (lambda: signer(tmp_path / "key.pem"), lambda: check_signature(signed)):
        with pytest.raises(ConfigError, match="cryptography is not installed") as caught:
            act()
        assert caught.value.hint == "in a clone of logsink: pip install '.[sign]'"


def parse_signed(tmp_path: Path) -> Ledger:
    return decode_ledger(encode_ledger(ledger(ONE), signer(private_key(tmp_path / "key.pem"))))


def stored(modified: float, sequence: int = 9) -> StoredSegment:
    return StoredSegment(SegmentName("r", 0, sequence), 1, modified)


@pytest.mark.parametrize(
    ("now", "segments", "dates"),
    [
        (END + AFTER - 1, [], []),
        (END + AFTER, [], [DAY]),
        (END + AFTER, [stored(END + 10)], []),  # may hold rows of the date
        (END + AFTER, [stored(END + 10, 3)], [DAY]),  # is in the table
        (END + AFTER, [stored(END + AFTER - 10)], [DAY]),
        (END + AT_LATEST, [stored(END - 10)], [DAY]),
    ],
)
def test_when_a_date_is_over(now: float, segments: list[StoredSegment], dates: list[datetime.date]) -> None:
    snapshot = Snapshot(version=1, files={ONE.path: ONE, OLD.path: OLD}, txn={"r.0": 3})
    assert over(snapshot, segments, now=now, compact_after=3600, target=1) == dates


def test_files_of_older_versions_alone_have_no_ledger() -> None:
    snapshot = Snapshot(version=1, files={OLD.path: OLD})
    assert over(snapshot, [], now=END + AT_LATEST, compact_after=3600, target=1) == []


async def closed(store: Store, now: float, evidence: Evidence = Evidence()) -> list[datetime.date]:  # noqa: B008
    log = log_of(store, wall=lambda: now)
    return await close_dates(log, evidence, compact_after=3600, target=1)


async def filled() -> MemoryStore:
    store = MemoryStore()
    log = log_of(store)
    await log.commit(await log.create(), [Txn("r.0", 3), Add(ONE), Add(TWO)])
    await log.commit(await log.load(), [Txn("r.0", 4), Add(proved("next", {"2026-11-23T00": (1, 1)}, 23))])
    return store


async def test_dates_are_closed_once_and_in_order() -> None:
    store = await filled()
    assert await closed(store, END) == []
    assert await closed(store, END + AFTER) == [DAY]
    assert await closed(store, END + AFTER) == []
    before = await store.get(key_of(DAY))
    following = DAY + datetime.timedelta(1)
    assert await closed(store, END + 86_400 + AFTER) == [following]
    second = decode_ledger(await store.get(key_of(following)))
    assert second.previous is not None
    assert second.previous[0] == "2026-11-22"
    assert await store.get(key_of(DAY)) == before
    assert decode_ledger(before).version == (await fresh(store)).version == 2


async def test_no_ledger_on_a_damaged_log() -> None:
    store = await filled()
    await store.put(commit_key(1), b"")
    with pytest.raises(Damaged, match="cannot write a ledger"):
        await closed(store, END + AFTER)
    assert [entry.key async for entry in store.list("ledger/")] == []


async def test_a_store_that_cannot_lock() -> None:
    with pytest.raises(Refused, match="Object Lock"):
        await closed(await filled(), END + AFTER, Evidence(object_lock=86_400.0))
