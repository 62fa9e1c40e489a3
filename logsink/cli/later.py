"""Modules that others import and short commands do not need: loaded when something of them is asked for.

Of the modules that click, asyncio, numpy and pyarrow import, a question uses two thirds; the others take 0.04 s of its start.
``Later`` makes them at once and empty, but for what is taken of them at import. The first other attribute that is asked for
loads the module, in place: whatever is there is there, a little later.
"""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import Any

_COROUTINE = 0x80
"""``inspect.CO_COROUTINE``."""

Given = Callable[[Callable[[], Any]], Mapping[str, Any]]
"""What a module has before it is loaded; takes what loads and returns it."""


def nothing(load: Callable[[], Any]) -> dict[str, Any]:
    """No attribute."""
    return {}


def functions(*names: str) -> Given:
    """Functions that others take and do not call yet: once they do, the module is loaded, and its own is called."""

    def calling(load: Callable[[], Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            return getattr(load(), name)(*args, **named)

        return call

    return lambda load: {name: calling(load, name) for name in names}


def _inspect(load: Callable[[], Any]) -> dict[str, Any]:
    """What click, numpy, asyncio and dataclasses call in any case."""

    def get_annotations(called: Any, **named: Any) -> Any:
        if isinstance(called, type) and "__annotations__" in vars(called) and not named:
            return dict(vars(called)["__annotations__"])
        return load().get_annotations(called, **named)

    def signature(called: Any, **named: Any) -> Any:
        if sys._getframe(1).f_globals["__name__"] == "numpy._core.overrides":
            return None  # it notes them for whoever asks its functions for theirs
        return load().signature(called, **named)

    def iscoroutinefunction(called: Any) -> Any:
        if isinstance(called, FunctionType) and not vars(called):
            return bool(called.__code__.co_flags & _COROUTINE)
        return load().iscoroutinefunction(called)

    def isfunction(called: Any) -> bool:
        return isinstance(called, FunctionType)

    def unwrap(called: Any, **named: Any) -> Any:
        return load().unwrap(called, **named) if hasattr(called, "__wrapped__") else called

    known = (cleandoc, get_annotations, iscoroutinefunction, isfunction, signature, unwrap)
    return {each.__name__: each for each in known}


def cleandoc(doc: str) -> str:
    """As ``inspect.cleandoc``: without the margin of the lines behind the first, and without empty lines at the ends."""
    first, *rest = doc.expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    lines = [first.lstrip(), *(line[margin:] for line in rest)]
    return "\n".join(lines).strip("\n")


def _platform(load: Callable[[], Any]) -> dict[str, Any]:
    """What uuid and llvmlite ask at import."""
    return {"machine": lambda: os.uname().machine, "system": lambda: os.uname().sysname}


STANDARD: Mapping[str, Given] = {
    "ast": nothing,
    "hashlib": nothing,
    "inspect": _inspect,
    "ipaddress": nothing,
    "linecache": nothing,
    "pickle": nothing,
    "platform": _platform,
    "random": functions("choice", "random", "uniform"),
    "shutil": nothing,
    "subprocess": lambda load: {"PIPE": -1, "STDOUT": -2, "DEVNULL": -3},
    "tempfile": nothing,
    "traceback": functions("extract_stack"),
    "zipfile": nothing,
    "zoneinfo": nothing,
}
"""Of the standard library."""


class Later:
    """Finds modules that load later, by their names; what else there is, others find. For ``sys.meta_path``."""

    def __init__(self, modules: Mapping[str, Given]) -> None:
        self._modules = modules

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        if fullname in self._modules and (spec := PathFinder.find_spec(fullname, path)) and spec.loader:
            loader: Any = _Loader(spec.loader, self._modules[fullname])
            spec.loader = loader
            return spec
        return None


class _Loader:
    """Loads in two steps. Without the base classes of importlib.abc, whose import takes 0.005 s."""

    def __init__(self, loader: Any, given: Given) -> None:
        self._loader, self._given = loader, given
        self._lock = _thread.RLock()  # threading's own, without an import
        self._loaded = False
        self._module: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # what it can besides: get_source, get_resource_reader

    def create_module(self, spec: ModuleSpec) -> None:
        """As any other."""

    def exec_module(self, module: ModuleType) -> None:
        self._module = module
        vars(module).update(self._given(self._load), __getattr__=self._missing)

    def _load(self) -> Any:
        """The module as it is. Another thread that asks meanwhile waits."""
        module = self._module
        with self._lock:
            if not self._loaded:
                self._loaded = True
                try:
                    module.__spec__.loader = module.__loader__ = self._loader
                    self._loader.exec_module(module)
                except BaseException:
                    self._loaded = False  # who asks again hears it again
                    raise
                if vars(module).get("__getattr__") == self._missing:
                    del module.__getattr__
        return module

    def _missing(self, name: str) -> Any:
        module = self._load()
        try:
            return vars(module)[name]
        except KeyError:
            message = f"module {module.__name__!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=module) from None
