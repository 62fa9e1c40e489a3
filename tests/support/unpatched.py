"""Whether a command leaves the standard library and its dependencies as they are: run it, then look at every module.

``python -m tests.support.unpatched REPORT ARGUMENT...`` runs ``logsink ARGUMENT...`` as the installed program does and writes
what it finds to REPORT, as JSON: ``found``, a sentence for each thing that is not as it came, and ``callables``, a fingerprint
of the functions and classes of every module. With ``PATCHES`` in the environment it patches other people's modules itself, to
show that each patch is found. ``python -m tests.support.unpatched --pristine REPORT`` imports the modules of REPORT alone, in
the same order, and prints their fingerprint.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import json
import os
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

OURS = ("logsink", "tests", "__main__", "__mp_main__")

LOADERS = (
    importlib.machinery.BuiltinImporter,
    importlib.machinery.FrozenImporter,
    importlib.machinery.SourceFileLoader,
    importlib.machinery.ExtensionFileLoader,
    importlib.machinery.NamespaceLoader,
)

CALLABLE = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType)

PATCHES = """
import importlib.abc, json, os.path, shutil, string, sys, textwrap, types
class Finder(importlib.abc.MetaPathFinder): ...
sys.meta_path.insert(0, Finder())
json.dumps = lambda value: ""
os.path.commonpath = shutil.copy
json.JSONDecoder.decode = lambda self, text: None
string.Formatter = type("Formatter", (), {})
textwrap.__spec__.loader = textwrap.__loader__ = Finder()
del textwrap.dedent
sys.modules["colorsys"] = types.ModuleType("colorsys")
sys.modules["wave"] = None
import pyarrow.compute
pyarrow.compute.list_functions = lambda: ()
"""


def modules() -> Iterator[tuple[str, Any]]:
    """Every imported module that is not of logsink or of its tests."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in OURS:
            yield name, module


def ours(value: Any) -> bool:
    """Whether logsink made this function, class, bound method, partial or instance."""
    if isinstance(value, functools.partial):
        return ours(value.func)
    if isinstance(value, types.MethodType):
        return ours(value.__func__) or ours(value.__self__)
    if isinstance(value, property):
        return any(ours(each) for each in (value.fget, value.fset) if each is not None)
    if isinstance(value, classmethod | staticmethod):
        return ours(value.__func__)
    home = value if isinstance(value, type | types.FunctionType) else type(value)
    return str(getattr(home, "__module__", "")).partition(".")[0] == "logsink"


def look(meta_path: list[Any], path_hooks: list[Any]) -> Iterator[str]:
    """A sentence for everything that logsink has put into the interpreter or into others' modules."""
    for before, now, what in ((meta_path, sys.meta_path, "meta_path"), (path_hooks, sys.path_hooks, "path_hooks")):
        if [each for each in now if each in before] != before or any(
            map(ours, now)
        ):  # six, which pyarrow has, adds one
            yield f"sys.{what} has become {now}"
    for name, module in modules():
        if module is None:
            yield f"{name} is declared absent"
            continue
        spec = getattr(module, "__spec__", None)
        if isinstance(module, types.ModuleType) and spec is None and name.partition(".")[0] in sys.stdlib_module_names:
            yield f"{name} is a stub"
        loader = getattr(spec, "loader", None)
        if loader is not None and not (loader in LOADERS or isinstance(loader, LOADERS)) and ours(loader):
            yield f"{name} has the loader {loader!r}"
        if ours(module):
            yield f"{name} is an object of logsink"
        for key, value in vars(module).items():
            if ours(value) and not isinstance(value, types.ModuleType):
                yield f"{name}.{key} is logsink's"
            if isinstance(value, type) and not ours(value) and value.__module__ == name:
                yield from (f"{name}.{key}.{member} is logsink's" for member, held in vars(value).items() if ours(held))


def fingerprint(names: list[str]) -> dict[str, dict[str, str]]:
    """What the callables of modules are: kind, name and, if Python's, place in the source."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        module = sys.modules.get(name)
        members: Mapping[str, Any] = {} if module is None else vars(module)
        found[name] = {key: _described(value) for key, value in members.items() if isinstance(value, CALLABLE)}
    return found


def _described(value: Any) -> str:
    code = getattr(value, "__code__", None)
    place = f"{code.co_filename}:{code.co_firstlineno}" if isinstance(code, types.CodeType) else ""
    return f"{type(value).__name__} {getattr(value, '__qualname__', '')} {place}"


def differences(pristine: dict[str, dict[str, str]], ended: dict[str, dict[str, str]]) -> Iterator[str]:
    """A sentence for each callable that a module has when it is imported alone, and that a command has left otherwise."""
    for name, callables in pristine.items():
        for key, described in callables.items():
            if ended[name].get(key) != described:
                yield f"{name}.{key} was {described} and is {ended[name].get(key, 'gone')}"


def observed(report: Path, arguments: list[str]) -> None:
    """Run the program, and look around where it would end."""
    meta_path, path_hooks, end = list(sys.meta_path), list(sys.path_hooks), os._exit
    sys.argv = ["logsink", *arguments]

    def at_the_end(code: int) -> None:
        os._exit = end
        if os.environ.get("PATCHES"):
            exec(PATCHES, {"__name__": "logsink.patches"})
        found = list(look(meta_path, path_hooks))
        names = [name for name, module in modules() if module is not None]
        report.write_text(json.JSONEncoder().encode({"found": found, "callables": fingerprint(names), "code": code}))
        end(code)

    os._exit = at_the_end  # type: ignore[assignment]
    from logsink.cli.program import run

    run()


def pristine(report: Path) -> None:
    """Print the fingerprint of the modules that ``report`` names."""
    names = list(json.loads(report.read_text())["callables"])
    for name in names:
        importlib.import_module(name)
    print(json.dumps(fingerprint(names)))


if __name__ == "__main__":
    if sys.argv[1] == "--pristine":
        pristine(Path(sys.argv[2]))
    else:
        observed(Path(sys.argv[1]), sys.argv[2:])
