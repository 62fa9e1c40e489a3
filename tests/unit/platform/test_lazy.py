from __future__ import annotations

import subprocess
import sys

import pytest

import logsink.query
from logsink.query.read.answer import search


def test_an_export_is_the_name_of_its_module() -> None:
    assert logsink.query.search is search
    assert all(getattr(logsink.query, name) for name in logsink.query.__all__)


def test_there_is_nothing_else() -> None:
    with pytest.raises(AttributeError, match=r"module 'logsink\.query' has no attribute 'elsewhere'"):
        logsink.query.elsewhere  # type: ignore[attr-defined]  # noqa: B018


def test_nothing_is_imported_before_it_is_used() -> None:
    program = "import sys, logsink.query; sys.exit('pyarrow' in sys.modules or 'logsink.query.read' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
