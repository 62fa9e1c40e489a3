from logsink.cli.doctor.command import command

__all__ = ["command"]
