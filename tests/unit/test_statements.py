"""Statements about all of the code: every event and metric is emitted, and only the command line reads the environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

from logsink import telemetry

EVENTS = {name for name, value in vars(telemetry).items() if isinstance(value, telemetry.Event)}
METRICS = {name for name, value in vars(telemetry).items() if isinstance(value, Counter | Gauge | Histogram)}

ENDING = {"os._exit", "os.abort", "sys.exit", "exit", "quit", "SystemExit"}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.path.expandvars", "os.path.expanduser"}

ALLOWED = {
    ("warm.py", "sys.exit"),  # a program of its own: python -m logsink.warm
    ("receiver/workers.py", "os._exit"),  # of a worker's process, which the process of the command line has forked
    ("platform/caches.py", "os.path.expanduser"),  # the user's cache, which a library finds without a command line
}
"""Exceptions, each with its reason."""


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((root / "logsink").rglob("*.py")):
        yield str(path.relative_to(root / "logsink")), ast.parse(path.read_text(encoding="utf-8"))


def dotted(node: ast.AST) -> str:
    """The name that an expression spells, as ``os.path.expandvars``; '' for other expressions."""
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def used(tree: ast.Module) -> set[str]:
    """Every name and dotted name of a module, those of ``from x import y`` as ``x.y``."""
    names = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_declared_event_and_metric_is_emitted(root: Path) -> None:
    """By its name: ``telemetry.READY.log(...)``, or ``telemetry.READY`` handed to another function."""
    by_telemetry = {  # ``BUILD``, and those behind ``count_frames`` and ``count_flags``
        dotted(node.value)
        for node in ast.walk(dict(modules(root))["telemetry.py"])
        if isinstance(node, ast.Attribute) and node.attr in ("inc", "labels", "set", "observe", "log")
    }
    by_others = {
        name.rpartition(".")[2]
        for file, tree in modules(root)
        if file != "telemetry.py"
        for name in used(tree)
        if name.startswith(("telemetry.", "logsink.telemetry."))
    }
    assert sorted((EVENTS | METRICS) - by_others - by_telemetry) == []


def test_every_emitted_event_and_metric_is_declared(root: Path) -> None:
    for file, tree in modules(root):
        for name in used(tree):
            if name.startswith("telemetry.") and name.count(".") == 1:
                assert hasattr(telemetry, name.partition(".")[2]), f"{file}: {name}"


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_an_event_names_its_matter_by_fields_of_its_own(event: str) -> None:
    declared: telemetry.Event = getattr(telemetry, event)
    shown = set(declared.matter or ()) - {"kind", "where"}  # of two fields that are told apart, but not shown
    assert all(f"{{{field}" in declared.text for field in shown), declared


def test_events_are_declared_nowhere_else(root: Path) -> None:
    for file, tree in modules(root):
        if file != "telemetry.py":
            calls = {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
            assert not calls & {"telemetry.Event", "Event", "Notices", "notices.Notices"}, file


def test_only_the_command_line_reads_the_environment_or_ends_the_process(root: Path) -> None:
    found = {
        (file, name)
        for file, tree in modules(root)
        if not file.startswith("cli/")
        for name in used(tree) & (ENDING | ENVIRONMENT)
    }
    assert found <= ALLOWED, sorted(found - ALLOWED)
