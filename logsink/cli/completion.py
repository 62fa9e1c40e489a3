"""``logsink completion``: what makes a shell complete verbs, options and values; and the values there are.

Values come from where they are declared, which is imported when a shell asks for them.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

VARIABLE = "_LOGSINK_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete verbs, options and values.

    \b
      eval "$(logsink completion bash)"                            in ~/.bashrc
      eval "$(logsink completion zsh)"                             in ~/.zshrc, behind compinit
      logsink completion fish > ~/.config/fish/completions/logsink.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    root = ctx.find_root()
    click.echo(found.source_template % found(root.command, {}, "logsink", VARIABLE).source_vars())


def severities(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``err``, and ranges of them."""
    from logsink.query.request import SEVERITIES

    return _last(SEVERITIES, incomplete, "..")


def facilities(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``local0``, ``!cron``."""
    from logsink.query.request import FACILITIES

    return _last(FACILITIES, incomplete, "!")


def flags(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``truncated``, ``!truncated``."""
    from logsink.flags import Flag

    return _last([flag.name.lower() for flag in Flag if flag.name], incomplete, "!")


def columns(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Columns; after ``by=`` and commas too."""
    from logsink.parse import FILE_SCHEMA

    names = [f"by={name}" for name in FILE_SCHEMA.names] if param.name == "stats" else FILE_SCHEMA.names
    return _last(FILE_SCHEMA.names if "," in incomplete else names, incomplete, ",")


def zones(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Time zones."""
    from zoneinfo import available_timezones

    return _last(["local", *sorted(available_timezones())], incomplete, "\0")


def _last(words: list[str] | tuple[str, ...], incomplete: str, after: str) -> list[CompletionItem]:
    """Those that may come behind the last ``after``."""
    head, found, part = incomplete.rpartition(after)
    return [CompletionItem(head + found + word) for word in words if word.startswith(part)]
