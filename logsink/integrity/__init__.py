"""Integrity: prove that everything that a store should hold is there and unchanged.

A store enters; damages, each with its remedy, leave. Nothing is written. Printing, receiving and searching never enter.

- ``findings`` has what is found, ``survey`` what there is: listings and one snapshot.
- ``verification`` checks everything: ``journal`` the segments, ``coverage`` the lanes of all data files.
"""

from __future__ import annotations

from logsink.integrity.findings import Finding, Loss, Progress, Verified
from logsink.integrity.verification import verify

__all__ = ["Finding", "Loss", "Progress", "Verified", "verify"]
