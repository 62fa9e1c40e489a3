"""Changes are told from chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from logsink.query.changes.significance import verdicts


def judged(a: list[int], b: list[int], errors: list[bool] | None = None):  # type: ignore[no-untyped-def]
    first, second = np.array(a, np.int64), np.array(b, np.int64)
    flags = np.zeros(len(a), np.bool_) if errors is None else np.array(errors)
    return verdicts(first, second, (sum(a), sum(b)), flags)


def test_the_score_is_the_log_likelihood_ratio() -> None:
    """As Dunning's: twice the sum of each count times the logarithm of its ratio to what was expected."""
    found = judged([0, 1000], [30, 1000])
    assert found.scale == pytest.approx(1.03)
    assert found.score[0] == pytest.approx(2 * 30 * math.log(2.03 / 1.03), rel=0.01)


def test_one_kind_that_grows_does_not_shrink_the_others() -> None:
    found = judged([100] * 30, [100] * 29 + [1_000_000])
    assert found.scale == 1
    assert found.changed.tolist() == [False] * 29 + [True]


def test_frequent_kinds_that_all_vary_are_no_changes() -> None:
    """Independent messages would make each of these counts a change."""
    factors = np.exp(np.random.default_rng(1).normal(0, 0.5, 200))
    found = judged([100_000] * 200, (100_000 * factors).astype(int).tolist())
    assert found.spread == pytest.approx(0.5, rel=0.2)
    assert not found.changed.any()


def test_independent_counts_have_no_spread() -> None:
    random = np.random.default_rng(2)
    found = judged(random.poisson(500, 300).tolist(), random.poisson(500, 300).tolist())
    assert found.spread < 0.04
    assert np.count_nonzero(found.changed) == 0


def test_small_changes_and_few_rows_are_none() -> None:
    assert not judged([1_000_000] * 30, [1_000_000] * 29 + [1_400_000]).changed[-1]
    assert not judged([1000] * 30 + [0], [1000] * 30 + [4]).changed[-1]


def test_errors_are_judged_among_errors() -> None:
    """A new error of eight rows among few errors counts; among many kinds it may be chance."""
    random = np.random.default_rng(3)
    a, b = random.poisson(50, 2000).tolist(), random.poisson(50, 2000).tolist()
    assert not judged([*a, 0], [*b, 8]).changed[-1]
    assert judged([*a, 0], [*b, 8], [False] * 2000 + [True]).changed[-1]


def test_nothing_to_compare() -> None:
    assert judged([], []).changed.tolist() == []
    assert judged([0, 50, 60, 70], [400, 50, 60, 70]).changed.tolist() == [True, False, False, False]
