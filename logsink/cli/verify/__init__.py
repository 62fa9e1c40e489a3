from logsink.cli.verify.command import command

__all__ = ["command"]
