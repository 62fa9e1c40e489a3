"""Rooms export what their ``__init__`` says, and importing one does not import what only a receiver needs."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys

import pytest

ROOMS = ("logsink.archive", "logsink.journal", "logsink.store")

MAPPED = (
    *ROOMS,
    *(f"logsink.{name}" for name in ("index", "integrity", "kernel", "net", "parse", "receiver", "wire")),
    *(f"logsink.query.{name}" for name in ("changes", "order", "output", "read", "spark", "sql", "views")),
)
"""Rooms whose docstring is a map of their modules."""


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_what_it_says_it_exports(room: str) -> None:
    module = importlib.import_module(room)
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("room", MAPPED)
def test_a_map_of_a_room_names_each_of_its_modules(room: str) -> None:
    package = importlib.import_module(room)
    words = set(re.findall(r"\w+", package.__doc__ or ""))
    assert [name for _, name, _ in pkgutil.iter_modules(package.__path__) if name not in words] == []


def test_an_import_of_a_room_imports_nothing_that_only_a_receiver_needs() -> None:
    code = (
        "import sys, logsink.archive, logsink.journal, logsink.store;"
        "heavy = ('logsink.archive.archiver', 'logsink.archive.maintenance', 'logsink.journal.writer', 'logsink.store.s3');"
        "print([name for name in heavy if name in sys.modules]);"
        "logsink.archive.Archiver; print('logsink.archive.archiver' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\nTrue\n"


def test_a_query_imports_what_reads_the_index_only_when_it_asks_it() -> None:
    code = (
        "import sys, logsink.cli.query.run, logsink.query.read.answer, logsink.query.read.scan;"
        "print([name for name in ('logsink.query.read.index', 'logsink.index.objects', 'numba') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
