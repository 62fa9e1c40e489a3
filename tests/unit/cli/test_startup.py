"""Imports of short commands: with parts left out, everything that is there works as it always does."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsink.cli.startup import Command
from tests.support.examples import examples

LIGHT = (
    "from logsink.cli.startup import light_imports\nwith light_imports(): import pyarrow as pa, pyarrow.compute as pc\n"
)
FUNCTIONS = "print(sorted(n for n, f in vars(pc).items() if hasattr(f, '__arrow_compute_function__')))"


def said(code: str) -> str:
    """What a fresh interpreter prints for this."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def every() -> list[str]:
    """Names of the functions that ``pyarrow.compute`` has."""
    names = list[str](eval(said("import pyarrow.compute as pc\n" + FUNCTIONS)))
    assert len(names) > 200
    return names


def test_a_function_of_arrow_is_made_when_it_is_asked_for(every: list[str]) -> None:
    assert said(LIGHT + "pc.if_else\n" + FUNCTIONS) == "['if_else']"
    assert eval(said(LIGHT + f"for n in {every}: getattr(pc, n)\n" + FUNCTIONS)) == every


def test_functions_made_late_are_the_same(every: list[str]) -> None:
    """They say so at least: only what options mean is not described."""
    told = "(n, f.__doc__ if 'options' not in f.__doc__ else f.__doc__.split('Parameters')[0])"
    code = f"print([{told} for n in {every} for f in [getattr(pc, n)]])"
    assert said(LIGHT + code) == said("import pyarrow.compute as pc\n" + code)


def test_what_calls_them_finds_them() -> None:
    found = "pa.table({'a': [3, 1, 2]}).filter(pc.field('a') > 1).sort_by('a').column('a').to_pylist()"
    assert said(LIGHT + f"print({found}, pc.and_(True, False), pc.max(pa.array([1, 2])))") == "[2, 3] False 2"


def test_a_function_that_is_not_there_is_an_attribute_error() -> None:
    assert said(LIGHT + "print(hasattr(pc, 'nonsense'), hasattr(pc, '__path__'))") == "False False"


def test_no_pandas_and_no_documentation_within_and_pandas_behind() -> None:
    code = (
        "import importlib.util, sys\n"
        "from logsink.cli.startup import light_imports\n"
        "with light_imports():\n"
        "    import numpy\n"
        "    try: import pandas\n"
        "    except ModuleNotFoundError as error: print(error.name)\n"
        "print(numpy.ndarray.__doc__, numpy.array([1, 2]).sum(), len(sys.meta_path))"
    )
    assert said(code) == f"pandas\nNone 3 {said('import sys; print(len(sys.meta_path))')}"


def light(imports: str) -> str:
    """Code that imports this lightly."""
    return f"from logsink.cli.startup import light_imports\nwith light_imports(): {imports}\n"


def test_types_are_all_there_when_one_is_asked_for() -> None:
    """The first of them is what it always is: an alias that takes a scalar's type."""
    imports = "import sys, numpy as np, numpy.typing as npt"
    first = "print(npt.NDArray[np.int64])\n"
    plain = said(f"{imports}\n{first}")
    assert said(light(imports) + first + "print('numpy._typing._array_like' in sys.modules)") == f"{plain}\nFalse"
    rest = (
        first + "print(npt.ArrayLike, npt.DTypeLike, npt.NDArray[np.int64])\nfrom numpy._typing import _ArrayLikeInt\n"
    )
    assert said(light(imports) + rest) == said(f"{imports}\n{rest}")
    assert said(light(imports) + first + "print(hasattr(npt, 'nonsense'))") == f"{plain}\nFalse"


def test_numpy_is_all_there() -> None:
    """With what it imports when it is asked for it: masked arrays look at signatures, files at much else."""
    later = "import sys\nfrom logsink.cli.later import STANDARD, Later\nsys.meta_path.insert(0, Later(STANDARD))\n"
    use = (
        "print(np.ma.masked_array([1, 2], [True, False]).sum(), np.linalg.norm([3, 4]), np.random.default_rng(1).random())\n"
        "print(np.polyfit([1, 2], [3, 4], 1).round(6), np.linalg.matrix_power([[1, 1], [0, 1]], 3), np.fft.fft([1, 0]))\n"
        "import numpy.testing, numpy.lib.recfunctions, io\nprint(np.loadtxt(io.StringIO('1 2')))"
    )
    assert said(later + light("import numpy as np, pyarrow") + use) == said("import numpy as np\n" + use)


def test_file_systems_of_pyarrow_are_those_of_this_machine() -> None:
    local = "print(type(fs.FileSystem.from_uri('file:///')[0]).__name__)\n"
    remote = "try: fs.S3FileSystem\nexcept ImportError as error: print(type(error).__name__)"
    assert said(light("from pyarrow import fs") + local + remote) == "LocalFileSystem\nImportError"


@pytest.mark.parametrize("module", ["numpy", "pyarrow"])
def test_a_process_that_has_them_keeps_them_as_they_are(module: str, every: list[str]) -> None:
    assert eval(said(f"import {module}\n" + LIGHT + FUNCTIONS)) == every


def test_a_pyarrow_that_is_made_otherwise_is_imported_as_ever(every: list[str]) -> None:
    code = "import logsink.cli.startup as light\nlight._NAMED = ()\n" + LIGHT + FUNCTIONS
    assert eval(said(code)) == every


def test_a_pyarrow_without_what_is_replaced_is_no_error_here() -> None:
    absent = "import sys\nsys.modules['pyarrow._compute'] = None\n"
    assert (
        said(absent + "from logsink.cli.startup import light_imports\nwith light_imports(): print('within')")
        == "within"
    )


def test_tls_is_there_when_it_is_asked_for() -> None:
    imports = "import asyncio, sys, pyarrow.parquet, ssl"
    use = (
        "print(ssl.get_default_verify_paths(), asyncio.sslproto.SSLProtocol, ssl.create_default_context().verify_mode)"
    )
    plain = said(f"{imports}\n{use}")
    assert said(light(imports) + "print('_ssl' in sys.modules)\nssl.SSLContext\n" + use) == f"False\n{plain}"


def test_tls_works_within() -> None:
    """A look at what no server stands behind fails for that reason."""
    code = (
        "import asyncio, ssl\n"
        "async def look():\n"
        "    try: await asyncio.open_connection('127.0.0.1', 1, ssl=ssl.create_default_context())\n"
        "    except OSError as error: print(type(error).__name__)\n"
    )
    assert said(light("import pyarrow.fs\n") + code + "asyncio.run(look())") == "ConnectionRefusedError"


ARGUMENTS = st.lists(
    st.sampled_from(
        ["-q", "-r", "-qr", "-n", "-n5", "-nq", "-H", "-Ha", "-H=a", "-Z", "-qZ", "-", "--", "--host", "--host=a"]
    )
    | st.sampled_from(["--ho", "--quiet=1", "--", "a", "5", "-5", "---q", "-é"]),
    max_size=5,
)


@settings(max_examples=examples(300))
@given(ARGUMENTS)
def test_options_are_what_click_makes_of_them(arguments: list[str]) -> None:
    def made(kind: type[click.Command]) -> object:
        options = [
            click.Option(["-q", "--quiet"], is_flag=True),
            click.Option(["-r"], is_flag=True),
            click.Option(["-n", "--lines"]),
            click.Option(["-H", "--host"], multiple=True),
            click.Argument(["pattern"], nargs=-1),
        ]
        try:
            return kind("query", params=options).make_context("query", list(arguments)).params
        except click.ClickException as error:
            return type(error), error.format_message()

    assert made(Command) == made(click.Command)
