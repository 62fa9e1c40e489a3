"""Rooms export what their ``__init__`` says, and importing one does not import what only a receiver needs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

ROOMS = ("logsink.archive", "logsink.journal", "logsink.store")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_what_it_says_it_exports(room: str) -> None:
    module = importlib.import_module(room)
    for name in module.__all__:
        assert getattr(module, name) is not None


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
