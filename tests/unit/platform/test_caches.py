"""Where the user's cache is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from logsink.platform.caches import choose_user_cache, user_cache, user_caches


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HOME", "/home/ada")
    yield
    choose_user_cache({})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("/home/ada/.cache",)),
        ({"XDG_CACHE_HOME": "/var/cache/ada"}, ("/var/cache/ada", "/home/ada/.cache")),
        ({"XDG_CACHE_HOME": "relative"}, ("/home/ada/.cache",)),
    ],
)
def test_the_chosen_directory_comes_first(environment: dict[str, str], expected: tuple[str, ...]) -> None:
    choose_user_cache(environment)
    assert user_caches() == expected
    assert user_cache() == Path(expected[0], "logsink")
