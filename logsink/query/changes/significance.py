"""Which counts differ by more than chance: expected counts, a score, and which of many changes to trust.

The counts of kind i are ``a[i]`` and ``b[i]``. If nothing had changed, ``b[i] / a[i]`` would be the same ``scale`` for all
kinds; it is the median of those that there are, so that one kind that grows a hundredfold does not make all others seem to
shrink.

The score is the log-likelihood ratio of Dunning ("Accurate Methods for the Statistics of Surprise and Coincidence", 1993)::

    G2 = 2 * (a * ln(a / expected_a) + b * ln(b / expected_b))

That takes messages to come independently of each other, which they do not: frequent kinds differ by more than that between any
two hours. How much more (``spread``, the standard deviation of ``ln(b / a)`` beyond that of independent messages) is
estimated from the median kind, and each score is lowered by it.

Many kinds are compared, so that some differ much by chance. The scores that count are those at which ``FALSE`` of the changes
shown are false (Benjamini and Hochberg, 1995), for errors and for other kinds apart.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from logsink.query.columns import Int64, Mask

Float64 = npt.NDArray[np.float64]

FALSE: Final = 0.02
"""Share of the changes shown that are expected to be false."""

LEAST_RATIO: Final = 1.5
"""The least ratio of a count to what was expected, in either direction, that is a change."""

LEAST_ROWS: Final = 5
"""Rows of a kind, on both sides together, below which nothing can be said of it."""

_COMPARABLE = 10
"""Rows on either side from which on a kind helps to estimate the scale and the spread."""

_ENOUGH_FOR_SCALE = 3
"""Kinds from which the scale is estimated; from fewer, it is that of all rows."""

_ENOUGH_FOR_SPREAD = 20
"""Kinds from which the spread is estimated; with fewer, it is ``_ASSUMED_SPREAD``."""

_ASSUMED_SPREAD = 0.1

_MEDIAN = 0.4549
"""Median of the chi-squared distribution with one degree of freedom."""

_WIDEST = 3.0
"""The largest spread: a factor of 20."""

_SMOOTH = 0.5
"""Added to counts that may be 0 before they are divided by."""


class Verdicts(NamedTuple):
    """What the counts say: for each kind the ratio of ``b`` to what was expected, the score, and whether it is a change."""

    scale: float
    spread: float
    ratio: Float64
    score: Float64
    changed: Mask


def verdicts(a: Int64, b: Int64, rows: tuple[int, int], errors: Mask) -> Verdicts:
    """Judge the counts of kinds on two sides, which have so many ``rows`` in all; ``errors``: which kinds are errors."""
    scale = _scale(a, b, rows)
    spread = _spread(a, b, scale)
    expected = (a + b) / (1 + scale)
    surprise = 2 * (_part(a, expected) + _part(b, expected * scale))
    chance = 1 / (a + _SMOOTH) + 1 / (b + _SMOOTH)
    score = np.maximum(surprise, 0) * chance / (chance + spread**2)
    ratio = (b + _SMOOTH * (a == 0)) / ((a + _SMOOTH * (a == 0)) * scale)
    large = (a == 0) | (b == 0) | (np.abs(np.log(np.maximum(ratio, 1e-300))) >= math.log(LEAST_RATIO))
    told = a + b >= LEAST_ROWS
    changed = np.zeros(len(a), np.bool_)
    for group in (told & errors, told & ~errors):
        changed[group] = _trusted(score[group])
    return Verdicts(scale, spread, ratio, score, changed & large)


def _part(count: Int64, expected: Float64) -> Float64:
    """Return ``count * ln(count / expected)``, which is 0 for 0."""
    rows = count.astype(np.float64)
    part: Float64 = rows * np.log(np.maximum(rows, 1) / np.maximum(expected, 1e-300))
    return part


def _comparable(a: Int64, b: Int64) -> Mask:
    found: Mask = (a >= _COMPARABLE) & (b >= _COMPARABLE)
    return found


def _scale(a: Int64, b: Int64, rows: tuple[int, int]) -> float:
    known = _comparable(a, b)
    if np.count_nonzero(known) < _ENOUGH_FOR_SCALE:
        return max(rows[1], 1) / max(rows[0], 1)
    return float(np.median(b[known] / a[known]))


def _spread(a: Int64, b: Int64, scale: float) -> float:
    """Return the spread with which the median kind is as surprising as it should be."""
    known = _comparable(a, b)
    if np.count_nonzero(known) < _ENOUGH_FOR_SPREAD:
        return _ASSUMED_SPREAD
    squares: Float64 = (np.log(b[known] / a[known]) - math.log(scale)) ** 2
    chance: Float64 = 1 / a[known] + 1 / b[known]
    low, high = 0.0, _WIDEST
    for _ in range(40):  # by bisection: the median falls as the spread grows
        middle = (low + high) / 2
        if np.median(squares / (chance + middle**2)) > _MEDIAN:
            low = middle
        else:
            high = middle
    return high if high > 1e-6 else 0.0


def _trusted(score: Float64) -> Mask:
    """Return which scores count."""
    chance = np.array([math.erfc(math.sqrt(each / 2)) for each in score.tolist()])
    order = np.argsort(chance, kind="stable")
    within = np.flatnonzero(chance[order] <= FALSE * np.arange(1, len(chance) + 1) / max(1, len(chance)))
    found = np.zeros(len(score), np.bool_)
    found[order[: within[-1] + 1 if len(within) else 0]] = True
    return found
