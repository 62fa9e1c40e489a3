"""The program ``logsink``: the command in a process of its own, which starts and ends as fast as it can."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from logsink.cli.later import STANDARD, Later

_YOUNG = 200_000
"""Objects made before garbage is looked for: more than the start of a query makes, a tenth of which it is with Python's 700."""


def run() -> NoReturn:
    """Run the command, and out at once: what Python would take down piece by piece (0.1 s) the system takes back."""
    gc.set_threshold(_YOUNG)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy starts threads for matrices: there are none here
    sys.meta_path.insert(0, Later(STANDARD))
    from logsink.cli.main import main

    code: object = 0
    try:
        main(prog_name="logsink")
    except SystemExit as done:
        code = done.code
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)
