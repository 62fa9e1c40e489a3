"""What ``make bench`` runs is there, and what it plots can be read."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from benchmarks import beside
from benchmarks.__main__ import CLAIMS
from benchmarks.beside import Cost, row
from benchmarks.ingest import TITLES
from benchmarks.plot import bars
from benchmarks.report import table
from benchmarks.yardstick import PIECE, Yardstick


@pytest.mark.parametrize("module", sorted({claim.command.split()[0] for claim in CLAIMS.values()}))
def test_every_claim_has_a_command_that_says_what_it_measures(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", "--help"], capture_output=True, text=True, check=True
    )
    assert "--json" in done.stdout


def test_who_is_not_installed_has_no_figures() -> None:
    ours, theirs = [Cost(3.0, 2.0, 7)] * 2, [Cost(1.5, 1.0, 6)] * 2
    alone, together = row("q", {"logsink": ours}), row("q", {"logsink": ours, "victoria": theirs})
    assert list(alone) == list(together) == list(beside.TITLES)
    assert (alone["logsink"], alone["victoria"], alone["ratio"], alone["victoria_lines"]) == (3.0, None, None, None)
    assert (together["victoria"], together["ratio"], together["victoria_lines"]) == (1.5, 2.0, 6)
    assert table([alone], beside.TITLES).splitlines()[-1] == "| q | 3.0 |  |  | 2.0 |  |  | 7 |  |"


def test_bars_are_as_long_as_their_values() -> None:
    picture = ElementTree.fromstring(bars("A & B", "s", [("<one>", 1.0), ("two", 0.5), ("nothing", 0.0)]))
    texts = [text.text for text in picture.findall("{*}text")]
    assert texts == ["A & B, s", "<one>", "1", "two", "0.5", "nothing", "0"]
    widths = [float(bar.attrib["width"]) for bar in picture.findall("{*}rect")][1:]
    assert widths[1] == widths[0] / 2
    assert widths[2] == 0


def test_the_yardstick_is_a_row_beside_what_is_measured() -> None:
    yardstick = Yardstick(bytes(PIECE + 1), 1000)
    for _ in range(3):
        yardstick.run()
    row = yardstick.report(2.0, TITLES)
    assert list(row) == list(TITLES)
    assert 0 < row["lowest"] <= row["cpu_s_per_million"] <= row["highest"]
    assert row["ratio"] == pytest.approx(row["cpu_s_per_million"] / 2, abs=0.01)
    assert table([row], TITLES).splitlines()[-1].endswith("|  |  |  |  |  |  |")
