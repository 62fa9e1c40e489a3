"""Masked messages that are alike become one kind, and those that say different things do not."""

from __future__ import annotations

import pytest

from logsink.query.changes import likeness
from logsink.query.changes.likeness import merged

NAMES = ("ada", "bob", "carol", "dave", "erin", "frank")


def patterns_of(*messages: str, app: str | None = "a") -> set[str]:
    return set(merged([app] * len(messages), messages).patterns)


def test_names_vary() -> None:
    found = merged(["sshd"] * 6, [f"session opened for user {name} by *" for name in NAMES])
    assert found.patterns == ["session opened for user * by *"]
    assert found.group == [0] * 6


def test_few_plain_words_say_what_happened() -> None:
    messages = ["pam session opened for user root", "pam session closed for user root"]
    assert patterns_of(*messages) == set(messages)


def test_a_place_that_tells_and_one_that_varies() -> None:
    messages = [f"pam session {what} for user {name} now" for what in ("opened", "closed") for name in NAMES]
    assert patterns_of(*messages) == {"pam session opened for user * now", "pam session closed for user * now"}


def test_words_with_digits_or_masks_vary_however_few_they_are() -> None:
    assert patterns_of("wrote the file x* to disk", "wrote the file y* to disk") == {"wrote the file * to disk"}


def test_numbers_of_words_first_words_and_applications_are_told_apart() -> None:
    assert len(patterns_of("a b c d", "a b c d e", "x y c d", "x b c d")) == 4
    assert merged(["a", None, ""], ["same words here"] * 3).group == [0, 1, 2]


def test_little_in_common_is_not_alike() -> None:
    assert len(patterns_of("the cat sat on mats", "the cat was in here")) == 2


def test_spaces_stay_as_the_first_has_them() -> None:
    assert patterns_of(*[f"user  {name}\tlogged in again" for name in ("a1", "b2")]) == {"user  *\tlogged in again"}


def test_empty_messages() -> None:
    assert merged(["a", "a"], ["", "   "]).patterns == [""]


def test_groups_and_branches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "MOST_GROUPS", 2)
    monkeypatch.setattr(likeness, "MOST_BRANCHES", 3)
    words = [chr(97 + n) * 3 for n in range(20)]
    found = merged(["a"] * 20, [f"{word} {word} {word}" for word in words])
    assert len(found.patterns) < 12
    assert sorted(set(found.group)) == list(range(len(found.patterns)))
