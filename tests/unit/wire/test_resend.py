"""Resends told from new frames: digests, lists of broken sessions, and the search for j."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.wire.batch import Batch
from logsink.wire.resend import (
    KEPT_ANSWERED,
    PLACES,
    Digests,
    History,
    Judged,
    Retrace,
    Taken,
    Unanswered,
    Verdict,
    digests,
    judge,
    overlap,
    write_digests,
)

KEY = 0x1234_5678_9ABC_DEF1


def batch(frames: list[bytes], before: int = 0, gap: int = 1) -> Batch:
    """The frames in one buffer, at any alignment."""
    starts, ends, data = [], [], bytearray(b"#" * before)
    for frame in frames:
        starts.append(len(data))
        data += frame
        ends.append(len(data))
        data += b"#" * gap
    columns = np.array(starts, np.int32), np.array(ends, np.int32), np.zeros(len(frames), np.int32)
    return Batch(np.frombuffer(bytes(data), np.uint8), *columns)


def of(text: str) -> Digests:
    """Digests of one-letter frames."""
    return np.array([n for letter in text for n in (ord(letter), -ord(letter))], np.int64)


def known(answered: str, unanswered: str) -> Unanswered:
    text = answered + unanswered
    return Unanswered(of(text), np.arange(len(text), dtype=np.int64) * 10, len(answered), 0.0)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8), st.integers(0, 16), st.integers(0, 9))
def test_a_digest_depends_on_the_frame_alone(frames: list[bytes], before: int, gap: int) -> None:
    found = digests(batch(frames, before, gap), KEY).reshape(-1, 2)
    alone = [digests(batch([frame]), KEY) for frame in frames]
    assert all((a == b).all() for a, b in zip(found, alone, strict=True))
    for a, digest_a in zip(frames, found, strict=True):
        for b, digest_b in zip(frames, found, strict=True):
            assert (a == b) == (digest_a == digest_b).all()


@given(st.binary(min_size=1, max_size=40), st.data())
def test_each_bit_counts(frame: bytes, data: st.DataObject) -> None:
    at, bit = data.draw(st.integers(0, len(frame) - 1)), data.draw(st.integers(0, 7))
    other = bytearray(frame)
    other[at] ^= 1 << bit
    one, two = digests(batch([frame]), KEY), digests(batch([bytes(other)]), KEY)
    assert one[0] != two[0]
    assert one[1] != two[1]


def test_frames_of_zeros_of_any_length_differ() -> None:
    found = digests(batch([bytes(n) for n in range(200)]), KEY).reshape(-1, 2)
    assert len({tuple(one) for one in found.tolist()}) == 200


def test_another_key_gives_other_digests() -> None:
    one, two = digests(batch([b"<13>a"]), KEY), digests(batch([b"<13>a"]), KEY + 2)
    assert (one != two).all()


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.integers(0, 7))
def test_digests_are_the_same_without_numba(frames: list[bytes], before: int) -> None:
    one = batch(frames, before)
    data = np.concatenate([one.data, np.zeros(8, np.uint8)])
    out = np.empty(2 * len(frames), np.int64)
    write_digests.py(data, one.starts, one.ends, len(frames), KEY, out)
    assert (out == digests(one, KEY)).all()


CASES = {  # answered, unanswered, opening of the new session
    "all unanswered": ("", "uvw", "uvw", Judged(Verdict.RESENT, 3, True)),
    "and new ones after them": ("", "uvw", "uvwxyz", Judged(Verdict.RESENT, 3, True)),
    "not all of them yet": ("", "uvw", "uv", Judged(Verdict.UNDECIDED)),
    "something else": ("", "uvw", "x", Judged(Verdict.OTHER)),
    "something else in the end": ("", "uvw", "uvx", Judged(Verdict.OTHER)),
    "the client cannot know of an acknowledgement": ("", "uvw", "vw", Judged(Verdict.OTHER)),
    "written and not received": ("abc", "uv", "cuv", Judged(Verdict.RESENT, 3, True)),
    "written and received": ("abc", "uv", "uvx", Judged(Verdict.RESENT, 2, True)),
    "none received": ("abc", "uv", "abcuv", Judged(Verdict.RESENT, 5, True)),
    "in the middle of the answered": ("abc", "uv", "bc", Judged(Verdict.UNDECIDED)),
    "the answered alone are not enough": ("abc", "uv", "bcx", Judged(Verdict.OTHER)),
    "repeats: the latest counts": ("xx", "xx", "xxx", Judged(Verdict.RESENT, 2, False)),
    "repeats: a longer one may come": ("xx", "xx", "xx", Judged(Verdict.RESENT, 2, False)),
    "repeats: only the short one": ("ax", "x", "xb", Judged(Verdict.RESENT, 1, True)),
    "one frame": ("", "u", "u", Judged(Verdict.RESENT, 1, True)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_an_opening_is(case: str) -> None:
    answered, unanswered, opening, expected = CASES[case]
    assert judge(known(answered, unanswered), of(opening)) == expected


def brute(answered: str, unanswered: str, opening: str) -> Judged:
    """The law as it is written."""
    text = answered + unanswered
    complete = [len(text) - j for j in range(len(answered) + 1) if opening.startswith(text[j:])]
    longer = any(len(text) - j > len(opening) and text[j:].startswith(opening) for j in range(len(answered) + 1))
    if complete:
        return Judged(Verdict.RESENT, min(complete), len(complete) == 1 and not longer)
    return Judged(Verdict.UNDECIDED if longer else Verdict.OTHER)


FEW = st.text("ab", max_size=8)


@given(FEW, st.text("ab", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=12))
def test_the_search_finds_what_the_law_says(answered: str, unanswered: str, opening: str) -> None:
    assert judge(known(answered, unanswered), of(opening)) == brute(answered, unanswered, opening)


@given(FEW, st.text("ab", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=8))
def test_the_search_is_the_same_without_numba(answered: str, unanswered: str, opening: str) -> None:
    text, m = answered + unanswered, min(len(opening), len(answered + unanswered))
    given = of(text), len(text), of(opening), m, len(unanswered)
    assert overlap.py(*given, np.empty(m, np.int64)) == overlap(*given, np.empty(m, np.int64))


def test_a_million_equal_frames_are_searched_in_one_pass() -> None:
    """Anything worse than linear would not end."""
    n = 1_000_000
    same = Unanswered(np.ones(2 * n, np.int64), np.zeros(n, np.int64), n // 2, 0.0)
    assert judge(same, np.ones(2 * n, np.int64)) == Judged(Verdict.RESENT, n // 2, False)


def taken(before: int, text: str, ordinal: int, empty: int = 0) -> Taken:
    return Taken(before, before + len(text) + empty, ordinal, of(text))


def test_a_history_is_what_was_answered_and_what_was_not() -> None:
    history = History()
    for one in (taken(0, "ab", 1), taken(2, "cd", 1, empty=1), taken(5, "ef", 2)):
        history.add(one)
    history.answered(5)
    broken = history.broken(7.0)
    assert broken is not None
    assert (broken.digests == of("abcdef")).all()
    assert broken.ordinals.tolist() == [1, 1, 1, 1, 2, 2]
    assert (broken.certain, broken.since) == (4, 7.0)
    assert broken.ordinal(3, 0) == 1
    assert broken.ordinal(3, 2) == 2


def test_a_read_answered_in_part_is_not_certain() -> None:
    history = History()
    history.add(taken(0, "ab", 1))
    history.add(taken(2, "cd", 2))
    history.answered(1)
    broken = history.broken(0.0)
    assert broken is not None
    assert broken.certain == 2


def test_all_answered_leaves_nothing_to_tell_resends_by() -> None:
    history = History()
    history.add(taken(0, "ab", 1))
    history.answered(2)
    assert history.broken(0.0) is None
    assert History().broken(0.0) is None


def test_the_last_frames_of_a_session_up_to_one_of_them() -> None:
    history = History()
    for n, text in enumerate(("abc", "def", "ghi")):
        history.add(taken(3 * n, text, n))
    history.answered(6)
    assert (history.last(9, 9) == of("abcdefghi")).all()
    assert (history.last(7, 100) == of("cdefghi")).all()
    assert (history.last(5, 7) == of("efg")).all()
    assert (history.last(9, 1) == of("a")).all()
    assert not len(history.last(5, 4))
    history.trim(1)
    assert (history.last(9, 8) == of("defgh")).all()
    history.forget()
    assert not len(history.last(9, 9))
    history.add(taken(9, "jkl", 3))
    assert (history.last(9, 11) == of("jk")).all()


FOLLOWED = {  # earlier sessions, reads of the new one, how many frames of each are the same in a row
    "nothing earlier": ([], ["a"], [0]),
    "from the middle to the end": (["abcd"], ["cdx"], [2]),
    "in pieces": (["abcd"], ["b", "c", "dx", "a"], [1, 1, 1, 0]),
    "all, and then something new": (["abcd"], ["abcd", "x"], [4, 0]),
    "not from the first frame": (["abcd"], ["xab"], [0]),
    "the second of two places": (["abac"], ["acx"], [2]),
    "the longer of two sessions": (["ab", "abcd"], ["abcd"], [4]),
    "one session as far as it goes, another further": (["ab", "abcd"], ["ab", "cx"], [2, 1]),
    "not from one session to another": (["ab", "cd"], ["abcd"], [2]),
    "repeats": (["aaa"], ["aa", "aa"], [2, 1]),
}


@pytest.mark.parametrize("case", FOLLOWED)
def test_how_far_a_session_goes_through_earlier_ones(case: str) -> None:
    earlier, reads, expected = FOLLOWED[case]
    retrace = Retrace([of(text) for text in earlier])
    assert [retrace.follow(of(read)) for read in reads] == expected


@given(st.lists(st.text("ab", max_size=8), max_size=3), st.lists(st.text("ab", min_size=1, max_size=4), max_size=4))
def test_a_session_goes_as_far_as_its_longest_beginning_that_stands_in_an_earlier_one(
    earlier: list[str], reads: list[str]
) -> None:
    retrace, text = Retrace([of(text) for text in earlier]), "".join(reads)
    expected = max((n for n in range(len(text) + 1) if any(text[:n] in one for one in earlier)), default=0)
    followed = 0
    for read in reads:
        count = retrace.follow(of(read))
        followed += count
        if count < len(read):
            break
    assert followed == expected


def test_endless_repeats_are_followed_from_so_many_places() -> None:
    retrace = Retrace([np.ones(20_000, np.int64)])
    assert retrace.follow(np.ones(2, np.int64)) == 1
    assert retrace._rests is not None
    assert len(retrace._rests) == PLACES


def test_only_the_last_answered_frames_are_remembered() -> None:
    history = History()
    for read in range(100):
        history.add(Taken(read * 1000, read * 1000 + 1000, read, np.full(2000, read, np.int64)))
        history.answered(read * 1000)
    assert history.frames <= KEPT_ANSWERED + 2 * 1000
    broken = history.broken(0.0)
    assert broken is not None
    assert broken.certain >= KEPT_ANSWERED
    assert len(broken) - broken.certain == 1000
    assert history.trim(0) > 0
    assert history.frames <= 2000
