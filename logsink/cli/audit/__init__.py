"""``logsink audit``: is anything missing, as far as the archive can tell?

``command`` declares the options, ``run`` audits and prints: as ``text``, or as JSON.
"""

from logsink.cli.audit.command import command

__all__ = ["command"]
