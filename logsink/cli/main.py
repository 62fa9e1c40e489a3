"""The command ``logsink``: a group of verbs, each imported only when it is called; every error is one line and exit 2."""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Any

import click

from logsink import __version__
from logsink.characters import harmless
from logsink.cli.terminal import streams
from logsink.errors import LogsinkError, ReaderGone
from logsink.place import redacted

VERBS = {
    "serve": "Receive syslog and keep it.",
    "query": "Find what was kept.",
    "sql": "Run SQL over it.",
    "maintain": "Look after a store.",
    "config": "Check and show settings.",
    "completion": "Make a shell complete all this.",
}
"""Verb to its line in ``logsink --help``; ``logsink.cli.<verb>`` holds the click command ``command``."""

SILENT = ("serve",)
"""Verbs that print nothing on stdout: it may be closed."""

_INTERRUPTED = 130
_NO_SUCH = (click.NoSuchOption, click.exceptions.NoSuchCommand)


class _Lazy(click.Group):
    """Knows its verbs by name and imports one when it runs, so that ``--version`` costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"logsink.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that ``args`` begin with, if there is a place for what it prints."""
        name, command, rest = super().resolve_command(ctx, args)
        if name not in SILENT:
            streams.refuse_closed()
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:  # a temporary file on a full disk; click makes of some exit code 1: "nothing found"
            raise LogsinkError(f"cannot go on: {error}") from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run and exit: 0 or what the verb returns, 2 for errors, 130 for an interrupt. Never a traceback for these."""
        streams.take()
        try:
            code = super().main(*args, **kwargs | {"standalone_mode": False})
        except click.exceptions.Abort:
            code = _INTERRUPTED
        except click.ClickException as error:
            code = _usage(error)
        except KeyboardInterrupt:
            code = _INTERRUPTED
        except ReaderGone:
            code = 0
        except LogsinkError as error:
            report(error)
            code = 2
        except Exception:  # noqa: BLE001  a mistake of ours: 1 would mean "nothing found"
            traceback.print_exc()
            code = 2
        if kwargs.get("standalone_mode", True):
            sys.exit(_flushed(code if isinstance(code, int) else 0))
        return code


def report(error: LogsinkError) -> None:
    """Print ``error`` on stderr: ``logsink: <message> (<hint>)``, a line for each of the message's lines."""
    lines = str(error).splitlines() or [type(error).__name__]
    if error.hint:
        lines[-1] += f" ({error.hint})"
    for line in lines:
        click.echo(f"logsink: {harmless(line)}", err=True)


def _usage(error: click.ClickException) -> int:
    """Print what is wrong with the command line, on one line; a group called without a verb shows its help instead."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    else:
        from logsink.cli.suggestions import remedies

        context = getattr(error, "ctx", None)
        message = getattr(error, "message", None) if isinstance(error, _NO_SUCH) else error.format_message()
        text = redacted((message or error.format_message()).rstrip(".").replace("\n", " "))
        hints = [*remedies(error), *([f"see `{context.command_path} --help`"] if context else [])]
        told = f" ({'; '.join(hints)})" if hints else ""
        click.echo(f"logsink: {harmless(f'{text[:1].lower()}{text[1:]}')}{harmless(told)}", err=True)
    return error.exit_code


def _flushed(code: int) -> int:
    """``code``, once what was printed has left."""
    try:
        sys.stdout.flush()
    except ReaderGone:
        return code
    except LogsinkError as error:
        report(error)
        return 2
    return code


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="logsink %(version)s")
def main() -> None:
    """Central syslog server whose archive outlives every server, itself included."""
