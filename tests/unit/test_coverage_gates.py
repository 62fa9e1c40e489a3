"""The gates of coverage: what passes, and what does not."""

from __future__ import annotations

from tests.support.coverage_gates import Lines, failures


def test_enough_passes() -> None:
    assert failures({"logsink/config.py": Lines(100, 90), "logsink/wire/framing.py": Lines(900, 860)}) == []


def test_a_module_below_its_gate_is_named() -> None:
    found = failures({"logsink/wire/framing.py": Lines(100, 89), "logsink/config.py": Lines(9_000, 9_000)})
    assert found == ["logsink/wire/framing.py: 89.0 % of lines run in tests; at least 90 % must"]


def test_too_little_in_all_is_said() -> None:
    assert failures({"logsink/config.py": Lines(1_000, 949)}) == [
        "logsink: 94.9 % of lines run in tests; at least 95 % must"
    ]


def test_modules_without_lines_pass() -> None:
    assert failures({"logsink/wire/__init__.py": Lines(0, 0)}) == []
