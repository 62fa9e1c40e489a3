"""Processes that are told apart, though their numbers are not."""

from __future__ import annotations

import os
import subprocess
import sys

from logsink.platform.processes import birth


def test_a_process_is_known_by_when_it_began() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.stdin
        first = birth(child.pid)
        assert first
        assert birth(child.pid) == first
        child.stdin.close()
    assert birth(child.pid) == ""  # it has ended
    assert birth(os.getpid()) not in ("", first)


def test_a_process_may_have_any_name() -> None:
    program = "open('/proc/self/comm', 'w').write(') 1 (2'); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as child:
        assert child.stdin
        plain = birth(child.pid)
        assert plain.split()[1].isdigit()
        child.stdin.close()
