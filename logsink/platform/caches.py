"""Directories for what can be made again: the user's cache of the XDG Base Directory Specification."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_chosen = ""


def choose_user_cache(environment: Mapping[str, str]) -> None:
    """Take the user's cache directory from XDG_CACHE_HOME, before anything asks for it."""
    global _chosen
    _chosen = environment.get("XDG_CACHE_HOME", "")


def user_cache() -> Path | None:
    """Return logsink's directory in the user's cache; None where there is no home directory."""
    found = user_caches()
    return Path(found[0], "logsink") if found else None


def user_caches() -> tuple[str, ...]:
    """Return the user's cache directories, the chosen one before ``~/.cache``; without a home directory there may be none."""
    return tuple(filter(os.path.isabs, (_chosen, os.path.expanduser("~/.cache"))))
