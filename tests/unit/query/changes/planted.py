"""Two sides of messages of many kinds, with noise, and changes planted among them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from logsink.query.columns import SCHEMA, as_rows

START = 1_795_305_600_000_000
INSTANCES = 12
_SYLLABLES = (
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "ri",
    "so",
    "tu",
    "va",
    "we",
    "zi",
)
_NAMES = _SYLLABLES
_USERS = 300


class Planted(NamedTuple):
    """The rows of both sides, and the kinds that were changed, by the first word of their messages."""

    sides: tuple[pa.Table, pa.Table]
    new: set[str]
    gone: set[str]
    doubled: set[str]

    @property
    def changes(self) -> dict[str, str]:
        """The marks of the kinds that were changed, and what was done to them."""
        named = (("NEW", self.new), ("GONE", self.gone), ("MORE", self.doubled))
        return {mark: change for change, marks in named for mark in marks}


def planted(seed: int, *, kinds: int = 1000, each: int = 20, rows: float = 150, noise: float = 0.05) -> Planted:
    """Make kinds of messages whose counts are spread over orders of magnitude around ``rows``, and change three times ``each``.

    Noise: side B has 1.7 times the rows. Each count varies by ``noise`` besides chance. Of each kind the instances have
    different shares, and some have none. One kind of twenty comes in a burst of one instance, on one side or on both. Messages
    hold numbers, addresses and, one kind of ten, names.
    """
    random = np.random.default_rng(seed)
    words = _words(random, 800)
    marks = [f"q{chr(97 + n // 676)}{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}" for n in range(kinds)]
    shapes = [_shape(random, words, mark, named=n % 10 == 0) for n, mark in enumerate(marks)]
    mean = rows * np.exp(random.normal(0, 1, kinds))
    picked = random.permutation(kinds)[: 3 * each].reshape(3, each)
    expected = [mean * np.exp(random.normal(0, noise, kinds)), 1.7 * mean * np.exp(random.normal(0, noise, kinds))]
    expected[0][picked[0]] = expected[1][picked[1]] = 0
    expected[1][picked[2]] *= 2
    bursts = np.setdiff1d(np.flatnonzero(random.random(kinds) < 1 / 20), picked)
    for side in (0, 1):
        expected[side][bursts] *= random.random(len(bursts)) < 0.5
    tables = []
    for side in (0, 1):
        counts = random.poisson(expected[side])
        kind = np.repeat(np.arange(kinds), counts)
        affinity = random.gamma(1, 1, (kinds, INSTANCES)) + 0.05
        affinity[bursts] = np.eye(INSTANCES)[random.integers(INSTANCES, size=len(bursts))]
        edges = np.cumsum(affinity / affinity.sum(axis=1, keepdims=True), axis=1)
        instance = np.minimum((random.random(len(kind))[:, None] > edges[kind]).sum(axis=1), INSTANCES - 1)
        tables.append(_rows(random, shapes, kind, instance, side))
    changed = [{marks[n] for n in group} for group in picked]
    return Planted((tables[0], tables[1]), *changed)


def _words(random: np.random.Generator, n: int) -> list[str]:
    return ["".join(random.choice(_SYLLABLES, random.integers(2, 4))) for _ in range(n)]


def _shape(random: np.random.Generator, words: list[str], mark: str, *, named: bool) -> str:
    """Return a format of messages, of which the first or the third word says which kind it is."""
    body = [str(word) for word in random.choice(words, random.integers(4, 11))]
    body.insert(0 if random.random() < 0.5 else 2, mark)
    body.insert(
        int(random.integers(2, len(body))), ("{0}", "10.0.{1}.{0}:{2}", "id={2:08x}", "/var/{0}/x")[random.integers(4)]
    )
    return " ".join([*body, *(["for", "{3}"] if named else [])])


def _rows(
    random: np.random.Generator, shapes: list[str], kind: np.ndarray, instance: np.ndarray, side: int
) -> pa.Table:
    variants = np.array([_USERS if "{3}" in shape else 8 for shape in shapes])
    texts = pa.array([text for shape, n in zip(shapes, variants, strict=True) for text in _texts(random, shape, n)])
    n = len(kind)
    order = random.permutation(n)
    kind, instance = kind[order], instance[order]
    begins = np.cumsum(variants) - variants
    chosen = begins[kind] + (random.random(n) * variants[kind]).astype(np.int64)
    names = pa.array([f"i-{side}-{k}" for k in range(INSTANCES)])
    table = pa.table(
        {
            "time": pa.array(START + np.arange(n) * 1000, pa.timestamp("us", "UTC")),
            "message": texts.take(pa.array(chosen)),
            "severity": pa.array(np.where(kind % 7 == 0, 3, 6), pa.int8()),
            "app": pa.array(["shop"]).take(pa.array(np.zeros(n, np.int64))),
            "instance": names.take(pa.array(instance)),
        }
    )
    return as_rows(table, SCHEMA.names)


def _texts(random: np.random.Generator, shape: str, n: int) -> list[str]:
    numbers = random.integers(0, 250, (n, 2)).tolist()
    large = random.integers(0, 1 << 31, n).tolist()
    return [shape.format(*numbers[k], large[k], f"{_NAMES[k % len(_NAMES)]}{_NAMES[k // 18 % 18]}x") for k in range(n)]
