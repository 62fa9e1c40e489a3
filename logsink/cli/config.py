"""``logsink config``: what the settings are, where they come from, and whether they can be used."""

from __future__ import annotations

from pathlib import Path

import click

from logsink.cli.settings import loaded, options
from logsink.config import SECTIONS, SETTINGS, Config, Loaded

_ALL = options(*(key for key, setting in SETTINGS.items() if setting.flag))


@click.group()
def command() -> None:
    """Check and show settings."""


@command.command()
@_ALL
def check(config_file: Path | None, **given: object) -> None:
    """Say whether the settings can be used, and what `logsink serve` would open.

    Everything that is wrong is reported, a line each, with exit code 2.
    """
    config = loaded(config_file, given).config
    click.echo("OK")
    click.echo(f"store   {config.store}")
    for name, addresses in _listeners(config):
        click.echo(f"{name:<7} {', '.join(addresses)}")


@command.command()
@_ALL
def show(config_file: Path | None, **given: object) -> None:
    """Print the effective settings as TOML, each with its source; the output can be used as a file."""
    click.echo(render(loaded(config_file, given)), nl=False)


def render(settings: Loaded) -> str:
    """Settings as a TOML document; comments name each one's source."""
    lines = []
    for section in SECTIONS:
        if section:
            lines += ["", f"[{section}]"]
        for key, setting in SETTINGS.items():
            if key.rpartition(".")[0] == section:
                value = _value(settings.config, key)
                name = key.rpartition(".")[2]
                shown = f"# {name} is off" if value is None else f"{name} = {setting.kind.toml(value)}"
                lines.append(f"{shown:<44}  # {settings.sources[key]}")
    return "\n".join(lines) + "\n"


def _value(config: Config, key: str) -> object:
    section, _, name = key.rpartition(".")
    return getattr(getattr(config, section) if section else config, name)


def _listeners(config: Config) -> list[tuple[str, list[str]]]:
    """Name of each kind of listener that would open, and its addresses."""
    found = []
    for key, setting in SETTINGS.items():
        name = key.rpartition(".")[2]
        value = _value(config, key) if setting.kind.name == "address" else None
        if value:
            found.append((name, [str(a) for a in (value if setting.kind.many else [value])]))  # type: ignore[attr-defined]
    return found
