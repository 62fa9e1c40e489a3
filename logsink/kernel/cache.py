"""Where kernels keep their machine code."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, NamedTuple, cast

from logsink.kernel import native
from logsink.kernel.parameters import Kind


class Files(NamedTuple):
    """Where the machine code of a kernel may be kept, in the order of preference, and under which name.

    parameters, result    their kinds, and that of what it returns, as ``native`` wants them
    """

    directories: tuple[str, ...]
    name: str
    parameters: Mapping[str, Kind]
    result: str

    def code(self, directory: str) -> str:
        """The file for ``native`` in one of them."""
        return os.path.join(directory, f"{self.name}.{native.stamp()}.o")

    def load(self) -> Callable[..., Any] | None:
        """What ``native`` makes of the first such file that is whole."""
        for directory in self.directories:
            with contextlib.suppress(OSError, ValueError), open(self.code(directory), "rb") as file:
                return native.load(native.Code.unpacked(file.read()), self.name, self.parameters, self.result)
        return None

    def save(self, directory: str, code: native.Code) -> None:
        path = self.code(directory)
        draft = f"{path}.{os.getpid()}.{threading.get_ident()}"
        with open(draft, "wb") as file:
            file.write(code.packed())
        os.replace(draft, path)


def _code(compiled: Any, files: Files) -> native.Code | None:
    """What numba compiled, if it is called as ``native`` calls it."""
    symbol, library = compiled.fndesc.llvm_func_name, compiled.library
    if native.convention([*files.parameters.values()], files.result) != [
        str(argument.type) for argument in library.get_function(symbol).arguments
    ]:
        return None
    externals = re.findall(r"^declare .*?@([\w.$]+)\(", library.get_llvm_str(), re.MULTILINE)
    named = tuple(name for name in externals if not name.startswith("llvm."))
    return native.Code(symbol, named, library._get_compiled_object())


def numba_cache(function: FunctionType, files: Files) -> Any:
    """numba's cache interface over this kernel's directories: loads the first hit, saves to the first writable."""
    import llvmlite
    from numba.core import caching

    class Place(caching.CompileResultCacheImpl, caching._CacheLocator):
        """Where and under which name: a directory, and a stamp that must be found in the file."""

        def __init__(self, directory: str) -> None:
            self.directory = directory
            self._locator = self
            self._filename_base = files.name

        def get_cache_path(self) -> str:
            return self.directory

        def get_source_stamp(self) -> str:
            return str(llvmlite.__version__)

        def get_disambiguator(self) -> str:
            return files.name

    class Link(caching.FunctionCache):
        """One directory. The constructor of numba's own would choose the directory by itself."""

        def __init__(self, directory: str) -> None:
            place: Any = Place(directory)
            self._name, self._py_func, self._impl, self._cache_path = repr(function), function, place, directory
            file: Any = caching.IndexDataCacheFile
            self._cache_file = file(directory, place.filename_base, place.get_source_stamp())
            self._enabled = True

    class Chain(caching.NullCache):
        def __init__(self) -> None:
            self.links = [Link(directory) for directory in files.directories]

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            for link in self.links:
                try:
                    found: Any = cast(Any, link).load_overload(sig, target_context)
                except OSError:
                    continue
                except Exception:  # noqa: BLE001  damaged files are no reason to stop: forget them and compile
                    with contextlib.suppress(OSError):
                        cast(Any, link).flush()
                    continue
                if found is not None:
                    return found
            return None

        def save_overload(self, sig: Any, data: Any) -> None:
            code = _code(data, files)
            for link in self.links:
                with contextlib.suppress(OSError):
                    cast(Any, link).save_overload(sig, data)
                    if code is not None:
                        files.save(cast(Any, link).cache_path, code)
                    return

    return Chain()
