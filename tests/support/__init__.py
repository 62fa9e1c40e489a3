"""What tests share: S3 servers (``s3``), a fault-injecting HTTP proxy (``proxy``), a faulty store (``faulty``), one that
counts round trips (``trips``)."""
