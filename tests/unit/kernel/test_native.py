"""Machine code that is kept, and called without numba."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from logsink.kernel import native
from logsink.kernel.native import Code, convention
from logsink.kernel.parameters import Array

KERNELS = """
from __future__ import annotations
from logsink.kernel import Grid32, I32, Bytes, ReadI64, kernel

@kernel
def weighed(data: Bytes, weights: ReadI64, grid: Grid32, twice: bool, more: int) -> int:
    for i in range(grid.shape[0]):
        for k in range(grid.shape[1]):
            grid[i, k] = 10 * i + k
    found = more
    for p in range(len(data)):
        found += data[p] * weights[p]
    return 2 * found if twice else found

@kernel
def fill(out: I32, value: int) -> None:
    for i in range(len(out)):
        out[i] = value

@kernel
def same(a: Bytes, b: Bytes) -> bool:
    for i in range(len(a)):
        if a[i] != b[i]:
            return False
    return len(a) == len(b)

@kernel
def halves(value: int) -> tuple[int, int]:
    return value // 2, value - value // 2
"""
RUN = """
import sys
import numpy as np
from kernels import fill, halves, same, weighed

def all_of_them():
    data, weights = np.frombuffer(b"abc", np.uint8), np.array([1, 0, -1])
    grid, out = np.zeros((2, 3), np.int32), np.zeros(4, np.int32)
    sums = weighed(data, weights, grid, True, 5), weighed(data[:0], weights, more=-(1 << 40), twice=False, grid=grid[:0])
    return sums, grid.tolist(), fill(out, -7), out.tolist(), same(data, data.copy()), same(data, data[::-1].copy())

print(all_of_them())
print("numba" in sys.modules)
print(halves(7))  # of two results: numba's affair
print(all_of_them(), fill.compile() is not None, all_of_them())
"""
RESULT = "((6, -1099511627776), [[0, 1, 2], [10, 11, 12]], None, [-7, -7, -7, -7], True, False)"


OUTCOME = ["(3, 4)", f"{RESULT} True {RESULT}"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Where they have run once, and were compiled."""
    directory = tmp_path_factory.mktemp("kernels")
    (directory / "kernels.py").write_text(KERNELS)
    assert run(directory, root) == [RESULT, "True", *OUTCOME]
    return directory


@pytest.fixture
def directory(first: Path, tmp_path: Path) -> Path:
    """The same for one test alone."""
    return Path(shutil.copytree(first, tmp_path, dirs_exist_ok=True))


def run(directory: Path, root: Path, before: str = "", **environment: str) -> list[str]:
    """What the kernels give in a new process."""
    env = {"PYTHONPATH": f"{directory}:{root}", "PATH": "/usr/bin:/bin", "HOME": str(directory / "home"), **environment}
    done = subprocess.run(
        [sys.executable, "-c", before + RUN], check=False, env=env, cwd=directory, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_kept_code_is_called_without_numba_and_beside_it(directory: Path, root: Path) -> None:
    assert run(directory, root) == [RESULT, "False", *OUTCOME]


def test_no_code_counts_references(directory: Path) -> None:
    kept = [Code.unpacked(file.read_bytes().partition(b"\n")[2]) for file in (directory / "__pycache__").glob("*.o")]
    named = [name for code in kept for name in code.externals]
    assert (
        "numba_adapt_ndarray" in named
    )  # which numba's runtime, were it used, would do: NRT_adapt_ndarray_from_python
    assert not [name for name in named if name.startswith("NRT_")]


@pytest.mark.parametrize("damage", [b"", b"\n", b"0123\n[1]\nxyz", b'0123\n["symbol", []]\nxyz'])
def test_what_is_not_whole_is_not_called(directory: Path, root: Path, damage: bytes) -> None:
    kept = list((directory / "__pycache__").glob("*.o"))
    assert len(kept) == 3
    for file in kept:
        file.write_bytes(damage or file.read_bytes()[:-1])
    assert run(directory, root)[:2] == [RESULT, "True"]


ELSEWHERE = """
from llvmlite.binding import targets
targets.get_host_cpu_name = lambda: "another"
"""


def test_code_for_this_processor_is_not_called_on_another(directory: Path, root: Path) -> None:
    assert run(directory, root, ELSEWHERE) == [RESULT, "True", *OUTCOME]


@pytest.mark.parametrize("configured", [{}, {"NUMBA_CPU_NAME": "generic"}], ids=["not", "configured"])
def test_code_for_any_processor_is_called_on_another(tmp_path: Path, root: Path, configured: dict[str, str]) -> None:
    (tmp_path / "kernels.py").write_text(KERNELS)
    assert run(tmp_path, root, NUMBA_CPU_NAME="generic") == [RESULT, "True", *OUTCOME]
    assert run(tmp_path, root, ELSEWHERE, **configured)[:2] == [RESULT, "False"]


def test_files_of_another_layout_are_refused() -> None:
    for content in (b"", b"xyz", b"1\nxyz", b'["symbol"]\nxyz', b'["symbol", 1]\nxyz'):
        with pytest.raises(ValueError):  # noqa: PT011  json and unpacking say it in their own words
            Code.unpacked(content)


def test_code_is_packed_and_unpacked() -> None:
    code = Code("name", ("numba_unpickle", "memcpy"), b"\x7fELF\n\0")
    assert Code.unpacked(code.packed()) == code


def test_what_cannot_be_linked_or_called_is_refused() -> None:
    with pytest.raises(ValueError, match="no no_such_function here"):
        native.load(Code("f", ("no_such_function",), b""), "f", {"value": "int"}, "int")
    with pytest.raises(ValueError, match="cannot link f: "):
        native.load(Code("f", ("memcpy",), b"no object file"), "f", {"value": "int"}, "int")
    with pytest.raises(ValueError, match="no way to call f"):
        native.load(Code("f", (), b""), "f", {"value": "bytes"}, "int")


def test_the_convention() -> None:
    assert convention(["int", "bool", Array("int32", 2, readonly=True)], "None") == (
        ["ptr", "ptr", "i64", "i8", "ptr", "ptr", "i64", "i64", "ptr", "i64", "i64", "i64", "i64"]
    )
    assert convention(["int"], "tuple[int, int]") is None


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3, np.int64),
        np.zeros((3, 1), np.int32),
        np.zeros(6, np.int32)[::2],
        [1, 2],
        np.frombuffer(b"1234", "i4"),
    ],
)
def test_arrays_of_another_kind_are_refused(array: object) -> None:
    with pytest.raises(TypeError, match="cannot call f: no matching definition"):
        native._flattened(array, Array("int32", 1, readonly=False), "f")


PARSE = """
import sys
from logsink.parse import Settings, parse
from tests.support.forms import running
from tests.unit.query.archives import frames

bodies = [
    b"<34>1 2026-11-22T03:12:05.25Z web-1 sshd 77 ID47 [deploy@32473 role=\\"web\\" deploy=\\"d-7\\"] port 8022 ssh2",
    b"<13>Nov 22 03:12:05 web-2 cron[12]: gr\\xc3\\xb6\\xc3\\x9fe",
    b"<13>Nov 22 03:12:05 cut \\xff",
    b"no head at all",
    b"<14>",
] * 50
rows = {}
for compiled in (False, True):
    with running(compiled=compiled):
        rows[compiled] = parse(frames(bodies), Settings(), "r1").table()
print(rows[True].equals(rows[False]), rows[True].num_rows, "numba" in sys.modules)
"""


def test_the_parser_s_kept_code_gives_the_same_rows(root: Path) -> None:
    for numba in ("True", "False"):  # the first one may have to compile, and need not
        command = [sys.executable, "-c", PARSE]
        said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split()
        assert said[:2] == ["True", "250"]
        assert said[2] in ("False", numba)
