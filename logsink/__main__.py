"""``python -m logsink``."""

from logsink.cli.main import main

main(prog_name="logsink")
