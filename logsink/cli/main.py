"""The command ``logsink``: verbs that are imported when they are called. An error is a line on stderr and exit code 2."""

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
    "serve": "Receive syslog and store it.",
    "query": "Search logs.",
    "sql": "Run SQL over logs.",
    "hosts": "Show who sent logs, and who has fallen silent.",
    "deploys": "Show deploys in the order in which they came.",
    "usage": "Show who sends how much, and what that costs.",
    "diff": "Compare what two deploys, or two times, have logged.",
    "audit": "Find out whether anything is missing.",
    "maintain": "Compact, expire and clean up a store.",
    "verify": "Check that everything is there and unchanged.",
    "repair": "Mend what is damaged, and record what is lost.",
    "init": "Make a store, or say which is there.",
    "client-config": "Print the configuration of a client.",
    "config": "Check and show settings.",
    "drain": "Have a receiver on this machine drain and end.",
    "tls": "Make certificates for a small fleet.",
    "doctor": "Look at everything that must work, and say what to do.",
    "completion": "Print a script that completes commands in a shell.",
}
"""Name of each verb and its line in ``logsink --help``; ``logsink.cli.<verb>`` has the click command ``command`` (_ for -)."""

SILENT = ("serve",)
"""Verbs that print nothing on stdout, which may therefore be closed."""

INTERRUPTED = 130
"""Exit code after an interrupt: 128 and the number of SIGINT, as shells have it."""


class _Verbs(click.Group):
    """The group of verbs. It imports a verb when that runs, so that ``--version`` imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"logsink.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that ``args`` begin with. ``OutputError`` if it prints on stdout and that is closed."""
        name, command, rest = super().resolve_command(ctx, args)
        if name not in SILENT:
            streams.refuse_closed()
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if error.ctx is None and ctx.invoked_subcommand and (verb := self.get_command(ctx, ctx.invoked_subcommand)):
                error.ctx = click.Context(verb, parent=ctx, info_name=ctx.invoked_subcommand)  # for what is suggested
            raise
        except OSError as error:  # a full disk, say; click would exit with 1 for some, which means "nothing found"
            raise LogsinkError(f"cannot continue: {error}") from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a verb and exit with the code that it returns, 2 after an error, 130 after an interrupt."""
        streams.take()
        try:
            code = super().main(*args, **kwargs | {"standalone_mode": False})
        except click.exceptions.Abort:
            code = INTERRUPTED
        except click.ClickException as error:
            code = _report_usage(error)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except ReaderGone:
            code = 0
        except LogsinkError as error:
            report(error)
            code = 2
        except Exception:  # noqa: BLE001  a bug; exit code 1 would mean "nothing found"
            traceback.print_exc()
            code = 2
        if kwargs.get("standalone_mode", True):
            sys.exit(_flush(code if isinstance(code, int) else 0))
        return code


def report(error: LogsinkError) -> None:
    """Print ``error`` on stderr as ``logsink: <message> (<hint>)``, each line of the message on its own."""
    lines = str(error).splitlines() or [type(error).__name__]
    if error.hint:
        lines[-1] += f" ({error.hint})"
    for line in lines:
        click.echo(f"logsink: {harmless(line)}", err=True)


def _report_usage(error: click.ClickException) -> int:
    """Print on one line what is wrong with the command line, or the help of a group without a verb. Return the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    else:
        from logsink.cli.suggestions import remedies

        context = getattr(error, "ctx", None)
        guesses = (
            click.NoSuchOption,
            click.exceptions.NoSuchCommand,
        )  # click's own come with the message: ours are better
        message = getattr(error, "message", None) if isinstance(error, guesses) else error.format_message()
        text = redacted((message or error.format_message()).rstrip(".").replace("\n\t", " ").replace("\n", " "))
        hints = [*remedies(error), *([f"see `{context.command_path} --help`"] if context else [])]
        hint = f" ({'; '.join(hints)})" if hints else ""
        click.echo(f"logsink: {harmless(f'{text[:1].lower()}{text[1:]}')}{harmless(hint)}", err=True)
    return error.exit_code


def _flush(code: int) -> int:
    """Flush standard output. Return ``code``, or 2 if it could not be written."""
    try:
        sys.stdout.flush()
    except ReaderGone:
        return code
    except LogsinkError as error:
        report(error)
        return 2
    return code


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="logsink %(version)s")
def main() -> None:
    """Central syslog server: receives, stores in S3 or a directory, and searches."""
