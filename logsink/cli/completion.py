"""``logsink completion``: scripts that have a shell complete verbs, options and values, and the values that options take.

Each list of values is imported from the room that declares it, when a shell asks.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

VARIABLE = "_LOGSINK_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a script that makes a shell complete verbs, options and values.

    \b
    Examples:
      eval "$(logsink completion bash)"                            in ~/.bashrc
      eval "$(logsink completion zsh)"                             in ~/.zshrc, after compinit
      logsink completion fish > ~/.config/fish/completions/logsink.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    root = ctx.find_root()
    click.echo(found.source_template % found(root.command, {}, "logsink", VARIABLE).source_vars())


def severities(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return severities, also at the end of a range (``err..notice``)."""
    from logsink.query.request import SEVERITIES

    return _last(SEVERITIES, incomplete, "..")


def facilities(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return facilities, also after ``!``."""
    from logsink.query.request import FACILITIES

    return _last(FACILITIES, incomplete, "!")


def flags(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of flags, also after ``!``."""
    from logsink.flags import Flag

    return _last([flag.name.lower() for flag in Flag if flag.name], incomplete, "!")


def columns(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of columns, also after ``by=`` and after commas."""
    from logsink.parse import FILE_SCHEMA

    names = [f"by={name}" for name in FILE_SCHEMA.names] if param.name == "stats" else FILE_SCHEMA.names
    return _last(FILE_SCHEMA.names if "," in incomplete else names, incomplete, ",")


def zones(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return time zones."""
    from zoneinfo import available_timezones

    return _last(["local", *sorted(available_timezones())], incomplete, "\0")


def _last(words: list[str] | tuple[str, ...], incomplete: str, separator: str) -> list[CompletionItem]:
    """Return the words that complete the part of ``incomplete`` behind the last ``separator``."""
    head, found, part = incomplete.rpartition(separator)
    return [CompletionItem(head + found + word) for word in words if word.startswith(part)]
