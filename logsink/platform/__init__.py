"""What depends on the C library, the Python interpreter or the operating system, and on nothing of logsink.

Each module hides one such dependency behind a function that does nothing, or the portable thing, where it is missing. Nothing
that knows about syslog, stores or queries enters here. Other rooms import these modules directly: the room has no common door.
"""
