"""The parts of docs/ that are made from the code, and rsyslog/: ``make docs`` writes them, tests/unit/test_docs.py checks them.

A part stands between ``<!-- NAME -->`` and ``<!-- end -->``; NAME is a key of ``PARTS``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pyarrow as pa
from prometheus_client import Counter, Gauge, Histogram

import logsink.flags
from logsink import telemetry
from logsink.cli.client_config.rsyslog import general
from logsink.cli.main import main
from logsink.config import SECTIONS, SETTINGS
from logsink.flags import Flag
from logsink.parse import FILE_SCHEMA, TABLE_SCHEMA

DOCS = Path(__file__).parent
WIDTH = 100


def settings() -> Iterator[str]:
    """Every setting, by section."""
    for section, cls in SECTIONS.items():
        head, _, text = ((cls.__doc__ or "") if section else "").partition("\n")
        yield f"### {f'`[{section}]`' if section else 'Top level'}"
        yield ""
        if section:
            yield " ".join(f"{head} {text}".split())
            yield ""
        yield "| key | default | limits | environment | flag | |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for key, setting in SETTINGS.items():
            if key.rpartition(".")[0] == section:
                usual = f"`{setting.usual}`" if setting.default is not None else setting.usual
                flag = f"`{setting.flag}`" if setting.flag else ""
                yield (
                    f"| `{key.rpartition('.')[2]}` | {usual} | {setting.kind.limits} | `{setting.variable}` | {flag} | "
                    f"{setting.doc} |"
                )
        yield ""


def commands() -> Iterator[str]:
    """``--help`` of every verb."""
    yield from _help(main, None, "logsink")


def _help(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    with click.Context(
        command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH
    ) as context:
        context.help_option_names = ["-h", "--help"]
        yield f"## {context.command_path}"
        yield ""
        yield "```text"
        yield command.get_help(context)
        yield "```"
        yield ""
        if isinstance(command, click.Group):
            for verb in command.list_commands(context):
                sub = command.get_command(context, verb)
                assert sub is not None
                yield from _help(sub, context, verb)


def metrics() -> Iterator[str]:
    """Every metric."""
    yield "| metric | kind | labels | |"
    yield "| --- | --- | --- | --- |"
    kinds = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}
    for metric in vars(telemetry).values():
        if type(metric) in kinds:
            name = metric._name + ("_total" if isinstance(metric, Counter) else "")
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            yield f"| `{name}` | {kinds[type(metric)]} | {labels} | {metric._documentation} |"


def events() -> Iterator[str]:
    """Every kind of line in logsink's own log."""
    yield "| event | level | text |"
    yield "| --- | --- | --- |"
    levels = {10: "debug", 20: "info", 30: "warning", 40: "error"}
    for event in vars(telemetry).values():
        if isinstance(event, telemetry.Event):
            yield f"| `{event.name}` | {levels[event.level]} | {event.text} |"


def flags() -> Iterator[str]:
    """Every flag, with the comment beside it in the source."""
    source = Path(logsink.flags.__file__).read_text(encoding="utf-8")
    meanings = dict(re.findall(r"^    ([A-Z_0-9]+) = 1 << \d+  # (.*)$", source, re.MULTILINE))
    yield "| bit | value | name | meaning |"
    yield "| --- | --- | --- | --- |"
    for flag in Flag:
        assert flag.name
        yield f"| {int(flag).bit_length() - 1} | {int(flag)} | `{flag.name.lower()}` | {meanings[flag.name]} |"


_COLUMNS = {
    "date": "partition: the UTC date of `received`; in the table's log, not in the files",
    "time": "the sender's time; `received` where the frame has none",
    "received": "when the bytes were read; one value for each read",
    "nth": "position among frames of one read with equal time: (receiver, time, received, nth) names a row",
    "host": "as in the header; null when absent or `-`",
    "app": "as in the header (APP-NAME, or the tag)",
    "procid": "as in the header (PROCID, or what stands in the brackets of a tag)",
    "msgid": "as in the header",
    "facility": "0-23; null when there is no valid PRI",
    "severity": "0-7; null when there is no valid PRI",
    "structured_data": "as it came; null for `-`",
    "message": "MSG, BOM stripped, invalid UTF-8 replaced by U+FFFD",
    "environment": "parameter of the deploy element (`receive.deploy_sd_id`), unescaped",
    "role": "parameter of the deploy element",
    "deploy": "parameter of the deploy element",
    "instance": "parameter of the deploy element",
    "sender": "address of who opened the connection, without port",
    "identity": "subject of the verified client certificate; null without TLS",
    "transport": "`tcp`, `tls`, `udp`, `relp`, `relp-tls`; `internal`: the receiver itself",
    "receiver": "id of the receiving process; new at every start",
    "flags": "bits; see Flags",
    "wire": "template that, with the other columns, rebuilds the frame byte for byte; null where it does not",
    "raw": "the frame itself, exactly where `wire` is null",
}


def columns() -> Iterator[str]:
    """The table's schema."""
    yield "| column | type | |"
    yield "| --- | --- | --- |"
    for field in TABLE_SCHEMA:
        kind = "timestamp, us, UTC" if pa.types.is_timestamp(field.type) else str(field.type)
        kind = "date" if field.name not in FILE_SCHEMA.names else kind
        yield f"| `{field.name}` | {kind}{'' if field.nullable else ', not null'} | {_COLUMNS[field.name]} |"


def modules() -> Iterator[str]:
    """Every room and module of the package, with the first sentence of its docstring."""
    yield "```text"
    yield "logsink/"
    yield from _room(Path(logsink.flags.__file__).parent, 1)
    yield "```"


def _room(room: Path, depth: int) -> Iterator[str]:
    """The rooms inside ``room``, then its modules."""
    inner = sorted(path for path in room.iterdir() if (path / "__init__.py").exists())
    files = sorted(path for path in room.glob("*.py") if not path.name.startswith("__"))
    for path in (*inner, *files):
        name = "  " * depth + path.name + ("/" if path.is_dir() else "")
        yield f"{name:24} {_first_sentence(path / '__init__.py' if path.is_dir() else path)}"
        if path.is_dir():
            yield from _room(path, depth + 1)


def _first_sentence(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0].removesuffix("::")


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings,
    "commands": commands,
    "metrics": metrics,
    "events": events,
    "flags": flags,
    "columns": columns,
    "modules": modules,
}


def render(text: str) -> str:
    """``text`` with its generated parts made anew."""

    def part(match: re.Match[str]) -> str:
        lines = "\n".join(line.rstrip() for chunk in PARTS[match[1]]() for line in chunk.splitlines() or [""])
        return f"<!-- {match[1]} -->\n\n{lines.strip()}\n\n<!-- end -->"

    return re.sub(rf"<!-- ({'|'.join(PARTS)}) -->.*?<!-- end -->", part, text, flags=re.DOTALL)


def files() -> Iterator[tuple[Path, str]]:
    """Every file that is generated or has generated parts, with its text made anew."""
    for path in sorted(DOCS.glob("*.md")):
        yield path, render(path.read_text(encoding="utf-8"))
    for name, text in general().items():
        yield DOCS.parent / "rsyslog" / name, text


if __name__ == "__main__":
    for path, after in files():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"wrote {path}")
