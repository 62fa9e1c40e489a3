"""A Spark Connect server of a test: Sail, which runs without Java, in this process.

::

    with sail() as url:                 # one process
        run("query", "--connect", url)
    with sail(workers=2) as url:        # a small cluster: a driver and two workers that talk by gRPC
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest


@contextmanager
def sail(*, workers: int = 0, environ: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a server and give its URL; ``environ`` is what it finds in its environment. Skips where it is not installed."""
    spark = pytest.importorskip("pysail.spark", exc_type=ImportError)
    require_client()
    cluster = {
        "SAIL_MODE": "local-cluster",
        "SAIL_CLUSTER__WORKER_INITIAL_COUNT": str(workers),
        "SAIL_CLUSTER__WORKER_MAX_COUNT": str(workers),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SAIL_MODE", raising=False)
        for name, value in {**(environ or {}), **(cluster if workers else {})}.items():
            patch.setenv(name, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server = spark.SparkConnectServer("127.0.0.1", 0)
        server.start(background=True)
        try:
            _, port = server.listening_address
            yield f"sc://127.0.0.1:{port}"
        finally:
            server.stop()


def require_client() -> None:
    """Skip the test where Spark's client is not installed. It warns of pandas when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pyspark.sql.connect.functions.builtin", exc_type=ImportError)


def in_ci() -> bool:
    """Whether every engine must be there."""
    return os.environ.get("CI") == "true"
