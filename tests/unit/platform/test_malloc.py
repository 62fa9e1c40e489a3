"""Settings of malloc, in a process of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from logsink.platform import malloc

CODE = "from logsink.platform import malloc; print(malloc.configure(arenas=2, mmap_threshold=1 << 20, trim_threshold=1 << 20))"


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_glibc_takes_them() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda name: object())
    assert not malloc.configure(arenas=2, mmap_threshold=1 << 20, trim_threshold=1 << 20)
