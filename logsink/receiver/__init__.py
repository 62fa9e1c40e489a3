"""The receiving process: put the other rooms together, receive until told to stop, drain.

::

    receiver     one receiver on one store, from its start to the end of its drain
    workers      several receivers on the same addresses, each in a process of its own
    life         stores the events of a receiver's own life in its journal
    proof        whether the store takes objects, for /readyz
    named_ids    the ids under which a process has written to the journal, for /readyz
    ready_file, service_manager    tell another program that a receiver listens, and where

Here is decided in which order things start, what happens when memory runs short, and what must be done before the process may
end. How bytes are read, stored or archived is the business of ``net/``, ``journal/`` and ``archive/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.platform.lazy import exports

if TYPE_CHECKING:
    from logsink.receiver.ready_file import prove_ready_file, remove_ready_file, write_ready_file
    from logsink.receiver.receiver import Receiver
    from logsink.receiver.service_manager import READY, STOPPING, ServiceManager
    from logsink.receiver.workers import Workers
else:
    __getattr__ = exports(
        __name__,
        {
            "ready_file": ("prove_ready_file", "remove_ready_file", "write_ready_file"),
            "receiver": ("Receiver",),
            "service_manager": ("READY", "STOPPING", "ServiceManager"),
            "workers": ("Workers",),
        },
    )

__all__ = [
    "READY",
    "STOPPING",
    "Receiver",
    "ServiceManager",
    "Workers",
    "prove_ready_file",
    "remove_ready_file",
    "write_ready_file",
]
