"""``logsink query --connect`` on a small cluster over S3 while receivers run: the ten questions of docs/tasks.md and others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.receiver import Receiver
from tests.support.s3 import enter, moto
from tests.support.shop import QUESTIONS, ask, same_answers, send_all
from tests.support.shop import shop as shop_at
from tests.support.spark import sail

DOCUMENTED = Path(__file__).parents[2] / "docs" / "tasks.md"


@contextmanager
def cluster(tmp_path: Path) -> Iterator[tuple[str, str, Receiver]]:
    """The shop on S3, and a server."""
    with moto() as s3, pytest.MonkeyPatch.context() as patch:
        enter(patch, s3)
        patch.setenv("TZ", "UTC")
        url, environ = s3.fresh_url(), s3.environment
        with shop_at(url, environ, tmp_path) as receiver, sail(workers=2, environ=environ) as server:
            yield url, server, receiver


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Receiver]]:
    with cluster(tmp_path_factory.mktemp("shop")) as found:
        yield found


def test_the_questions_are_the_documented_ones() -> None:
    assert len(re.findall(r"^## \d+\.", DOCUMENTED.read_text(), re.MULTILINE)) == 10
    assert len(re.findall(r"^\$ logsink (?:query|sql)", DOCUMENTED.read_text(), re.MULTILINE)) == len(QUESTIONS)


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_ten_questions_have_the_same_answers(shop: tuple[str, str, Receiver], tmp_path: Path) -> None:
    url, server, _ = shop
    same_answers(url, server, tmp_path)


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_what_was_stored_since_the_cursor_is_found(shop: tuple[str, str, Receiver], tmp_path: Path) -> None:
    url, server, receiver = shop
    cursor = ("query", "--cursor-file", str(tmp_path / "cursor"), "--connect", server)
    assert ask(url, *cursor, "-n", "1").exit_code == 0
    assert ask(url, *cursor).exit_code == 1
    send_all(receiver, [b"<13>1 2026-11-24T04:00:00Z web-9 app - - - later"])
    found = ask(url, *cursor, "-o", "cat")
    assert (found.exit_code, found.stdout) == (0, "later\n")


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_conditions_that_spark_has_not_are_refused_in_sql(shop: tuple[str, str, Receiver]) -> None:
    url, server, _ = shop
    refused = ask(url, "sql", "--connect", server, "--sd", "request=1", "SELECT 1 FROM logs")
    assert refused.exit_code == 2
    assert "cannot use this condition with --connect: structured_data has request=1" in refused.stderr
