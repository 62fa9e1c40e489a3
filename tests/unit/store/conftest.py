"""S3 servers for the tests of ``s3``."""

from __future__ import annotations

from tests.support.s3 import moto_server as moto_server
from tests.support.s3 import s3_environment as s3_environment
from tests.support.s3 import s3_server as s3_server
