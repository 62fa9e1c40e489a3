"""What a shell is offered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from logsink.cli.completion import VARIABLE
from logsink.cli.main import main


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("que", ["query"]),
        ("query --cursor", ["--cursor-file"]),
        ("query -o json", ["json", "json-pretty"]),
        ("query -p e", ["emerg", "err"]),
        ("query -p err..n", ["err..notice"]),
        ("sql --facility !c", ["!cron", "!clock"]),
        ("query --flag tr", ["truncated"]),
        ("query --fields time,ho", ["time,host"]),
        ("query --top s", ["severity", "structured_data", "sender"]),
        ("query --hist 1h --by ms", ["msgid"]),
        ("query --values ins", ["instance"]),
        ("query --stats by=app,sev", ["by=app,severity"]),
        ("query --stats app", []),
        ("query --stats by=ro", ["by=role"]),
        ("query -z Europe/Berl", ["Europe/Berlin"]),
        ("client-config sys", ["syslog-ng"]),
        ("client-config rsyslog --format k", ["kubernetes"]),
        ("completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_what_is_offered(words: str, offered: list[str]) -> None:
    *before, incomplete = words.split(" ")
    found = ShellComplete(main, {}, "logsink", VARIABLE).get_completions(before, incomplete)
    assert [item.value for item in found] == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_call_logsink_back(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"{VARIABLE}={shell}_complete" in result.stdout


def test_bash_completes(tmp_path: Path) -> None:
    bash = shutil.which("bash") or pytest.skip("bash is not installed")
    command = tmp_path / "logsink"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m logsink "$@"\n')
    command.chmod(0o755)
    script = """
eval "$(logsink completion bash)"
COMP_WORDS=(logsink query --framing o) COMP_CWORD=3
_logsink_completion logsink
echo "${COMPREPLY[@]}"
"""
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, env=environ, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("octet\n", "")
