"""The command line: the only room that reads the environment, prints for people, and ends the process.

``program`` is the process: it prepares the interpreter (``startup``), runs ``main`` and exits. ``main`` is the group of verbs.
Each verb is a file or a folder of this room named like the verb, and has a click command ``command``: ``serve``, ``query``,
``sql``, ``maintain``, ``config``, ``completion``. A new verb is such a file, and a line in ``main.VERBS``.

``options``   options that several verbs share, and the typed requests that their values become
``terminal``  standard streams, the pager, printing in order
``report``    what verbs say on stderr, and numbers as people read them

A verb reads its options, makes typed values of them, calls other rooms, prints, and returns an exit code. What receives,
stores or searches never enters here, and no other room imports from this one. Everything large is imported when a verb runs,
so that ``--help`` and completion come at once.
"""
