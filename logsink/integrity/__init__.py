"""Integrity: prove that everything that a store should hold is there and unchanged, and mend what is not.

A store enters; damages, each with its remedy, and the steps of a repair leave. ``verify`` only reads. A repair plans from what
that finds, and deletes nothing that it has not copied. Printing, receiving and searching never enter.

- ``findings`` has what is found, ``survey`` what there is: listings and one snapshot.
- ``ledgers`` compares a ledger that was kept elsewhere with the rows of its date.
- ``verification`` checks everything: ``journal`` the segments, ``coverage`` the lanes of all data files, ``index`` the objects
  of the index.
- ``repair`` plans and does a repair: ``tables`` plans what becomes of the table, ``choice`` decides which data files count.
"""

from __future__ import annotations

from logsink.integrity.findings import Finding, Loss, Progress, Verified
from logsink.integrity.ledgers import Proved, verify_ledger
from logsink.integrity.repair import Repair, Step
from logsink.integrity.verification import verify

__all__ = ["Finding", "Loss", "Progress", "Proved", "Repair", "Step", "Verified", "verify", "verify_ledger"]
