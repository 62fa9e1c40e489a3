"""Suggestions for misspelt verbs, options and columns, and for those of other programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click
from click import exceptions

from logsink.kinds import nearest

VERBS = {
    **dict.fromkeys(("search", "find", "grep", "show", "cat", "logs", "journalctl"), "logsink query"),
    **dict.fromkeys(("tail", "follow", "watch"), "logsink query -f"),
    **dict.fromkeys(("server", "start", "run", "receive", "listen", "daemon"), "logsink serve"),
    **dict.fromkeys(("compact", "vacuum", "clean", "cleanup", "expire"), "logsink maintain --once"),
    **dict.fromkeys(("check", "validate"), "logsink config check"),
    "help": "logsink --help",
    "version": "logsink --version",
}
"""Verb of another program, and the command of logsink that does the same."""

OPTIONS = {
    "-e": "write the pattern alone, or -E PATTERN for a regular expression",
    "-k": "--facility kern shows the kernel's",
    "-l": "--values host lists hosts",
    "-t": "-u NAME, or --app NAME",
    "-x": "-o verbose shows every column",
    "--after": "-S TIME, or -A N for lines after a match",
    "--before": "-U TIME, or -B N for lines before a match",
    "--all": "-n all",
    "--hostname": "-H NAME, or --host NAME",
    "--level": "-p LEVEL",
    "--severity": "-p LEVEL",
    "--program": "-u NAME, or --app NAME",
    "--service": "-u NAME, or --app NAME",
    "--tag": "-u NAME, or --app NAME",
    "--tz": "-z ZONE",
    "--unique": "--values NAME",
    "--format": "-o FORMAT",
    "--columns": "--fields NAMES",
}
"""Option of grep, tail, journalctl or logcli, and what ``logsink query`` has in its place."""

MISUSED = {
    "-c": "-c names a settings file; --count counts",
    "--tail": "-n N shows the newest N, -f -n N follows them",
}
"""Options that other programs have with another meaning, and what to write for that."""

COLUMNS = {
    **dict.fromkeys(("hostname", "source_host", "node", "system"), "host"),
    **dict.fromkeys(("program", "programname", "unit", "service", "tag", "identifier", "appname", "app_name"), "app"),
    **dict.fromkeys(("msg", "text", "body", "content"), "message"),
    **dict.fromkeys(("level", "priority", "pri", "prio"), "severity"),
    **dict.fromkeys(("timestamp", "ts", "date", "datetime"), "time"),
    **dict.fromkeys(("ip", "address", "source", "peer", "client"), "sender"),
    **dict.fromkeys(("sd", "structured-data", "structureddata"), "structured_data"),
    **dict.fromkeys(("pid", "process", "proc"), "procid"),
}
"""Column of another program, and the column of logsink that holds the same."""


def column(name: str, known: Iterable[str]) -> str:
    """Return the column of ``known`` that ``name`` probably stands for, or ""."""
    found = COLUMNS.get(name.lower(), nearest(name.lower(), known))
    return found if found in known else ""


def remedies(error: click.ClickException) -> Iterator[str]:
    """Yield suggestions that correct a mistake on the command line."""
    context: click.Context | None = getattr(error, "ctx", None)
    if isinstance(error, exceptions.NoSuchCommand):
        verbs = context.command.list_commands(context) if context and isinstance(context.command, click.Group) else []
        path = context.command_path if context else "logsink"
        close = nearest(error.command_name, verbs)
        suggestion = f"{path} {close}" if close else VERBS.get(error.command_name.lower(), "")
        yield from [f"did you mean `{suggestion}`?"] if suggestion else []
    elif isinstance(error, exceptions.NoSuchOption):
        yield from _options(error.option_name, context)
    elif isinstance(error, exceptions.BadOptionUsage) and error.option_name in MISUSED:
        yield MISUSED[error.option_name]
    elif isinstance(error, exceptions.BadOptionUsage) and "requires" in error.message:
        yield from _usage(error.option_name, context)
    elif isinstance(error, exceptions.BadParameter) and error.param and isinstance(error.param.type, click.Choice):
        value = error.message.partition("'")[2].partition("'")[0]
        close = nearest(value, error.param.type.choices)
        yield from [f"did you mean {close}?"] if close else []


def _usage(name: str, context: click.Context | None) -> Iterator[str]:
    for param in context.command.params if context else ():
        if name in param.opts and param.metavar:
            yield f"write {name} {param.metavar}"


def _options(name: str, context: click.Context | None) -> Iterator[str]:
    known = [spelling for param in context.command.params for spelling in param.opts] if context else []
    close = nearest(name, [spelling for spelling in known if spelling.startswith("--")]) if name[:2] == "--" else ""
    if name[1:].isdigit() and "--lines" in known:
        yield f"-n {name[1:]} shows the newest {name[1:]}"
    elif name in OPTIONS and "--lines" in known:
        yield f"in logsink: {OPTIONS[name]}"
    elif close:
        yield f"did you mean {close}?"
