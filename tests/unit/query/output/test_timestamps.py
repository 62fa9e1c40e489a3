"""Instants as text."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np

from logsink.query.output.timestamps import local, timestamps_of

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
