"""SQL over the archive, with DuckDB in this process.

``engine`` checks that a statement only reads, finds out which columns and rows it needs, and runs it over those: DuckDB sees
them as the table ``logs``, and no file, network or other table. ``where`` reads the statement's WHERE for conditions that
choose which files are read.

A statement, a filter and a function that reads rows enter; how a result is written is not decided here (``query.output``).
DuckDB is imported when a statement runs.
"""

from __future__ import annotations

from logsink.query.sql.engine import ATTEMPTS, run

__all__ = ["ATTEMPTS", "run"]
