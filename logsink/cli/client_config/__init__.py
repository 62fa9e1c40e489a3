"""``logsink client-config``: configurations with which clients send to logsink, from one set of templates.

``request`` has what is asked for as typed values, ``templates`` fills in the texts of ``templates/``, ``rsyslog`` and its
siblings say which values a kind of client needs, ``bundle`` puts together all files of a client, and ``formats`` wraps them.
Of this machine only certificates are read: the same command gives the same text everywhere.
"""

from logsink.cli.client_config.command import command

__all__ = ["command"]
