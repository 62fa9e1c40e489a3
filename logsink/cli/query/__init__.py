"""``logsink query``: search logs.

``command`` declares the options, ``request`` holds their values in one typed tree, ``exclusions`` says which of them go
together. ``run`` decides how a request is answered: ``rows`` prints rows and follows, ``summary`` prints counts. A ``job`` is
the state that these share, with its ``interrupts``, its ``cursors`` and its ``destination``.
"""

from logsink.cli.query.command import command

__all__ = ["command"]
