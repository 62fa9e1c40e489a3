"""``logsink config``: what the settings are, where they come from, and whether they can be used."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from logsink.cli.options.settings import loaded, options
from logsink.config import SECTIONS, SETTINGS, Config, Loaded
from logsink.errors import ConfigError, LogsinkError
from logsink.place import Directory, parse

_ALL = options(*(key for key, setting in SETTINGS.items() if setting.flag))


@click.group()
def command() -> None:
    """Check and show settings."""


@command.command()
@click.option("--connect", is_flag=True, help="Try the store as well: rights, and conditional puts.")
@_ALL
def check(config_file: Path | None, connect: bool, **given: object) -> None:
    """Say whether the settings can be used, and what `logsink serve` would open.

    TLS files are opened, and matched with each other. Everything that is wrong is reported, a line each, with exit code 2.
    """
    config = loaded(config_file, given).config
    problems: list[LogsinkError] = []
    warnings: list[str] = []
    if config.tls.cert is not None:
        from logsink.net import check_tls_files

        try:
            warnings = check_tls_files(config.tls, time.time())
        except LogsinkError as error:
            problems.append(error)
    found = ""
    if connect:
        import asyncio  # which no other verb of settings needs

        try:
            found = f" ({asyncio.run(_tried(config.store))})"
        except LogsinkError as error:
            problems.append(error)
    for warning in warnings:
        click.echo(f"logsink: {warning}", err=True)
    if problems:
        raise ConfigError("\n".join(f"{error}{f' ({error.hint})' if error.hint else ''}" for error in problems))
    click.echo("OK")
    click.echo(f"store   {config.store}{found}")
    for name, addresses in _listeners(config):
        click.echo(f"{name:<7} {', '.join(addresses)}")


async def _tried(url: str) -> str:
    """What the store is found to be. Raises what is wrong with it."""
    from logsink.archive import DeltaLog
    from logsink.store import open_store

    place = parse(url)
    if isinstance(place, Directory) and not place.path.exists():
        above = next(path for path in place.path.parents if path.exists())
        if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
            raise ConfigError(
                f"cannot make {place.path}: no permission in {above}", hint="give the user that runs it one"
            )
        return "is made with the first message"
    async with open_store(url) as store:
        await store.probe()
        version = (await DeltaLog(store).load()).version
    return f"can be used; its table is at version {version}" if version >= 0 else "can be used; it has no table yet"


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
