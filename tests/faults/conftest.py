"""S3 servers for the tests of faults."""

from __future__ import annotations

from tests.support.s3 import s3_environment as s3_environment
from tests.support.s3 import s3_server as s3_server
