"""The process of a command: what it leaves out, and that it leaves everybody else's modules as they are."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from logsink.store import open_store
from tests.support.unpatched import differences
from tests.unit.query.archives import archive, row


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a row."""
    place = f"file://{tmp_path_factory.mktemp('unpatched')}/store"

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [[row(host="web1", severity=3, message="upstream timed out")]])

    asyncio.run(build())
    return place


def python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120, env=os.environ | environ)
    assert done.returncode == 0, done.stderr
    return done


def observed(report: Path, *arguments: str, **environ: str) -> dict[str, Any]:
    """What is found at the end of ``logsink ARGUMENTS``, differences from modules imported alone included."""
    ran = python("-m", "tests.support.unpatched", str(report), *arguments, **environ)
    assert "timed out" in ran.stdout
    seen: dict[str, Any] = json.loads(report.read_text())
    alone = json.loads(python("-m", "tests.support.unpatched", "--pristine", str(report)).stdout)
    seen["found"] += differences(alone, seen["callables"])
    return seen


@pytest.mark.parametrize("options", [(), ("-o", "csv", "-p", "debug"), ("--top", "message")])
def test_a_query_leaves_everybody_elses_modules_as_they_are(url: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    seen = observed(tmp_path / "report", "query", "--store", url, "timed", *options)
    assert seen["found"] == []
    assert {"asyncio", "click", "numpy", "pyarrow.compute"} <= seen["callables"].keys()


def test_every_kind_of_patch_would_be_found(url: str, tmp_path: Path) -> None:
    found = "\n".join(observed(tmp_path / "report", "query", "--store", url, "timed", PATCHES="1")["found"])
    for patch in (
        "sys.meta_path has become",
        "json.dumps is logsink's",
        "json.decoder.JSONDecoder.decode is logsink's",
        "string.Formatter is logsink's",
        "textwrap has the loader",
        "colorsys is a stub",
        "wave is declared absent",
        "pyarrow.compute.list_functions is logsink's",
        "posixpath.commonpath was function commonpath",
        "textwrap.dedent was function dedent",
    ):
        assert patch in found


def test_pyarrow_goes_without_pandas_and_others_have_it() -> None:
    code = (
        "import sys\nfrom logsink.cli.startup import without_pandas\nwithout_pandas()\n"
        "import pyarrow as pa\nrows = pa.table({'a': pa.array([1, 2])}).to_pylist()\n"
        "print('pandas' in sys.modules)\nimport pandas\nprint(pa.table({'a': [1]}).to_pandas().shape == (1, 1))"
    )
    pytest.importorskip("pandas")
    assert python("-c", code).stdout.split() == ["False", "True"]


@pytest.mark.parametrize("module", ["pandas", "pyarrow"])
def test_a_process_that_has_one_of_them_keeps_both(module: str) -> None:
    code = (
        f"import sys, types\nsys.modules[{module!r}] = types.ModuleType({module!r})\nbefore = dict(sys.modules)\n"
        "from logsink.cli import startup\nstartup.without_pandas()\n"
        "print({'pandas', 'pyarrow'} & (sys.modules.keys() - before.keys()), 'pandas' in before or 'pandas' not in sys.modules)"
    )
    assert python("-c", code).stdout.split() == ["set()", "True"]


def test_a_query_imports_no_pandas(url: str) -> None:
    ran = python("-X", "importtime", "-m", "logsink", "query", "--store", url, "-o", "csv", "timed")
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time")}
    assert "pyarrow.lib" in imported
    assert "pandas.core" not in imported


def test_arrow_keeps_its_own_allocator() -> None:
    """From glibc's malloc, sums of a billion rows took 2.5 times the memory."""
    asked = (
        "import os; os.environ.pop('ARROW_DEFAULT_MEMORY_POOL', None)\n"
        "from logsink.cli.startup import use_little_memory; use_little_memory()\n"
        "import pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    )
    assert python("-c", asked).stdout.strip() != "system"
