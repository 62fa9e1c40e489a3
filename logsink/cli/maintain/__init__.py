from logsink.cli.maintain.command import command

__all__ = ["command"]
