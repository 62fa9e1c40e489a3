"""What can be known of the image without building it."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from logsink.config import load


@pytest.fixture(scope="module")
def stages(root: Path) -> list[list[tuple[str, str]]]:
    """Instructions of each stage, continued lines joined."""
    text = (root / "Dockerfile").read_text().replace("\\\n", " ")
    found: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            found.append([])
        if found and word.isupper():
            found[-1].append((word, " ".join(rest.split())))
    return found


def only(stage: list[tuple[str, str]], word: str) -> str:
    values = [rest for name, rest in stage if name == word]
    assert len(values) == 1
    return values[0]


def test_not_root(stages: list[list[tuple[str, str]]]) -> None:
    user, group = only(stages[-1], "USER").split(":")
    assert int(user) >= 1000
    assert int(group) >= 1000
    names = [word for word, _ in stages[-1]]
    assert not {"RUN", "COPY", "ADD"} & set(names[names.index("USER") :])


def test_compiled_for_the_processor_it_will_be_run_for(stages: list[list[tuple[str, str]]]) -> None:
    """-P: the installed package is warmed, not the copy of its source in the working directory."""
    assert any("python -P -m logsink.warm" in rest for word, rest in stages[0] if word == "RUN")
    for stage in stages:
        assert any("NUMBA_CPU_NAME=generic" in rest for word, rest in stage if word == "ENV")


def test_it_can_sign_ledgers(stages: list[list[tuple[str, str]]], root: Path) -> None:
    (extras,) = (
        rest.removeprefix("EXTRAS=") for word, rest in stages[0] if word == "ARG" and rest.startswith("EXTRAS=")
    )
    assert any('".[$EXTRAS]"' in rest for word, rest in stages[0] if word == "RUN")
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"sign"} <= set(extras.split(",")) <= set(declared)


def test_same_python_in_both_stages(stages: list[list[tuple[str, str]]]) -> None:
    """The environment is copied from one to the other, with links to the interpreter in it."""
    assert {only(stage, "FROM").split()[0] for stage in stages} == {"python:${PYTHON}"}


def test_healthcheck_and_ports_are_those_of_the_settings(root: Path, stages: list[list[tuple[str, str]]]) -> None:
    config = load(root / "container.toml", {}, {})
    assert config.listen.http is not None
    assert f":{config.listen.http.port}/healthz" in only(stages[-1], "HEALTHCHECK")
    ports = {f"{a.port}/tcp" for a in (*config.listen.tcp, *config.listen.relp, config.listen.http)}
    ports |= {f"{a.port}/udp" for a in config.listen.udp}
    assert set(only(stages[-1], "EXPOSE").split()) == ports
    assert config.store.startswith(f"file://{only(stages[-1], 'VOLUME')}/")


def test_it_runs_the_command(stages: list[list[tuple[str, str]]]) -> None:
    from click.testing import CliRunner

    from logsink.cli.main import main

    assert json.loads(only(stages[-1], "ENTRYPOINT")) == ["logsink"]
    verb, *flags = json.loads(only(stages[-1], "CMD"))
    shown = CliRunner().invoke(main, [verb, "--help"]).stdout
    assert all(flag in shown for flag in flags if flag.startswith("--"))


def test_what_is_copied_is_there_and_not_ignored(root: Path, stages: list[list[tuple[str, str]]]) -> None:
    ignored = (root / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    for stage in stages:
        for word, rest in stage:
            if word == "COPY" and "--from" not in rest:
                *sources, _ = rest.split()
                for source in sources:
                    assert (root / source).exists()
                    assert any(fnmatch(source, pattern) for pattern in allowed), source


def test_one_liner_is_python(stages: list[list[tuple[str, str]]]) -> None:
    command = re.search(r"CMD (\[.*\])", only(stages[-1], "HEALTHCHECK"))
    assert command
    compile(json.loads(command[1])[2], "healthcheck", "exec")
