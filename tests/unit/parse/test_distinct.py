"""Numbers of texts: the same for the same octets, and for no others."""

from __future__ import annotations

import numpy as np
import pytest

from logsink.parse.distinct import DistinctTexts
from logsink.parse.workspace import Workspace


@pytest.mark.usefixtures("either_form")
def test_every_bit_of_a_text_counts() -> None:
    texts = [b""]
    for length in range(1, 20):
        texts += [bytes(length), b"a" * length]
        for bit in range(8 * length):
            changed = bytearray(b"a" * length)
            changed[bit >> 3] ^= 1 << (bit & 7)
            texts.append(bytes(changed))
    ends = np.cumsum([len(text) for text in texts], dtype=np.int32)
    starts = np.concatenate([np.zeros(1, np.int32), ends[:-1]])
    spans = np.concatenate([np.stack([starts, ends], axis=1)] * 2)
    numbers, found = DistinctTexts(Workspace(), "any"), np.empty(2 * len(texts), np.int32)
    numbers.encode(np.frombuffer(b"".join(texts), np.uint8), spans, 0, found)
    assert found.tolist() == [*range(len(texts))] * 2
