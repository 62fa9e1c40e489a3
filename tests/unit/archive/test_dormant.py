"""Dormant lanes: what an object says, that nothing is forgotten by it, and who may be told to look there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from logsink.archive.dormant import (
    born,
    decode_dormant,
    dormant_key,
    dormant_name,
    encode_dormant,
    latest,
    receiver_of,
)
from logsink.archive.snapshot import Snapshot
from logsink.errors import FormatError
from logsink.receiver.receiver import new_receiver

OLD, YOUNG = "018bcfe5-6800-7abc-8def-0123456789ab", "018bcfe5-6801-7abc-8def-0123456789ab"


def test_an_id_says_when_its_receiver_was_born() -> None:
    assert born(OLD) == 1_700_000_000_000
    assert born(YOUNG) == born(OLD) + 1
    assert 1_700_000_000_000 < born(new_receiver()) < 1 << 48


@pytest.mark.parametrize(
    "receiver", ["", "r", OLD.upper(), OLD.replace("-7", "-4"), f"{OLD}0", OLD.replace("-8d", "-0d")]
)
def test_other_ids_say_nothing(receiver: str) -> None:
    assert born(receiver) == -1


def test_an_object_holds_what_was_put_into_it_under_its_own_checksum() -> None:
    positions = {OLD: {f"{OLD}.0": 57, f"{OLD}.3": 1}, YOUNG: {f"{YOUNG}.0": 2}}
    name, body = encode_dormant("store", positions)
    assert name == hashlib.sha256(body).hexdigest()
    assert decode_dormant(name, body) == positions
    assert encode_dormant("store", dict(reversed(positions.items()))) == (name, body), "whoever writes it"
    assert dormant_name(dormant_key(name)) == name
    assert dormant_name(f"dormant/{name}.jsonl") == dormant_name("dormant/x.json") == ""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"format":2,"store":"","lanes":{}}', "is of format 2"),
        (b"[]", "cannot read"),
        (b"{", "cannot read"),
        (b'{"format":1,"store":"","lanes":{"r":{"0":"x"}}}', "cannot read"),
        (b'{"format":1,"store":""}', "cannot read"),
    ],
)
def test_other_bytes_are_refused(body: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        decode_dormant(hashlib.sha256(body).hexdigest(), body)
    with pytest.raises(FormatError, match="does not match its checksum"):
        decode_dormant("0" * 64, body)


def test_of_several_numbers_the_highest_is_right() -> None:
    one, other = {"r": {"r.0": 5, "r.1": 9}}, {"r": {"r.0": 7}, "s": {"s.0": 1}}
    assert latest(one, other) == latest(other, one) == {"r": {"r.0": 7, "r.1": 9}, "s": {"s.0": 1}}
    assert receiver_of(f"{OLD}.0") == OLD


def test_a_snapshot_says_nothing_of_a_lane_that_was_not_looked_up() -> None:
    snapshot = Snapshot(3, dormant={"x": born(OLD)}, txn={"r.0": 4})
    with pytest.raises(FormatError, match="was not looked up"):
        snapshot.last(f"{OLD}.0")
    assert snapshot.last(f"{YOUNG}.0") == 0, "it was born later than any receiver that is dormant"
    assert snapshot.last("s.0") == 0, "its id does not say when it was born, so it was never made dormant"
    assert snapshot._replace(dormant={}).last(f"{OLD}.0") == 0
    awake = snapshot._replace(awake={OLD: {f"{OLD}.0": 57}})
    assert (awake.last(f"{OLD}.0"), awake.last(f"{OLD}.1"), awake.last("r.0")) == (57, 0, 4)
    assert awake.reached == {"r.0": 4, f"{OLD}.0": 57}
    assert snapshot._replace(all_awake=True).last(f"{OLD}.0") == 0
    hot = snapshot._replace(txn={f"{OLD}.1": 1})
    assert hot.last(f"{OLD}.0") == 0, "a receiver is dormant with all of its lanes or with none"


def test_the_first_format_is_read() -> None:
    body = (Path(__file__).parents[2] / "data" / "golden" / "dormant-1.json").read_bytes()
    name = "93e7592eb77a2618873083e3ba2633dbf181d3d71596ddc6ad4f27d0805c0e49"
    positions = {OLD: {f"{OLD}.0": 57, f"{OLD}.1": 9}, YOUNG: {f"{YOUNG}.0": 1}}
    assert decode_dormant(name, body) == positions
    assert encode_dormant("6a1f0c3e-7f0e-4a53-9d0c-1b2c3d4e5f60", positions) == (name, body)
