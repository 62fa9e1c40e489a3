from logsink.cli.tls.command import command

__all__ = ["command"]
