"""Times typed and pasted, against an oracle that formats instants and never reads any."""

from __future__ import annotations

import datetime as dt
import string
from zoneinfo import ZoneInfo

from hypothesis import assume, example, given
from hypothesis import strategies as st

from logsink.errors import ArgumentError
from logsink.query.request.times import parse_time

ZONES = [
    ZoneInfo(name)
    for name in (
        *("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"),
        *("Africa/Casablanca", "America/Havana", "Pacific/Apia", "Asia/Tehran", "UTC"),
    )
]
FORMS = [
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d %b %Y %H:%M:%S"),
    *("%b %d %Y %H:%M:%S", "%a %b %d %H:%M:%S %Y", "%a, %d %B %Y %I:%M:%S %p", "%d/%b/%Y:%H:%M:%S", "%Y%m%dT%H%M%S"),
    *("%Y%m%d%H%M%S", "%a %Y-%m-%d %H:%M:%S", "%A, %B %d, %Y %I:%M:%S%p", "%H:%M:%S %Y-%m-%d", "%d-%b-%Y %H:%M:%S"),
]  # fmt: skip
ZONED = ["%Y-%m-%dT%H:%M:%S%z", "%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z", "%Y-%m-%d %H:%M:%S GMT%z"]
YEARLESS = ["%b %d %H:%M:%S", "%d %b %H:%M:%S", "%a %b %d %H:%M:%S"]

seconds = st.integers(946_684_800, 4_102_444_800)  # 2000 to 2100
near_changes = st.builds(
    lambda year, day, second: int(dt.datetime(year, *day, tzinfo=dt.UTC).timestamp()) + second,
    st.integers(2020, 2030),
    st.sampled_from([(3, 29), (3, 8), (4, 5), (10, 25), (11, 1), (10, 4), (9, 6)]),
    st.integers(-200_000, 200_000),
)


def shown(second: int, zone: ZoneInfo) -> dt.datetime:
    """What clocks of the zone show then."""
    return dt.datetime.fromtimestamp(second, zone).replace(tzinfo=None, fold=0)


@given(st.one_of(seconds, near_changes), st.sampled_from(ZONES), st.sampled_from(FORMS), st.booleans())
@example(1_792_888_200, ZONES[0], FORMS[0], True)  # 02:30, the first of two
def test_what_a_clock_shows_is_the_first_or_last_moment_at_which_it_shows_it(
    second: int, zone: ZoneInfo, form: str, latest: bool
) -> None:
    wall = shown(second, zone)
    same = [second + d for d in range(-7200, 7201, 900) if shown(second + d, zone) == wall]
    text = wall.strftime(form)
    assert parse_time(text, 0, zone, latest=latest) == (max if latest else min)(same) * 1_000_000


def skips(zone: ZoneInfo) -> list[tuple[int, dt.datetime, dt.datetime]]:
    """When clocks of the zone were put forward: the second, and what they showed then and would have shown."""
    found = []
    for second in range(1_577_836_800, 1_893_456_000, 1800):  # 2020 to 2030
        here, before = shown(second, zone), shown(second - 1, zone) + dt.timedelta(seconds=1)
        if here > before:
            found.append((second, before, here))
    return found


SKIPS = [(ZONES[n], *skip) for n in (0, 1, 3) for skip in skips(ZONES[n])]


@given(st.sampled_from(SKIPS), st.floats(0, 1, exclude_max=True), st.booleans())
def test_a_time_that_is_skipped_is_the_moment_of_the_change(
    skip: tuple[ZoneInfo, int, dt.datetime, dt.datetime], part: float, latest: bool
) -> None:
    zone, second, before, behind = skip
    wall = before + part * (behind - before)
    assert parse_time(f"{wall:%Y-%m-%d %H:%M:%S.%f}", 0, zone, latest=latest) == second * 1_000_000


@given(seconds, st.sampled_from(ZONES), st.sampled_from(ZONES), st.sampled_from(ZONED))
def test_a_zone_that_is_written_counts(second: int, written: ZoneInfo, given_zone: ZoneInfo, form: str) -> None:
    text = dt.datetime.fromtimestamp(second, written).strftime(form)
    assert parse_time(text, 0, given_zone) == second * 1_000_000


@given(seconds, st.integers(0, 999_999), st.sampled_from(["", "@"]), st.sampled_from([0, 3, 6, 9]))
def test_since_the_epoch(second: int, fraction: int, at: str, digits: int) -> None:
    assume(second >= 1_000_000_000)
    ticks = f"{second}{fraction:06d}000"[: len(str(second)) + digits]
    micros = second * 1_000_000 + (int(f"{fraction:06d}"[:digits].ljust(6, "0")))
    assert parse_time(at + ticks, 0, ZONES[0]) == micros


@given(seconds, st.sampled_from(ZONES), st.sampled_from(YEARLESS), st.integers(-356 * 86_400, 6 * 86_400))
def test_without_a_year_it_is_the_one_meant(now: int, zone: ZoneInfo, form: str, ago: int) -> None:
    wall = shown(now + ago, zone)
    meant = parse_time(f"{wall:%Y-%m-%d %H:%M:%S}", 0, zone)
    if "%a" in form:
        assume((wall.month, wall.day) != (2, 29))
    assert parse_time(wall.strftime(form), now * 1_000_000, zone) == meant


@given(
    seconds,
    st.sampled_from(ZONES),
    st.lists(st.integers(0, 500), min_size=5, max_size=5),
    st.sampled_from(["{}", "-{}", "{} ago", "now-{}", "last {}"]),
    st.sampled_from([("w", "d", "h", "m", "s"), ("weeks", "days", "hours", "min", "sec"), ("wk", "day", "hr", "minutes", "s")]),
    st.sampled_from(["", " "]),
)  # fmt: skip
def test_so_long_ago(now: int, zone: ZoneInfo, counts: list[int], form: str, units: tuple[str, ...], gap: str) -> None:
    parts = [f"{count}{gap}{unit}" for count, unit in zip(counts, units, strict=True) if count]
    assume(parts)
    weeks, days, hours, minutes, rest = counts
    ago = dt.timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=rest)
    text = form.format(" ".join(parts))
    assert parse_time(text, now * 1_000_000, zone) == (now * 1_000_000) - ago // dt.timedelta(microseconds=1)


PIECES = st.sampled_from(
    [
        *"0123456789:-/+. ,@TZ",
        "Nov",
        "Mon",
        "2026",
        "28",
        "today",
        "ago",
        "hour",
        "UTC",
        "CST",
        "pm",
        "now",
        "last",
        "\u0663",
    ]
)


@given(st.one_of(st.text(string.printable, max_size=20), st.lists(PIECES, max_size=8).map("".join)))
def test_anything_is_a_time_or_is_refused_with_a_reason(text: str) -> None:
    try:
        assert abs(parse_time(text, 1_795_874_317_000_000, ZONES[0])) <= 1 << 62
    except ArgumentError as error:
        said = str(error), error.hint
        assert repr(text) in said[0]
        assert said[1]
