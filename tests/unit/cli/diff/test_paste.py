"""Queries to be pasted find the messages of a kind, and are safe in a shell."""

from __future__ import annotations

import datetime as dt
import shlex

import pyarrow as pa
import pytest

from logsink.cli.diff.paste import LONGEST, query_of
from logsink.query.request import Holds, SearchTerms, to_filter

PLAIN = SearchTerms()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("port * closed", "port 4711 closed"),
        ("a.b (c) [d] {e} ^f$ |g\\ +h?", "a.b (c) [d] {e} ^f$ |g\\ +h?"),
        ('it\'s * "quoted" $(rm -rf) `x`', 'it\'s 5 "quoted" $(rm -rf) `x`'),
        ("line *\nand another\x1b[0m", "line 1\n 2\nand another\x1b[0m"),
        ("", ""),
        ("x" * 500, "x" * 500),
    ],
)
def test_the_query_finds_the_message_and_not_another(pattern: str, message: str) -> None:
    command = query_of(PLAIN, None, pattern)
    assert command.isprintable()
    words = shlex.split(command)
    assert words[:5] == ["logsink", "query", "--app", "!*", "-E"]
    condition = Holds("message", (words[5],), regex=True)
    other = f"y{message}" if len(pattern) > LONGEST else f"{message} and more"
    assert condition.mask(pa.array([message, other])).tolist() == [True, False]


def test_the_terms_of_the_side() -> None:
    terms = SearchTerms(
        since=dt.datetime(2026, 11, 22, 3, 4, tzinfo=dt.UTC),
        until=dt.datetime(2026, 11, 22, 3, 4, 5, 250_000, dt.UTC),
        role=("web",),
        host=("web-*", "!web-3"),
        app=("shop", "shop-*"),
        priority="err",
        facility=("daemon",),
        sd=("a=b c",),
        flag=("!truncated",),
    )
    assert query_of(terms, "shop[1]", "x", ("--store", "s3://logs/a b")).split(" -E ")[0] == (
        "logsink query --store 's3://logs/a b' -S 2026-11-22T03:04:00Z -U 2026-11-22T03:04:05.250000Z --host 'web-*' "
        "--host '!web-3' --role web --app 'shop[[]1]' -p err --facility daemon --sd 'a=b c' --flag '!truncated'"
    )


@pytest.mark.parametrize(
    ("app", "glob"), [(None, "'!*'"), ("", "''"), ("!x*", "'?x[*]'"), ("[a]?", "'[[]a][?]'"), ("-x", "-x")]
)
def test_the_app_is_the_kind_s_own(app: str | None, glob: str) -> None:
    terms = SearchTerms(app=("!other",))
    command = query_of(terms, app, "x")
    assert command == f"logsink query --app {glob} -E '^x$'"
    words = shlex.split(command)
    condition = to_filter(SearchTerms(app=(words[3],)), 0, dt.UTC)
    found = condition.mask(pa.table({"app": pa.array(["!x*", "", None, "[a]?", "shop", "x", "-x"], pa.string())}))
    assert found.tolist() == [one == app for one in ("!x*", "", None, "[a]?", "shop", "x", "-x")]
