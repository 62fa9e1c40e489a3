"""The file that tells where a receiver listens."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from logsink.errors import ConfigError
from logsink.platform.processes import birth
from logsink.receiver import prove_ready_file, remove_ready_file, write_ready_file


def test_it_holds_addresses_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    write_ready_file(path, {"tcp": ["127.0.0.1:5514"], "udp": []}, "127.0.0.1:9514")
    expected = {
        "pid": os.getpid(),
        "birth": birth(os.getpid()),
        "tcp": ["127.0.0.1:5514"],
        "udp": [],
        "http": "127.0.0.1:9514",
    }
    assert json.loads(path.read_text()) == expected
    assert list(tmp_path.iterdir()) == [path]


def test_where_it_cannot_be_written_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write --ready-file .*: No such file or directory"):
        write_ready_file(tmp_path / "missing" / "ready", {}, None)


@pytest.mark.parametrize(("text", "left"), [(None, False), ('{"pid": 1}', True), ("[]", True), ("no JSON", True)])
def test_only_the_own_file_is_removed(tmp_path: Path, text: str | None, left: bool) -> None:
    path = tmp_path / "ready"
    write_ready_file(path, {}, None)
    if text is not None:  # a successor's, or something else
        path.write_text(text)
    remove_ready_file(path)
    assert path.exists() is left
    remove_ready_file(tmp_path / "missing")


def test_whether_it_can_be_written_is_known_before(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    path.write_text("of the receiver before")
    prove_ready_file(path)
    assert path.read_text() == "of the receiver before"
    assert list(tmp_path.iterdir()) == [path]
    for wrong, cause in ((tmp_path / "missing" / "ready", "No such file"), (tmp_path, "it is a directory")):
        with pytest.raises(ConfigError, match=f"cannot write --ready-file .*: {cause}") as caught:
            prove_ready_file(wrong)
        assert "a directory that exists" in caught.value.hint
