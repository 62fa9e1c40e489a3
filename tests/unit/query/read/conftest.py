"""What tests of reading share."""

from __future__ import annotations

import pytest

from logsink.query.read import datafile


@pytest.fixture
def ranged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in parts, however small they are."""
    monkeypatch.setattr(datafile, "WHOLE", 0)
