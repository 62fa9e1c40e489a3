"""``logsink diff``: what one set of messages says that another does not.

``command`` declares the options, ``sides`` says which rows they compare. ``run`` compares and prints: as ``text``, or as JSON.
``paste`` makes the query that shows the messages of a change.
"""

from logsink.cli.diff.command import command

__all__ = ["command"]
