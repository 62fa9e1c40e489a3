"""How a benchmark ends: what it found as a Markdown table, and as JSON with the machine that it was found on."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def report(
    name: str, rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str], file: Path | None, **setting: object
) -> None:
    """Print the table and the setting; write both to ``file``, the rows as ``name``. ``titles``: of the columns, by key."""
    print(table(rows, titles))
    setting = {"machine": machine(), "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"} | setting
    print(f"\n{json.dumps(setting)}")
    if file:
        file.write_text(json.dumps(setting | {name: rows}, indent=2) + "\n")


def table(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> str:
    """As Markdown; the first column is text, the others are figures or nothing."""
    lines = ["| " + " | ".join(titles.values()) + " |", "| --- |" + " ---: |" * (len(titles) - 1)]
    lines += ["| " + " | ".join("" if row[key] is None else str(row[key]) for key in titles) + " |" for row in rows]
    return "\n".join(lines)


def machine() -> dict[str, object]:
    """What these figures were measured on."""
    processor = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    uname = os.uname()
    return {
        "processor": processor.partition(":")[2].strip() or uname.machine,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / (1 << 30), 1),
        "system": f"{uname.sysname} {uname.release}",
    }
