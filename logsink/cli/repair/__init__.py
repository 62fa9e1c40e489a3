from logsink.cli.repair.command import command

__all__ = ["command"]
