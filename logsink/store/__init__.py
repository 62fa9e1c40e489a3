"""Storage: ``Store`` and its implementations ``file://`` and ``s3://``. Nothing here knows what the objects mean.

``open_store(url)`` is the only way in; layout under the URL (DESIGN: the store)::

    journal/<receiver>/<lane>/<sequence, 20 digits>.arrow
    logs/_delta_log/...          logs/date=YYYY-MM-DD/<name>.parquet
    quarantine/...
"""
