"""The verbs about a fleet at a terminal: what they show fits into it."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tests.support.receiver import COMMAND
from tests.support.terminal import Terminal


@pytest.mark.parametrize(
    ("verb", "columns", "shown", "said"),
    [
        ("hosts", 80, "instance ", "no room for environment, bytes, first; -o json shows all columns"),
        ("hosts", 40, "-- row 1", "no room for environment, bytes, first, deploy, errors; -o json shows all columns"),
        ("deploys", 100, "deploy ", ""),
    ],
)
def test_a_table_fits_its_terminal(url: str, verb: str, columns: int, shown: str, said: str) -> None:
    with Terminal([*COMMAND, verb, "--store", url], columns=columns) as terminal:
        code, text = terminal.end()
    assert code == 0
    table = [line for line in text.splitlines() if not line.startswith("logsink: ")]
    assert table[0].startswith(shown)
    assert max(map(cell_len, table)) <= columns
    assert said in text
