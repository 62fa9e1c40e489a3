"""``open_store``: the store that a URL names."""

from __future__ import annotations

from pathlib import Path

import pytest

from logsink.errors import ConfigError
from logsink.store import Retrying, open_store
from logsink.store.local import LocalStore
from logsink.store.s3 import S3Store


async def test_a_directory_by_url_and_by_path(tmp_path: Path) -> None:
    for url in (f"file://{tmp_path}", str(tmp_path)):
        async with open_store(url) as store:
            assert isinstance(store, LocalStore)
            assert store.url == f"file://{tmp_path}"


async def test_a_bucket_is_tried_again() -> None:
    async with open_store("s3://bucket/some/prefix/") as store:
        assert isinstance(store, Retrying)
        assert isinstance(store.inner, S3Store)
        assert store.url == "s3://bucket/some/prefix"


def test_another_url() -> None:
    with pytest.raises(ConfigError, match="cannot use"):
        open_store("gs://bucket")
