"""The receiving process: put the other rooms together, receive until told to stop, drain.

::

    receiver     one receiver on one store, from its start to the end of its drain
    workers      several receivers on the same addresses, each in a process of its own
    ready_file   the file that tells another program where a receiver listens

Here is decided in which order things start, what happens when memory runs short, and what must be done before the process may
end. How bytes are read, stored or archived is the business of ``net/``, ``journal/`` and ``archive/``.
"""
