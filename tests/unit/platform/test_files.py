"""The limit of open files is raised as far as that is needed and allowed."""

from __future__ import annotations

import resource

import pytest

from logsink.platform.files import allow_files

NONE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "after", "allowed"),
    [
        (1024, 1 << 20, 5000, 5000),
        (1024, NONE, 5000, 5000),
        (8192, 8192, 8192, 5000),
        (1024, 4096, 4096, 4096),
        (NONE, NONE, NONE, 5000),
    ],
)
def test_files(soft: int, hard: int, after: int, allowed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.__setitem__(slice(None), given))
    assert allow_files(5000) == allowed
    assert limits == [after, hard]
