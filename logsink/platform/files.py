"""How many files a process may have open."""

from __future__ import annotations

import resource


def allow_files(needed: int) -> int:
    """Raise the limit of open files, which often is 1,024, as far as ``needed`` and as the system allows without privileges.

    Returns how many files of these ``needed`` may be open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit
