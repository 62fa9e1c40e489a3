"""Spark Connect servers of tests: Sail, which runs without Java, in this process; Apache Spark, in processes of its own.

::

    with sail() as url:                 # one process
        run("query", "--connect", url)
    with sail(workers=2) as url:        # a small cluster: a driver and two workers that talk by gRPC
    with spark() as url:                # Apache Spark with Delta: a driver and two workers; `make test-spark` installs it
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

SPARK: Final = Path(__file__).parents[2] / ".venv-spark"
"""Virtual environment with the package pyspark, which has all of Apache Spark in it."""

PACKAGES: Final = (
    "io.delta:delta-spark_2.13:4.0.1",
    "org.apache.hadoop:hadoop-aws:3.4.1",
    "software.amazon.awssdk:s3-transfer-manager:2.25.53",
    "software.amazon.awssdk:sts:2.25.53",
)
"""What Spark fetches from Maven Central, with all that these need but ``NOT_NEEDED``."""

NOT_NEEDED: Final = (
    "software.amazon.awssdk:bundle",
    "io.netty:*",
    "org.antlr:*",
    "org.apache.httpcomponents:*",
    "org.slf4j:*",
)
"""All of Amazon's clients, 558 MB, of which the last two packages have what ``hadoop-aws`` uses; and what Spark has itself.

With a second Netty beside Spark's own, a quarter of all requests fail: "Encountered end-of-stream mid-frame".
"""

START: Final = 300.0
"""Seconds for Spark to listen; the first time it fetches packages."""


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


@contextmanager
def spark(*, environ: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run Apache Spark as a driver and two workers, and give its URL. Skips where `make test-spark` has not installed it.

    ``environ`` has the settings of an S3 server, as ``tests.support.s3`` gives them.
    """
    home = next(SPARK.glob("lib/python3*/site-packages/pyspark"), None)
    if home is None or shutil.which("java") is None:
        pytest.skip("Apache Spark is not installed (`make test-spark` does it)")
    require_client()
    port = _free_port()
    settings = {
        "spark.jars.ivy": f"{SPARK}/ivy",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.endpoint": (environ or {}).get("AWS_ENDPOINT_URL", ""),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",  # 200 tasks a sum would take longer than the sums
    }
    command = [
        *(f"{home}/bin/spark-submit", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
        *("--master", "local-cluster[2,1,1024]", "--driver-memory", "1g"),
        *("--packages", ",".join(PACKAGES), "--exclude-packages", ",".join(NOT_NEEDED)),
        *(word for name, value in settings.items() if value for word in ("--conf", f"{name}={value}")),
        "spark-internal",
    ]
    with tempfile.TemporaryDirectory(prefix="spark-") as work, Path(work, "log").open("w+b") as log:
        everything = {**os.environ, **(environ or {}), "SPARK_HOME": str(home), "SPARK_LOCAL_DIRS": work, "PWD": work}
        process = subprocess.Popen(
            command, cwd=work, env=everything, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_for(port, process, Path(work, "log"))
            yield f"sc://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START
    while process.poll() is None and time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.2)  # there is nothing to wait on: the port is the only sign of life
    raise RuntimeError(f"Spark does not listen on port {port}: {log.read_text(errors='replace')[-5000:]}")


def require_client() -> None:
    """Skip the test where Spark's client is not installed. It warns of pandas when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pyspark.sql.connect.functions.builtin", exc_type=ImportError)


def in_ci() -> bool:
    """Whether every engine must be there."""
    return os.environ.get("CI") == "true"
