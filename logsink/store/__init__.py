"""Storage: ``Store`` and its implementations ``file://`` and ``s3://``. Nothing here knows what the objects mean.

``open_store(url)`` is the only way in; layout under the URL (DESIGN: the store)::

    journal/<receiver>/<lane>/<sequence, 20 digits>.arrow
    logs/_delta_log/...          logs/date=YYYY-MM-DD/<name>.parquet
    quarantine/...
    probe/...                    for a moment, when a receiver starts
"""

from __future__ import annotations

from logsink.place import Directory, parse
from logsink.store.base import Bytes, Entry, Store
from logsink.store.retry import Retrying, put_once

__all__ = ["Bytes", "Entry", "Retrying", "Store", "open_store", "put_once"]


def open_store(url: str) -> Store:
    """The store at ``url``: ``file:///dir``, a path, or ``s3://bucket/prefix`` (``url.parse`` has the grammar).

    Nothing is touched and nothing connected before the first call. Credentials, region and endpoint of ``s3://`` come from the
    ordinary AWS chain. What may safely be tried again is (``Retrying``), for a few seconds; conditional puts never are.
    ``ConfigError`` when the URL is malformed.
    """
    place = parse(url)
    if isinstance(place, Directory):
        from logsink.store.local import LocalStore

        return LocalStore(place)
    from logsink.store.s3 import S3Store  # 0.4 s of imports, which a local store must not pay

    return Retrying(S3Store(place))
