"""``python -m logsink.warm``: compile every kernel and keep its machine code, at installation and when an image is built.

Afterwards no process compiles anything. It prints nothing, and takes about ten seconds, or one when all is kept already.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from importlib.abc import InspectLoader

import logsink
from logsink.kernel import compile_all


def warm() -> int:
    """Import every module that has kernels, compile them all, and return how many there are."""
    for module in pkgutil.walk_packages(logsink.__path__, "logsink."):
        spec = importlib.util.find_spec(module.name)
        if spec is None or not isinstance(spec.loader, InspectLoader):
            continue
        if "@kernel" in (spec.loader.get_source(module.name) or "") and module.name != __name__:
            importlib.import_module(module.name)
    return compile_all()


if __name__ == "__main__":
    sys.exit(0 if warm() else "no kernels found")
