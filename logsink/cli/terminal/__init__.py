"""The terminal and the standard streams: closed and broken ones (``streams``), the pager, printing in order (``printing``),
short answers as text or JSON (``answers``)."""
