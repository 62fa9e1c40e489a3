"""A session on a Spark Connect server, and the table of a store as it stands at one version: ``Session``.

The client is imported when somebody connects. It talks to the server, which reads the store by itself, with its own rights.
"""

from __future__ import annotations

import datetime as dt
import re
import warnings
import zoneinfo
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from logsink.errors import ConfigError, Unavailable, extra

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ANSWER: Final = 5.0
"""Seconds within which a Spark Connect server must answer."""

_GRPC: Final = re.compile(r'^<.*\n(?:.*\n)*?\s*details = "(.*)"')
"""Matches the error of a failed gRPC call; the error of a failed statement is what Spark said."""


class Session:
    """One session on the server ``server``, over the table of the store at ``url``."""

    def __init__(self, spark: Any, server: str, url: str) -> None:
        self.spark, self.server = spark, server
        self._path = f"{url.rstrip('/')}/logs"

    def table(self, version: int | None = None) -> DataFrame:
        """Return the table, at a version or as it is now; nothing is read yet."""
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        table: DataFrame = reader.load(self._path)
        return table

    def use_zone(self, zone: dt.tzinfo) -> None:
        """Have the session take and show times without a zone in this zone, where it has a name; else it has the server's."""
        name = "UTC" if zone is dt.UTC else getattr(zone, "key", None)
        if name is not None:
            self.spark.conf.set("spark.sql.session.timeZone", name)

    def result(self, statement: str) -> pa.Table:
        """Return what a statement finds. Its instants show the session's zone, as the statement took them: servers send UTC."""
        found: pa.Table = self.spark.sql(statement).toArrow()
        zone = self.spark.conf.get("spark.sql.session.timeZone")
        try:
            zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            return found  # one that only Java knows, such as GMT+1
        fields = [
            field.with_type(pa.timestamp(field.type.unit, zone)) if getattr(field.type, "tz", None) else field
            for field in found.schema
        ]
        return found.cast(pa.schema(fields))

    def interrupt(self) -> None:
        """Have the server end what it does for this session, where it can."""
        with suppress(Exception):  # what a server without this says is not worth a word
            self.spark.interruptAll()

    def transport_failed(self, error: Exception) -> Unavailable | None:
        """Return the error to raise where the server has failed, and not what it was asked for."""
        found = _GRPC.search(str(error))
        return Unavailable(f"cannot use {self.server} as a Spark Connect server: {found[1]}") if found else None

    def failed(self, error: Exception) -> Unavailable:
        """Return the error to raise where the server could not read the archive."""
        said = str(error).strip().splitlines() or [type(error).__name__]
        hint = "look at what the server says; without --connect the archive is read here"
        return self.transport_failed(error) or Unavailable(
            f"cannot read the archive by {self.server}: {said[0]}", hint=hint
        )


@contextmanager
def connected(server: str, url: str) -> Iterator[Session]:
    """Open a session on the server with the URL ``server``, and end it when the block is left.

    ``ConfigError`` without Spark's client, ``Unavailable`` where nothing answers.
    """
    with warnings.catch_warnings():  # the client warns of versions of pandas, which a user can do nothing about
        warnings.simplefilter("ignore")
        session = Session(_open(server), server, url)
        try:
            yield session
        finally:
            with suppress(Exception):  # the server is gone; what that cost was said before
                session.spark.stop()


def _open(server: str) -> Any:
    try:
        from grpc import FutureTimeoutError, channel_ready_future  # type: ignore[import-untyped]
        from pyspark.sql import SparkSession
        from pyspark.sql.connect.client import DefaultChannelBuilder
    except ImportError as error:
        raise ConfigError("cannot reach Spark: its client is not installed", hint=extra("spark")) from error
    try:
        with closing(DefaultChannelBuilder(server).toChannel()) as channel:
            channel_ready_future(channel).result(timeout=ANSWER)
        return SparkSession.builder.remote(server).create()
    except FutureTimeoutError as error:
        hint = "check that a Spark Connect server runs there and that this machine may connect"
        raise Unavailable(f"cannot reach {server}: no answer within {ANSWER:g} s", hint=hint) from error
    except Exception as error:
        raise Unavailable(f"cannot reach {server}: {str(error).splitlines()[0]}") from error
