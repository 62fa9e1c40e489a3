"""Canaries tell a calling convention that is not the expected one."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from logsink import telemetry
from logsink.kernel import Kernel, canary, decorator, native
from logsink.kernel.native import Target, host


@pytest.fixture
def unasked() -> Iterator[None]:
    """Whether kept code is trusted is not known yet."""
    decorator._trusted.cache_clear()
    yield
    decorator._trusted.cache_clear()


def compiled() -> None:
    for one in canary.CANARIES:
        one.compile()


def test_kept_canaries_answer_as_plain_python_does() -> None:
    compiled()
    assert canary.holds(host()) is True


def test_canaries_that_are_not_kept_prove_nothing() -> None:
    assert canary.holds(Target("nobody's", "")) is None


SIGNATURES = {one.__name__: one._signature() for one in canary.CANARIES}
PAIRS = [
    (name, i, k)
    for name, signature in SIGNATURES.items()
    for k in range(len(signature.annotations))
    for i in range(k)
    if signature.annotations[i] == signature.annotations[k]
]


@pytest.mark.parametrize(("name", "i", "k"), PAIRS)
def test_exchanged_arguments_are_noticed(monkeypatch: pytest.MonkeyPatch, name: str, i: int, k: int) -> None:
    compiled()
    kept = Kernel.kept

    def meddled(self: Kernel[..., Any], target: Target) -> Callable[..., Any] | None:
        function = kept(self, target)
        assert function is not None
        if self.__name__ != name:
            return function

        def call(*args: Any, **named: Any) -> Any:
            given = [*args, *(named[each] for each in SIGNATURES[name].names[len(args) :])]
            given[i], given[k] = given[k], given[i]
            return function(*given)

        return call

    monkeypatch.setattr(Kernel, "kept", meddled)
    assert canary.holds(host()) is False


@pytest.mark.parametrize("what", ["shape", "length", "result", "status"])
def test_other_mistakes_are_noticed(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    compiled()
    flattened, load = native._flattened, native.load

    def passed(array: Any, kind: Any, name: str) -> list[int]:
        numbers = flattened(array, kind, name)
        if what == "shape" and array.ndim == 2:
            numbers[5:7] = numbers[6], numbers[5]
        if what == "length" and array.ndim == 1:
            numbers[5] = array.itemsize
        return numbers

    def loaded(code: Any, name: str, parameters: Any, result: str) -> Callable[..., Any]:
        function = load(code, name, parameters, "bool" if what == "result" and result == "int" else result)

        def failing(*_: Any, **__: Any) -> None:
            raise RuntimeError(f"cannot run {name}: it raised an exception")

        return failing if what == "status" else function

    monkeypatch.setattr(native, "_flattened", passed)
    monkeypatch.setattr(native, "load", loaded)
    assert canary.holds(host()) is False


def test_what_is_not_trusted_is_said_once(monkeypatch: pytest.MonkeyPatch, unasked: None) -> None:
    monkeypatch.setattr(canary, "holds", lambda _: False)
    log = io.StringIO()
    telemetry.setup(as_json=True, stream=log)
    assert [decorator._trusted(target) for target in (*native.runnable(), host())] == [False] * 3
    [line] = log.getvalue().splitlines()
    assert '"event":"machine_code_refused"' in line


def test_canaries_do_no_harm_with_lengths_that_are_wrong() -> None:
    assert "_BOUND" in inspect.getsource(canary.weigh.function)
    grid = np.zeros((100, 1), np.int32)
    canary.weigh.py(
        np.zeros(1000, np.uint8), *[np.zeros(0, d) for d in (np.int8, np.int64, np.int64)], grid, 0, 0, False
    )
    assert np.count_nonzero(grid) == canary._BOUND - 1
