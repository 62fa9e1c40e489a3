"""Instants as text."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np

from logsink.query.output.timestamps import local, repeated, rfc_3339, timestamps_of

BERLIN = ZoneInfo("Europe/Berlin")


def test_timestamps_before_the_epoch_and_far_from_each_other() -> None:
    instants = np.array([-1, 0, 253_402_300_799_999_999, -62_135_596_800_000_000], np.int64)
    assert timestamps_of(instants, "[{date}|{clock}.{milli}{micro}]").to_pylist() == [
        "[1969-12-31|23:59:59.999999]",
        "[1970-01-01|00:00:00.000000]",
        "[9999-12-31|23:59:59.999999]",
        "[0001-01-01|00:00:00.000000]",
    ]


def test_local_time_follows_the_zone_at_each_instant() -> None:
    around = np.array(
        [1_792_889_999_999_999, 1_792_890_000_000_000], np.int64
    )  # the end of summer time, 2026-10-25T01:00Z
    assert timestamps_of(local(around, BERLIN), "{clock}").to_pylist() == ["02:59:59", "02:00:00"]
    beyond = np.array([1 << 61], np.int64)
    assert local(beyond, BERLIN).tolist() == beyond.tolist()


def test_rfc_3339_in_a_zone_is_two_fragments() -> None:
    instants = np.array([0, 1_782_880_200_000_000], np.int64)
    (utc,) = rfc_3339(instants)
    assert utc.to_pylist() == ["1970-01-01T00:00:00.000000Z", "2026-07-01T04:30:00.000000Z"]
    texts, offsets = rfc_3339(instants, BERLIN)
    assert texts.to_pylist() == ["1970-01-01T01:00:00.000000", "2026-07-01T06:30:00.000000"]
    assert offsets.to_pylist() == ["+01:00", "+02:00"]
    assert rfc_3339(instants, dt.timezone(-dt.timedelta(hours=3, minutes=30)))[1].to_pylist() == ["-03:30", "-03:30"]


def test_times_that_clocks_show_twice() -> None:
    hours = 1_792_890_000_000_000 + np.arange(-2, 2) * 3_600_000_000
    assert repeated(hours, BERLIN).tolist() == [False, True, True, False]
    assert repeated(np.array([1 << 61], np.int64), BERLIN).tolist() == [False]
