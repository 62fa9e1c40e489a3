"""What the documentation says is there is there, and what is there is in the documentation."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from logsink import __version__, telemetry
from logsink.cli.main import VERBS, main
from logsink.config import SETTINGS, load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
DOCS = "\n".join(TEXT.values())


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(command: click.Command = main, path: str = "logsink") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None
            yield from commands(sub, f"{path} {name}")


COMMANDS = dict(commands())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_generated_parts_are_current(generator: ModuleType, page: Path) -> None:
    assert generator.render(TEXT[page]) == TEXT[page], "run `make docs`"


def test_generated_files_are_current(generator: ModuleType) -> None:
    for path, text in generator.files():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run `make docs`"


def test_every_generated_part_has_its_place(generator: ModuleType) -> None:
    for part in generator.PARTS:
        assert DOCS.count(f"<!-- {part} -->") == 1


@pytest.mark.parametrize("path", COMMANDS)
def test_every_verb_and_flag(path: str) -> None:
    assert f"## {path}\n" in TEXT[ROOT / "docs" / "commands.md"]
    for parameter in COMMANDS[path].params:
        for flag in parameter.opts if isinstance(parameter, click.Option) else ():
            assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", DOCS), f"{path} {flag}"


def test_every_flag_of_a_query_is_tested() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for path in ("logsink query", "logsink sql"):
        for parameter in COMMANDS[path].params:
            for flag in parameter.opts if isinstance(parameter, click.Option) else ():
                assert re.search(rf'"(?:[^"\n]* )?{re.escape(flag)}(?![\w-])', tests), f"{path} {flag}"


def test_help_is_what_the_documentation_shows() -> None:
    """A snapshot: whoever changes an option changes docs/commands.md, and sees in the review what users will."""
    shown = TEXT[ROOT / "docs" / "commands.md"]
    for path in COMMANDS:
        result = CliRunner().invoke(main, [*path.split()[1:], "--help"], prog_name="logsink", terminal_width=100)
        assert f"```text\n{result.stdout.rstrip()}\n```" in re.sub(r"[ ]+$", "", shown, flags=re.MULTILINE), path


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting(key: str) -> None:
    page = TEXT[ROOT / "docs" / "configuration.md"]
    assert f"`{SETTINGS[key].variable}`" in page
    assert f"| `{key.rpartition('.')[2]}` |" in page


def test_every_setting_that_is_named_exists() -> None:
    sections = "|".join({key.partition(".")[0] for key in SETTINGS if "." in key})
    named = set(re.findall(rf"`((?:{sections})\.[a-z_]+)`", DOCS))
    assert named
    assert named <= set(SETTINGS)


def test_every_flag_that_is_named_exists() -> None:
    known = {opt for command in COMMANDS.values() for p in command.params for opt in p.opts} | {"--help", "--version"}
    for line in DOCS.splitlines():
        if re.search(r"(\$ |^|`)(\.venv/bin/)?logsink (serve|query|sql|config|completion)\b", line):
            shown = line.partition("logsink ")[2].partition("#")[0].split("`")[0]
            assert set(re.findall(r"(?<!\S)--[a-z-]+", shown)) <= known, line


def test_every_metric_that_is_named_exists(generator: ModuleType) -> None:
    metrics = set(re.findall(r"\| `(logsink_\w+)`", "\n".join(generator.metrics())))
    assert set(re.findall(r"\b(logsink_[a-z_]+)\b", DOCS)) <= metrics
    ours = [one for one in telemetry.REGISTRY.collect() if one.name.startswith("logsink_")]
    assert len(metrics) == len(ours)


def test_links_lead_somewhere() -> None:
    for page, text in TEXT.items():
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_anchors_lead_somewhere() -> None:
    for page, text in TEXT.items():
        for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", text):
            there = (page.parent / target).read_text(encoding="utf-8") if target else text
            heads = {
                re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-")
                for head in re.findall(r"^#+ (.*)$", there, re.MULTILINE)
            }
            assert anchor in heads, f"{page.name}: {anchor}"


def test_examples_of_settings_are_accepted(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    assert examples
    for example in examples:
        tomllib.loads(example)
        path = tmp_path / "logsink.toml"
        path.write_text(example)
        load(path, {"HOME": "/home/ada"}, {})


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z]+)", DOCS)) | set(re.findall(r"^\$ make ([a-z]+)", DOCS, re.MULTILINE))
    assert named
    for target in named:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


def test_readme_shows_every_verb() -> None:
    for verb in VERBS:
        assert f"logsink {verb}" in TEXT[ROOT / "README.md"]


def test_changelog_has_this_version() -> None:
    assert re.search(rf"^## \[?({re.escape(__version__)}|Unreleased)\b", TEXT[ROOT / "CHANGELOG.md"], re.MULTILINE)
