"""What an older version wrote is read for ever: the golden file of index objects."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.archive import tail_tag
from logsink.archive.proof import tail_of
from logsink.index import (
    VALUE_COLUMNS,
    SectionBuilder,
    encode_object,
    new_section,
    read_head,
    token_key,
    tokens,
    value_key,
)
from logsink.index.objects import decode_object
from tests.data.golden.make import HERE, INDEX_KEY, make_index
from tests.support import reference_index

BODY = (HERE / "index-1.index").read_bytes()
SAID = json.loads((HERE / "proved-1.json").read_text())


def found(key: int) -> list[int]:
    head = read_head(INDEX_KEY, BODY, len(BODY))
    return head.find(key, BODY[slice(*head.span(head.bucket(key)))])


def test_it_is_about_the_golden_data_file() -> None:
    (section,) = read_head(INDEX_KEY, BODY, len(BODY)).sections
    assert (section.path, section.tail) == (SAID["path"], SAID["tags"]["logsink.tail"])
    tail = section.tail_of(BODY[section.at[0] : section.at[0] + section.at[1]])
    assert tail_of(tail) == tail_tag(tuple(SAID["tags"].items()))
    assert (HERE / "proved-1.parquet").read_bytes().endswith(tail)


def test_every_key_of_its_rows_is_found() -> None:
    rows = pq.read_table(HERE / "proved-1.parquet").to_pylist()
    for row in rows:
        keys = [value_key(name, row[name]) for name in VALUE_COLUMNS if row[name] is not None]
        texts = [text for text in (row["message"], row["structured_data"]) if text]
        keys += [token_key(one.folded) for text in texts for one in tokens(text)]
        assert keys
        assert all(found(key) == [1] for key in keys)


@pytest.mark.parametrize(("token", "blocks"), [(b"head", 1), (b"utf", 1), (b"broken", 1), (b"absent", 0), (b"UTF", 0)])
def test_tokens(token: bytes, blocks: int) -> None:
    assert found(token_key(token)) == [blocks]


def test_today_it_is_written_the_same_but_for_compression() -> None:
    (then,), (now,) = decode_object(INDEX_KEY, BODY), decode_object(INDEX_KEY, make_index())
    assert then.filter == now.filter
    assert then.said._replace(at=()) == now.said._replace(at=())
    again = decode_object(INDEX_KEY, encode_object(read_head(INDEX_KEY, BODY, len(BODY)).date, "", [then]))
    assert (again[0].filter, again[0].tail) == (then.filter, then.tail)


def test_a_reader_of_the_documentation_finds_the_same() -> None:
    rows = pq.read_table(HERE / "proved-1.parquet")
    keys = set(reference_index.keys_of(rows))
    assert len(keys) > 10
    for key in [*keys, *(token_key(b"absent%d" % n) for n in range(200))]:
        there = reference_index.find(BODY, key)[SAID["path"]]
        assert [sum(1 << block for block in there)] == found(key)
        assert there or key not in keys


@given(st.text(max_size=30))
def test_the_documentation_has_the_same_tokens(text: str) -> None:
    assert list(reference_index.tokens(text)) == [one.folded for one in tokens(text)]
    assert [*map(reference_index.key_of, reference_index.tokens(text))] == [
        token_key(one.folded) for one in tokens(text)
    ]


def test_a_reader_of_the_documentation_finds_the_same_in_large_objects() -> None:
    pick = np.random.default_rng(4)
    builders = [SectionBuilder(1), SectionBuilder(2)]
    for builder, groups in zip(builders, (40, 150), strict=True):
        for group in range(groups):
            texts = [f"every{group % 3} id{pick.integers(100_000)} half{group % 2}" for _ in range(500)]
            builder.add(pa.table({"message": pa.array(texts)}))
    made = [new_section(f"f{n}", 1, "", 1, one.finish()) for n, one in enumerate(builders)]
    body = encode_object(datetime.date(2026, 11, 22), "", made)
    head = read_head(INDEX_KEY, body, len(body))
    assert len(head.buckets) > 8
    for word in [*(f"id{n}" for n in range(0, 100_000, 501)), "every0", "every2", "half1", "absent"]:
        key = token_key(word.encode())
        there = head.find(key, body[slice(*head.span(head.bucket(key)))])
        expected = reference_index.find(body, key)
        assert [sum(1 << block for block in expected[path]) for path in ("f0", "f1")] == there
