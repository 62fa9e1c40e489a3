"""The command itself: errors are one line, exit codes hold, and starting costs nothing."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time

import click
import pytest
from click.testing import CliRunner

from logsink import __version__
from logsink.cli import main as cli
from logsink.errors import ArgumentError, ConfigError, LogsinkError


@pytest.fixture
def raises(monkeypatch: pytest.MonkeyPatch):
    """Make ``logsink config`` a verb that raises what it is given, or returns it."""

    def use(outcome: object) -> None:
        @click.command()
        def verb() -> object:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        import logsink.cli.config

        monkeypatch.setattr(logsink.cli.config, "command", verb)

    return use


@pytest.mark.parametrize(
    ("outcome", "code", "stderr"),
    [
        (None, 0, ""),
        (1, 1, ""),
        (LogsinkError("cannot do it: no"), 2, "logsink: cannot do it: no\n"),
        (ArgumentError("cannot read x", hint="write y"), 2, "logsink: cannot read x (write y)\n"),
        (ConfigError("one\ntwo"), 2, "logsink: one\nlogsink: two\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (click.exceptions.Exit(3), 3, ""),
        (click.UsageError("Bad thing."), 2, "logsink: bad thing (see `logsink config --help`)\n"),
    ],
)
def test_exit(raises, outcome: object, code: int, stderr: str) -> None:
    raises(outcome)
    result = CliRunner().invoke(cli.main, ["config"], prog_name="logsink")
    assert (result.exit_code, result.stderr) == (code, stderr)


def test_a_bug_is_not_hidden(raises) -> None:
    raises(ZeroDivisionError("bug"))
    result = CliRunner().invoke(cli.main, ["config"])
    assert result.exit_code == 2  # 1 would say that nothing was found
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("ZeroDivisionError: bug\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nothing"], "logsink: no such command 'nothing' (see `logsink --help`)\n"),
        (["config", "check", "--nothing"], "logsink: no such option '--nothing' (see `logsink config check --help`)\n"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], line: str) -> None:
    result = CliRunner().invoke(cli.main, arguments, prog_name="logsink")
    assert (result.exit_code, result.stderr, result.stdout) == (2, line, "")


def test_version() -> None:
    assert CliRunner().invoke(cli.main, ["--version"]).stdout == f"logsink {__version__}\n"


def test_help_names_every_verb() -> None:
    shown = CliRunner().invoke(cli.main, ["--help"]).stdout
    for verb, text in cli.VERBS.items():
        assert verb in shown
        assert text in shown


def test_a_reader_that_goes_ends_it_quietly() -> None:
    """The reading end of stdout is closed before a word is printed."""
    code = "import os; r, w = os.pipe(); os.close(r); os.dup2(w, 1); from logsink.cli.main import main; main()"
    result = subprocess.run([sys.executable, "-c", code, "config", "show"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_in_the_middle_of_a_write_loses_nothing(unbuffered: str) -> None:
    """The pipe is full when the process is stopped: what was left of that write comes when it goes on."""
    size = 1 << 20
    code = (
        "import sys, click, logsink.cli.config as verb; from logsink.cli.main import main\n"
        f"verb.command = click.Command('config', callback=lambda: sys.stdout.buffer.write(bytes({size})) and None)\n"
        "main(['config'])"
    )
    environ = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environ) as process:
        assert process.stdout is not None
        held, capacity = 0, fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ)
        while held < capacity:
            (held,) = struct.unpack("i", fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)))
            time.sleep(0.01)  # another process: nothing here is told when it waits
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == bytes(size)
    assert process.returncode == 0


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["config", "show"]])
def test_starting_imports_nothing_heavy(arguments: list[str]) -> None:
    """What makes a start slow is imports; these are the ones that cost more than 20 ms."""
    heavy = {
        "numpy",
        "numba",
        "pyarrow",
        "pydantic",
        "aiohttp",
        "aiobotocore",
        "asyncio",
        "deltalake",
        "prometheus_client",
    }
    code = (
        "import sys; from logsink.cli.main import main\n"
        f"try: main({arguments!r})\n"
        f"except SystemExit: print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    environ = {"HOME": "/home/ada"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert result.stderr == "[]\n"
