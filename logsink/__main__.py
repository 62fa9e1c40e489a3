"""``python -m logsink``."""

from logsink.cli.main import run

run()
