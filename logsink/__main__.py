"""``python -m logsink``."""

from logsink.cli.program import run

run()
