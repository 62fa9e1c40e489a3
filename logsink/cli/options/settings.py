"""Command-line options made from the declarations in ``logsink.config``, and the one way that verbs read settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from logsink.config import SETTINGS, Config, Loaded, Setting, resolve


def options(*keys: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a verb with the options of these settings, and ``-c/--config FILE`` (parameter ``config_file``).

    The parameters' names are ``parameter(key)``; give them all to ``effective``.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for key in reversed(keys):
            function = _option(SETTINGS[key])(function)
        file = click.Path(dir_okay=False, path_type=Path)
        return click.option("-c", "--config", "config_file", type=file, metavar="FILE", help="Settings in TOML.")(
            function
        )

    return decorate


def parameter(key: str) -> str:
    """The parameter in which a verb gets the setting ``key`` from its option."""
    return key.replace(".", "__")


def effective(config_file: Path | None, given: Mapping[str, Any]) -> Config:
    """Settings for a verb: ``given`` are its parameters from ``options``; others are passed over. ``ConfigError``."""
    return loaded(config_file, given).config


def loaded(config_file: Path | None, given: Mapping[str, Any]) -> Loaded:
    """As ``effective``, with the source of each setting."""
    overrides = {key: given[parameter(key)] for key in SETTINGS if parameter(key) in given}
    return resolve(config_file, os.environ, overrides)


def _option(setting: Setting) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    if setting.flag is None:
        raise ValueError(f"setting {setting.key} has no flag")
    many, metavar = setting.kind.many, {"address": "ADDR", "URL": "URL", "number": "N"}.get(setting.kind.name, "VALUE")
    text = setting.doc.replace("`", "") + (" May be repeated." if many else "")
    if setting.kind.name == "switch":
        return click.option(setting.flag, parameter(setting.key), is_flag=True, default=None, help=text)
    return click.option(setting.flag, parameter(setting.key), multiple=many, metavar=metavar, help=text)
