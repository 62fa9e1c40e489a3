"""Queries whose archive a Spark Connect server reads (Spark, Sail, Databricks): the same rows as without it.

``session`` opens a session, ``conditions`` makes Spark's conditions of a filter, for which ``expressions`` makes regular
expressions that all engines read alike, and ``engine`` reads the files of a plan by them. The journal's tail, the merging of
rows and the output stay here: ``query.read`` takes the engine in its ``Tuning``.

A plan, a query and a server's URL enter; rows and sums leave. Nothing here writes, and only ``session`` and ``engine`` talk to
the server. Spark's client is imported when somebody connects.
"""

from __future__ import annotations

from logsink.query.spark.conditions import compiled
from logsink.query.spark.engine import SparkEngine
from logsink.query.spark.session import Session, connected

__all__ = ["Session", "SparkEngine", "compiled", "connected"]
