from logsink.cli.sql.command import command

__all__ = ["command"]
