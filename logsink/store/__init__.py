"""Object storage: one interface, ``Store``, over a local directory (``file://``) and an S3 bucket (``s3://``).

Keys and bytes enter and leave; nothing here knows what an object means. ``open_store(url)`` is the way in.

- ``base`` has the interface and the contract of each method; one conformance suite holds all stores to it.
- ``local`` and ``disk`` keep objects as files, ``s3`` and ``s3_errors`` in a bucket, ``memory`` in a dictionary (for tests).
- ``retry`` tries again what may be tried again, ``counting`` counts reads: both wrap a store and are one themselves.
- ``cached`` keeps what never changes in a directory of this machine, for queries of S3.
- ``overlay`` tries out changes: a store of which another one is only read.
- ``probe`` proves that a store honours put-if-absent.
- ``marker`` has the layout of ``store.json``, which says which store this is; ``guarded`` looks at it again and again, and
  writes nothing while it is not there.

The other rooms keep these objects below the store's URL::

    store.json
    journal/<receiver>/<lane>/<sequence, 20 digits>.arrow
    logs/_delta_log/...          logs/date=YYYY-MM-DD/<name>.parquet
    dormant/...                  index/...          ledger/...
    quarantine/...
    probe/...                    for a moment, when a receiver starts; probe/ready, empty, stays
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logsink.place import Directory, parse
from logsink.platform.lazy import exports
from logsink.store.base import MARKER, Bytes, Entry, Store
from logsink.store.counting import CountingStore
from logsink.store.retry import Retrying, put_once

if TYPE_CHECKING:
    from logsink.store.cached import CachedStore
    from logsink.store.disk import FILE_MODE
    from logsink.store.guarded import GuardedStore
    from logsink.store.marker import Marker, decode_marker, encode_marker, new_id, new_marker
    from logsink.store.overlay import OverlayStore
    from logsink.store.s3_errors import least_policy
else:
    __getattr__ = exports(
        __name__,
        {
            "cached": ("CachedStore",),
            "disk": ("FILE_MODE",),
            "guarded": ("GuardedStore",),
            "marker": ("Marker", "decode_marker", "encode_marker", "new_id", "new_marker"),
            "overlay": ("OverlayStore",),
            "s3_errors": ("least_policy",),
        },
    )

__all__ = [
    "FILE_MODE",
    "MARKER",
    "Bytes",
    "CachedStore",
    "CountingStore",
    "Entry",
    "GuardedStore",
    "Marker",
    "OverlayStore",
    "Retrying",
    "Store",
    "decode_marker",
    "encode_marker",
    "least_policy",
    "new_id",
    "new_marker",
    "open_store",
    "put_once",
]


def open_store(url: str) -> Store:
    """Return the store at ``url``: ``file:///dir``, a path, or ``s3://bucket/prefix`` (see ``logsink.place.parse``).

    Nothing is touched and nothing connected before the first call. Credentials, region and endpoint of ``s3://`` come from the
    ordinary AWS chain. ``s3://`` tries again for a few seconds what may safely be tried again (``Retrying``), which conditional
    puts are not. ``ConfigError`` when the URL is malformed.
    """
    place = parse(url)
    if isinstance(place, Directory):
        from logsink.store.local import LocalStore

        return LocalStore(place)
    from logsink.store.s3 import S3Store  # 0.4 s of imports, which a local store must not pay

    return Retrying(S3Store(place))
