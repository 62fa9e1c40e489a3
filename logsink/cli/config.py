"""``logsink config``: the effective settings, the source of each, and whether a receiver could start with them."""

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
@click.option("--connect", is_flag=True, help="Also try the store: permissions and conditional writes.")
@_ALL
def check(config_file: Path | None, connect: bool, **parameters: object) -> None:
    """Check the settings, and print what `logsink serve` would open.

    Opens the TLS files and checks that they match, and the key that signs ledgers. Prints every problem on a
    line of its own, with exit code 2.
    """
    config = loaded(config_file, parameters).config
    problems: list[LogsinkError] = []
    warnings: list[str] = []
    if config.tls.cert is not None:
        from logsink.net import check_tls_files

        try:
            warnings = check_tls_files(config.tls, time.time())
        except LogsinkError as error:
            problems.append(error)
    if config.ledger.sign_key is not None or config.ledger.object_lock is not None:
        from logsink.archive import evidence

        try:
            evidence(config.ledger, config.store)
        except LogsinkError as error:
            problems.append(error)
    found = ""
    if connect:
        import asyncio

        try:
            found = f" ({asyncio.run(_try_store(config))})"
        except LogsinkError as error:
            problems.append(error)
    for warning in warnings:
        click.echo(f"logsink: {warning}", err=True)
    if problems:
        raise ConfigError("\n".join(f"{error}{f' ({error.hint})' if error.hint else ''}" for error in problems))
    click.echo("OK")
    click.echo(f"store   {parse(config.store).url}{found}")
    for name, addresses in _listeners(config):
        click.echo(f"{name:<7} {', '.join(addresses)}")


async def _try_store(config: Config) -> str:
    """Return in words which store it is, and its state. Raises ``LogsinkError`` if it cannot be used."""
    from logsink.archive import DeltaLog, identify, require
    from logsink.store import open_store

    place, create = parse(config.store), config.create == "auto"
    if create and isinstance(place, Directory) and not place.path.exists():
        above = next(path for path in place.path.parents if path.exists())
        if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
            raise ConfigError(
                f"cannot create {place.path}: no permission to write in {above}",
                hint="let the user that runs logsink write there",
            )
        return "will be made when a receiver starts"
    async with open_store(config.store) as store:
        if not create:
            await require(store)
        await store.probe()
        log = DeltaLog(store)
        marker, snapshot = await identify(log), await log.load()
    table = f"its table is at version {snapshot.version}" if snapshot.version >= 0 else "it has no table yet"
    if snapshot.damage:
        table = f"its table is damaged: {snapshot.damage[0]}"
    return f"can be used; store {marker.id}, created {marker.created}; {table}" if marker else f"can be used; {table}"


@command.command()
@_ALL
def show(config_file: Path | None, **parameters: object) -> None:
    """Print the effective settings as TOML, each with its source. The output can be used as a settings file."""
    click.echo(render(loaded(config_file, parameters)), nl=False)


def render(settings: Loaded) -> str:
    """Return settings as a TOML document in which comments name the source of each."""
    lines = []
    for section in SECTIONS:
        if section:
            lines += ["", f"[{section}]"]
        for key, setting in SETTINGS.items():
            if key.rpartition(".")[0] == section:
                value = _value(settings.config, key)
                name = key.rpartition(".")[2]
                line = f"# {name} is off" if value is None else f"{name} = {setting.kind.toml(value)}"
                lines.append(f"{line:<44}  # {settings.sources[key]}")
    return "\n".join(lines) + "\n"


def _value(config: Config, key: str) -> object:
    section, _, name = key.rpartition(".")
    return getattr(getattr(config, section) if section else config, name)


def _listeners(config: Config) -> list[tuple[str, list[str]]]:
    """Return the kinds of listeners that a receiver would open, with their addresses."""
    found = []
    for key, setting in SETTINGS.items():
        name = key.rpartition(".")[2]
        value = _value(config, key) if setting.kind.name == "address" else None
        if value:
            found.append((name, [str(a) for a in (value if setting.kind.many else [value])]))  # type: ignore[attr-defined]
    return found
