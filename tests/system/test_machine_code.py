"""Kept machine code that is called by another convention than numba's: a query says so once, and answers all the same."""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from logsink.kernel import FEW, canary, compile_all
from tests.system.test_query_local import segments, store_and_archive

QUERY = """
import atexit, sys
atexit.register(lambda: print("numba" in sys.modules, file=sys.stderr))
from logsink.cli.main import main
main(["query", "--store", sys.argv[1], "-n", "all", "-o", "json"])
"""

EXCHANGE = """
from logsink.kernel import canary, decorator, native
from logsink.kernel.compiler import native_kind
from exchanged import weigh

weigh.compile()
[content] = weigh._files().read(native_kind(native.host()))
canary.weigh._files().write(native_kind(native.host()), content)
"""


@pytest.fixture
def installation(root: Path, tmp_path: Path) -> Path:
    """A copy of the package with its machine code."""
    import logsink.parse

    compile_all(logsink.parse)
    canary.weigh.compile()
    shutil.copytree(root / "logsink", tmp_path / "installation" / "logsink")
    return tmp_path / "installation"


def run(installation: Path, code: str, *arguments: str) -> tuple[str, list[str]]:
    env = {"PYTHONPATH": str(installation), "PATH": os.environ["PATH"], "HOME": str(installation)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=env, cwd=installation, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr.splitlines()


def test_exchanged_arguments_in_kept_machine_code(installation: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    asyncio.run(store_and_archive(url, segments(8, FEW // 7), []))
    rows, said = run(installation, QUERY, url)
    assert len(rows.splitlines()) == 8 * (FEW // 7)
    assert (len(said), said[-1]) == (2, "False")

    source = inspect.getsource(canary).replace("one: int, two: int", "two: int, one: int")
    (installation / "exchanged.py").write_text(source)
    run(installation, EXCHANGE)
    again, said = run(installation, QUERY, url)
    assert again == rows
    assert (len(said), said[-1]) == (3, "True")
    assert len([line for line in said if "kept machine code failed its test" in line]) == 1
