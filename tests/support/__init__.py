"""What tests share: S3 servers (``s3``), a fault-injecting HTTP proxy (``proxy``), and a faulty store (``faulty``)."""
