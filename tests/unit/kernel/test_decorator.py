"""Kernels: one source in two forms, and machine code that is kept but never stale."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from logsink.kernel import I32, I64, MASK, U8, Bytes, copy, either, fold, kernel, load, plus, times, word

LIMIT = 3
TABLE = np.zeros(3)


@kernel
def digit(data: Bytes, p: int) -> int:
    return data[p] - 48


@kernel
def total(data: Bytes, out: I32, limited: bool) -> int:
    """The sum of the digits."""
    found = 0
    for p in range(len(data)):
        found += digit(data, p)
    if limited:
        found = min(found, LIMIT)
    out[0] = found
    return found


@kernel
def wrong_parameter(data: Sequence[int]) -> int:
    return data[0]


@kernel
def wrong_constant(p: int) -> int:
    return int(TABLE[p])


@kernel
def allocating(p: int) -> int:
    found = [p]
    found.append(p + 1)
    return found[1]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("writable", [False, True])
def test_both_forms_take_any_array(compiled: bool, writable: bool) -> None:
    data = np.frombuffer(b"12345", np.uint8)
    data = data.copy() if writable else data
    out = np.zeros(1, np.int32)
    assert total.form(compiled)(data, out, False) == 15
    assert total.form(compiled)(data, out, True) == 3
    assert out.tolist() == [3]


def test_the_plain_form_takes_bytes() -> None:
    assert total.py(b"99", np.zeros(1, np.int32), False) == 18


def test_copy_in_both_forms() -> None:
    for form in (kernel(_moved).py, kernel(_moved)):
        target = np.zeros(5, np.uint8)
        form(target, np.frombuffer(b"abcdef", np.uint8))
        assert target.tobytes() == b"\0cde\0"


def _moved(target: U8, source: Bytes) -> None:
    copy(target, 1, source, 2, 3)


@pytest.mark.parametrize("place", [0, 1, 7])
def test_a_word_in_both_forms(place: int) -> None:
    data, found = np.frombuffer(bytes([*range(120, 128), *range(200, 208)]), np.uint8), np.zeros(2, np.int64)
    for form in (kernel(_read).py, kernel(_read)):
        form(data, place, found)
        octets = data[place : place + 8].tobytes()
        assert found[0] == int.from_bytes(octets, "little") & MASK
        assert found[1] == int.from_bytes(octets, "little", signed=True)


def _read(data: Bytes, p: int, out: I64) -> None:
    out[0], out[1] = word(data, p), load(data, p)


@pytest.mark.parametrize(
    ("text", "first"),
    [(b"." * 33, 32), (b"a" + b"." * 31 + b"a", 31), (b".." + b"b" * 31, 1), (b".a.b" + b"." * 29, 0)],
)
def test_either_of_two_octets_in_both_forms(text: bytes, first: int) -> None:
    found = np.zeros(1, np.int64)
    for form in (kernel(_sought).py, kernel(_sought)):
        form(np.frombuffer(text + b"a", np.uint8), found)
        assert found[0] == first


def _sought(data: Bytes, out: I64) -> None:
    out[0] = either(data, 1, 97, 98)


def test_products_modulo_2_to_the_63_in_both_forms() -> None:
    """Where they pass 63 bits, and what is made of them looks at the highest bits."""
    for form in (kernel(_mixed).py, kernel(_mixed)):
        found, h = np.arange(400) ** 7, 1
        form(found)
        for k in range(400):
            h = (h ^ k**7 & MASK) * 0x2545F4914F6CDD1D % 2**63
            h ^= h >> 31
            assert found[k] == h


def _mixed(out: I64) -> None:
    h = 1
    for k in range(len(out)):
        h = times(h ^ (out[k] & MASK), 0x2545F4914F6CDD1D)
        h ^= h >> 31
        out[k] = h


def test_sums_and_folded_products_of_64_bits_in_both_forms() -> None:
    """Of numbers that count as unsigned, the highest bit as any other."""
    numbers = [0, 1, -1, 2**63 - 1, -(2**63), 0x2545F4914F6CDD1D, -0x1E3779B97F4A7C15]
    for form in (kernel(_folded).py, kernel(_folded)):
        for one in numbers:
            for other in numbers:
                found, product = np.array([one, other]), (one % 2**64) * (other % 2**64)
                form(found)
                assert found.astype(np.uint64).tolist() == [
                    (one + other) % 2**64,
                    product >> 64 ^ product % 2**64,
                ]


def _folded(out: I64) -> None:
    out[0], out[1] = plus(out[0], out[1]), fold(out[0], out[1])


def test_other_annotations_and_constants_are_refused() -> None:
    with pytest.raises(TypeError, match=r"parameter data is annotated Sequence\[int\], not one of int, bool"):
        wrong_parameter.compile()
    with pytest.raises(TypeError, match="names TABLE, which is neither a kernel nor a constant"):
        wrong_constant.compile()


def test_what_allocates_is_refused() -> None:
    with pytest.raises(Exception, match="NRT required but not enabled"):
        allocating.compile()


def test_another_type_of_array_is_refused() -> None:
    with pytest.raises(TypeError, match=r"(?i)no matching definition"):
        total(np.zeros(1, np.uint8), np.zeros(1, np.int64), False)


CALLER = """
from __future__ import annotations
from callee import STEP, add
from logsink.kernel import kernel

@kernel
def run(n: int) -> int:
    for _ in range(3):
        n = add(n) + STEP
    return n
"""
CALLEE = """
from __future__ import annotations
from logsink.kernel import kernel

STEP = {step}

@kernel
def add(n: int) -> int:
    return n + {more}
"""
RUN = """
import sys
from caller import run
from numba.core import compiler
made = []
real = compiler.compile_extra
compiler.compile_extra = lambda *a, **k: made.append(1) or real(*a, **k)
print(run(0), len(made))
"""


class Installation:
    """A directory with two modules of kernels, one calling the other, and a home directory."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root = path, root
        self.home = path / "home"

    def write(self, step: int, more: int) -> None:
        (self.path / "callee.py").write_text(CALLEE.format(step=step, more=more))

    def run(self) -> tuple[int, int]:
        """What ``caller.run(0)`` gives in a new process, and how many functions were compiled there."""
        paths = os.pathsep.join([str(self.path), str(self.root)])
        env = {"PYTHONPATH": paths, "HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
        out = subprocess.run(
            [sys.executable, "-c", RUN], env=env, cwd=self.path, capture_output=True, text=True, check=True
        ).stdout
        result, compiled = out.split()
        return int(result), int(compiled)

    @property
    def cached(self) -> Path:
        return self.path / "__pycache__"

    def make_read_only(self) -> None:
        """As a read-only root would: nothing can be made in the directory of the cache, whoever asks."""
        self.cached.rename(self.path / "kept")
        self.cached.write_text("no directory")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """An installation that has run once, and compiled everything."""
    installation = Installation(tmp_path_factory.mktemp("installation"), root)
    (installation.path / "caller.py").write_text(CALLER)
    installation.write(step=0, more=1)
    result, compiled = installation.run()
    assert (result, compiled > 0) == (3, True)
    return installation.path


@pytest.fixture
def installation(first: Path, tmp_path: Path, root: Path) -> Installation:
    """The same for one test alone."""
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    return Installation(tmp_path, root)


def test_machine_code_is_cached(installation: Installation) -> None:
    assert installation.run() == (3, 0)


def test_a_change_in_another_file_is_seen(installation: Installation) -> None:
    installation.write(step=0, more=2)
    assert installation.run()[0] == 6
    installation.write(step=10, more=2)
    assert installation.run()[0] == 36
    installation.write(step=0, more=1)
    assert installation.run() == (3, 0)  # still there from the first time


def test_the_user_s_cache_where_the_installation_cannot_be_written(installation: Installation) -> None:
    installation.make_read_only()
    assert installation.run()[1] > 0
    assert installation.run() == (3, 0)
    assert any(installation.home.rglob("*.numba"))


def test_no_cache_at_all(installation: Installation) -> None:
    installation.make_read_only()
    installation.home.write_text("no directory")
    assert [installation.run()[0] for _ in range(2)] == [3, 3]


@pytest.mark.parametrize(
    "damage", [b"\x80garbage", hashlib.sha256(b"\x80garbage").hexdigest().encode() + b"\n\x80garbage"]
)
def test_damaged_machine_code_is_compiled_again(installation: Installation, damage: bytes) -> None:
    for file in installation.cached.glob("*.numba"):
        file.write_bytes(damage)
    result, compiled = installation.run()
    assert (result, compiled > 0) == (3, True)


def test_importing_the_parser_does_not_import_numba() -> None:
    code = "import sys, logsink.parse; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


FORMS = """
import sys, numpy as np
from logsink.kernel import Bytes, kernel

@kernel
def count(data: Bytes) -> int:
    return len(data)

print(count.form(1500) == count.py, count.form(500) == count.py, count.form(1) == count, count.form(1) == count)
print(count.form(1, few=5000) == count.py, 'numba' in sys.modules)
import numba
print(count.form(1, few=5000) == count)
"""


def test_machine_code_runs_once_many_rows_were_handled_or_numba_is_there() -> None:
    out = subprocess.run([sys.executable, "-c", FORMS], check=True, capture_output=True, text=True).stdout
    assert out.split() == ["True"] * 5 + ["False", "True"]
