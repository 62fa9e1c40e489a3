"""Options for the settings that ``logsink.config`` declares, and the settings that result from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from logsink.config import SETTINGS, Config, Loaded, Setting, resolve


def options(*keys: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a verb with the options of these settings, and ``-c/--config FILE`` (parameter ``config_file``).

    ``effective`` and ``loaded`` read their parameters, which are named ``parameter(key)``.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for key in reversed(keys):
            function = _option(SETTINGS[key])(function)
        file = click.Path(dir_okay=False, path_type=Path)
        return click.option("-c", "--config", "config_file", type=file, metavar="FILE", help="Settings file (TOML).")(
            function
        )

    return decorate


def parameter(key: str) -> str:
    """Return the name of the parameter that a verb gets the setting ``key`` in."""
    return key.replace(".", "__")


def effective(config_file: Path | None, parameters: Mapping[str, Any]) -> Config:
    """Return the settings of a verb from its ``parameters``, the environment and the settings file. ``ConfigError``."""
    return loaded(config_file, parameters).config


def loaded(config_file: Path | None, parameters: Mapping[str, Any]) -> Loaded:
    """Return the settings of a verb as ``effective`` does, with the source of each."""
    overrides = {key: parameters[parameter(key)] for key in SETTINGS if parameter(key) in parameters}
    return resolve(config_file, os.environ, overrides)


def _option(setting: Setting) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    if setting.flag is None:
        raise ValueError(f"setting {setting.key} has no flag")
    many, metavar = setting.kind.many, {"address": "ADDR", "URL": "URL", "number": "N"}.get(setting.kind.name, "VALUE")
    text = setting.doc.replace("`", "") + (" May be repeated." if many else "")
    if setting.kind.name == "switch":
        return click.option(setting.flag, parameter(setting.key), is_flag=True, default=None, help=text)
    return click.option(setting.flag, parameter(setting.key), multiple=many, metavar=metavar, help=text)
