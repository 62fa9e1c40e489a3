from logsink.cli.hosts.command import command

__all__ = ["command"]
