"""asyncio listeners: they move octets between sockets and ``wire/``, and batches on to an ``Intake``. Never more.

Nothing here parses, stores or decides what is durable.
"""
