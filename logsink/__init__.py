"""logsink: a central syslog server whose archive outlives every server, itself included.

Bytes flow one way: ``net`` moves them, ``wire`` cuts them into frames, ``journal`` makes them durable, ``parse`` turns
them into columns, ``archive`` commits them to a Delta table, ``query`` reads journal and table back.
"""

__version__ = "0.1.0"
