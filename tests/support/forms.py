"""Which form of the kernels runs: machine code, or the same source as plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from logsink.kernel import Kernel


@contextmanager
def running(*, compiled: bool) -> Iterator[None]:
    """Run kernels as machine code inside the block, or as plain Python; also a decorator of functions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kernel, "pays", lambda *_: compiled)
        if not compiled:
            patch.setattr(Kernel, "__call__", Kernel.py)
        yield
