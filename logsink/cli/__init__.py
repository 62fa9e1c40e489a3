"""The command line: the only room that reads the environment, prints for people, and ends the process.

``program`` is the process: it prepares the interpreter (``startup``), runs ``main`` and exits. ``main`` is the group of verbs.
Each verb of ``main.VERBS`` is a file or a folder of this room named like the verb (``_`` for ``-``), and has a click command
``command``. A new verb is such a file, and a line there.

``options``   options that several verbs share, and the typed requests that their values become
``fleet``     what the verbs about the fleet share: totals, and one table
``terminal``  standard streams, the pager, printing in order
``contact``   how a verb that reads comes to its store
``drafts``    files that appear whole, with their rights
``report``    what verbs say on stderr, and numbers as people read them
``suggestions``  what a misspelt verb, option or column may have meant

A verb reads its options, makes typed values of them, calls other rooms, prints, and returns an exit code. What receives,
stores or searches never enters here, and no other room imports from this one. Everything large is imported when a verb runs,
so that ``--help`` and completion come at once.
"""
