"""Options that verbs of the command line share, and the typed values that their parameters become.

Each module declares some options as a decorator, with a frozen dataclass that holds them once they are read. What the options
mean is said by other rooms; here is only how they are written.

``terms``      which rows: time, origin, text, members
``context``    what is shown with each match: neighbours, records, a span of time
``limits``     how many lines are shown
``reading``    text or JSON, what is printed besides the answer, and the user's cache
``summaries``  counts instead of rows
``output``     formats, columns, colours
``settings``   settings of ``logsink.config``, and the settings file
``zones``      the time zone for input and output
``sections``   the order of options in ``--help``
"""
