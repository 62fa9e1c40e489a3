from logsink.cli.query.command import command

__all__ = ["command"]
