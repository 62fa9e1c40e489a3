"""Modules that load later: they are there at once, and as they are as soon as somebody looks."""

from __future__ import annotations

import importlib
import inspect
import platform
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial, wraps
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.cli import later
from logsink.cli.later import STANDARD, Later, functions, nothing
from tests.support.examples import examples


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that takes a while to load, and takes down how often it did."""
    code = "import sys, time\nsys.loads.append(1)\ntime.sleep(0.2)\ntwice = lambda x: 2 * x\nvalue = twice(21)\n"
    (tmp_path / "slow_to_load.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "loads", [], raising=False)
    yield "slow_to_load"
    sys.modules.pop("slow_to_load", None)


def imported(monkeypatch: pytest.MonkeyPatch, name: str, given: later.Given = nothing) -> ModuleType:
    monkeypatch.setattr(sys, "meta_path", [Later({name: given}), *sys.meta_path])
    return importlib.import_module(name)


def loads() -> int:
    return len(sys.loads)  # type: ignore[attr-defined]


def test_a_module_loads_when_something_of_it_is_asked_for(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = imported(monkeypatch, module)
    assert (loads(), found.__name__, found.__file__ is not None) == (0, module, True)
    assert found.value == 42
    assert found.twice(4) == 8
    assert loads() == 1
    assert "__getattr__" not in vars(found)
    assert type(found.__loader__).__module__ == "_frozen_importlib_external"


def test_what_it_does_not_have_it_does_not_have(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = imported(monkeypatch, module)
    assert not hasattr(found, "nonsense")
    with pytest.raises(AttributeError, match="module 'slow_to_load' has no attribute 'nonsense'"):
        _ = found.nonsense
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec(f"from {module} import nonsense")
    assert loads() == 1


def test_a_function_is_taken_before_and_called_after(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = imported(monkeypatch, module, functions("twice")).twice
    assert loads() == 0
    assert (twice(3), twice(x=4), loads()) == (6, 8, 1)


def test_all_who_ask_at_once_wait_for_it(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, values = imported(monkeypatch, module), list[int]()
    threads = [threading.Thread(target=lambda: values.append(found.value)) for _ in range(4)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert (values, loads()) == ([42] * 4, 1)


def test_one_that_fails_says_so(tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_load.py").write_text("import nonsense_that_is_not_there")
    found = imported(monkeypatch, module)
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="nonsense_that_is_not_there"):
            _ = found.value


def test_those_that_are_not_there_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError):
        imported(monkeypatch, "nonsense_that_is_not_there")


LATER = "import sys\nfrom logsink.cli.later import STANDARD, Later\nsys.meta_path.insert(0, Later(STANDARD))\n"


@pytest.mark.parametrize("name", STANDARD)
def test_the_standard_library_is_as_ever(name: str) -> None:
    """All that it has is of the same kind; functions that stand for others give what these do."""
    told = f"import {name} as m\nm.nonsense if hasattr(m, 'nonsense') else 0\n"
    told += "print(sorted((n, type(v).__name__, getattr(v, '__qualname__', '')) for n, v in vars(m).items() if n[:2] != '__'))"
    run = [subprocess.run([sys.executable, "-c", code + told], capture_output=True, check=True) for code in (LATER, "")]
    assert run[0].stdout == run[1].stdout


def test_what_stands_for_something_is_equal_to_it() -> None:
    given = {name: make(lambda: pytest.fail("loaded")) for name, make in STANDARD.items()}
    assert given["platform"]["machine"]() == platform.machine()
    assert given["platform"]["system"]() == platform.system()
    assert given["subprocess"] == {name: getattr(subprocess, name) for name in given["subprocess"]}


@settings(max_examples=examples(300))
@given(st.text(alphabet=" \t\nab", max_size=40))
def test_documentation_is_cleaned_as_inspect_does(doc: str) -> None:
    assert later.cleandoc(doc) == inspect.cleandoc(doc)


def test_signatures_are_what_inspect_says_they_are() -> None:
    signature = STANDARD["inspect"](lambda: inspect)["signature"]
    for called in (examples, np.ndarray.sort, np.sort, np.ma.MaskedArray.count):
        assert signature(called) == inspect.signature(called)


def test_functions_are_what_inspect_says_they_are() -> None:
    async def coroutine() -> None: ...
    async def generator() -> AsyncIterator[int]:
        yield 1

    @wraps(coroutine)
    def wrapped() -> None: ...

    said = STANDARD["inspect"](lambda: inspect)
    parts = partial(coroutine), partial(examples), Later({}).find_spec
    for called in (coroutine, generator, wrapped, examples, functions, Later, *parts, len, 1):
        for name in ("iscoroutinefunction", "isfunction", "unwrap"):
            assert said[name](called) is getattr(inspect, name)(called)
    for called in (Later, later, wrapped, ArithmeticError):
        assert said["get_annotations"](called) == inspect.get_annotations(called)
