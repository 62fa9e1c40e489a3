"""What the verbs about the fleet share: ``hosts``, ``deploys`` and ``usage`` ask for totals, and show one table.

``options``  the options that all of them take, and the typed value that these become
``asking``   a question on its way to its answer: the store, progress, interrupts, damage, exit code
``tables``   a table of numbers and times as people read it, with bars
"""
