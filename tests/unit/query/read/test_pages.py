"""Values that hold a text, found in the bytes of their pages; and chunks that are left to who decodes them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.kernel import Kernel
from logsink.query.read import pages
from logsink.query.read.pages import candidates
from logsink.query.request.filters import Needles
from tests.support.forms import running

VALUES = [f"message {i} of ünïcode " + "x" * (i % 90) for i in range(3000)] + ["the needle", ""]
PAGES = {"data_page_size": 4096, "compression": "zstd", "use_dictionary": False}


def chunk(values: list[str] | list[str | None] = VALUES, **options: Any) -> tuple[memoryview, str]:  # type: ignore[assignment]
    """The only column chunk of a file, and the name of its codec."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"message": pa.array(values, pa.string())}), sink, **PAGES | options)
    column = pq.ParquetFile(sink).metadata.row_group(0).column(0)
    start = min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
    return memoryview(sink.getvalue())[start : start + column.total_compressed_size], column.compression


def sought(*needles: Needles, values: list[str] = VALUES, among: list[int] | None = None, **options: Any) -> list[int]:
    """The rows found that hold it indeed, as who asks will look; what the array says of them is what they are."""
    body, compression = chunk(values, **options)
    mask = np.ones(len(values), np.bool_)
    if among is not None:
        mask = np.isin(np.arange(len(values)), among)
    found = candidates(body, compression, True, mask, needles)
    assert found is not None
    rows, array = found
    array.validate(full=True)
    assert array.to_pylist() == [value if there else "" for value, there in zip(values, rows, strict=True)]
    assert not (rows & ~mask).any()
    kept = [value.encode() for value in values]
    return [int(i) for i in np.flatnonzero(rows) if all(any(n in kept[i] for n in some) for some in needles)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "none"},
        {"compression": "snappy"},
        {"compression": "gzip"},
        {"version": "1.0"},
        {"write_statistics": True, "write_page_checksum": True},
        {"data_page_size": 8 << 20},
    ],
)
def test_what_holds_it_is_found(options: dict[str, Any]) -> None:
    fives = [i for i, value in enumerate(VALUES) if "message 5" in value]
    assert sought([b"nowhere"], **options) == []
    assert sought([b"nowhere", b"not here either"], **options) == []
    assert sought([b"the needle"], **options) == [3000]
    assert sought([b"nowhere", b"the needle"], **options) == [3000]
    assert sought([b"message 5"], **options) == fives
    assert sought([b"message 5", b"the needle"], **options) == [*fives, 3000]
    assert sought(["ünïcode".encode()], [b"message 5"], **options) == fives
    assert sought([b"message 5"], [b"the needle"], **options) == []
    assert sought([b"message 5"], among=[5, 6, 7, 55], **options) == [5, 55]
    assert sought([b"message"], among=[], **options) == []
    assert sought(**options) == [*range(len(VALUES))]


@pytest.mark.parametrize(
    "options",
    [
        {"data_page_version": "2.0"},
        {"column_encoding": {"message": "DELTA_BYTE_ARRAY"}},
        {"column_encoding": {"message": "DELTA_LENGTH_BYTE_ARRAY"}},
        {"use_dictionary": True},
        {"use_dictionary": True, "dictionary_pagesize_limit": 2000},  # the rest is plain
        {"compression": "lz4"},  # "LZ4_RAW" in the file: no name of Arrow's
    ],
)
def test_what_is_not_known_is_left_to_who_decodes(options: dict[str, Any]) -> None:
    body, compression = chunk(**options)
    assert candidates(body, compression, True, np.ones(len(VALUES), np.bool_), [[b"nowhere"]]) is None


def test_one_text_is_found_exactly_and_of_few_values_no_more_is_asked() -> None:
    values = ["a few", "a lot", *["a"] * 200, "nothing"]
    body, compression = chunk(values)
    everything = np.ones(len(values), np.bool_)
    for needles, there in (
        ([[b"a"]], [*range(202)]),
        ([[b"a "]], [0, 1]),
        ([[b"lot"]], [1]),
        ([[b"nowhere"]], []),
        ([[b"a "], [b"lot"]], [0, 1]),
        ([[b"a"], [b"lot"]], [1]),
    ):
        found = candidates(body, compression, True, everything, needles)
        assert found is not None
        assert np.flatnonzero(found[0]).tolist() == there
        assert [value for value in found[1].to_pylist() if value] == [values[i] for i in there]


def test_nulls_are_left_to_who_decodes() -> None:
    values = ["one", None, "two"]
    body, compression = chunk(values)
    assert candidates(body, compression, True, np.ones(3, np.bool_), [[b"one"]]) is None


def test_values_that_cannot_be_null_have_no_levels() -> None:
    sink = io.BytesIO()
    kind = pa.schema([pa.field("message", pa.string(), nullable=False)])
    pq.write_table(pa.table({"message": ["one", "two"]}, schema=kind), sink, **PAGES)
    column = pq.ParquetFile(sink).metadata.row_group(0).column(0)
    body = memoryview(sink.getvalue())[column.data_page_offset :][: column.total_compressed_size]
    found = candidates(body, column.compression, False, np.ones(2, np.bool_), [[b"w"]])
    assert found is not None
    assert (found[0].tolist(), found[1].to_pylist()) == ([False, True], ["", "two"])


def test_a_text_across_two_values_or_in_a_length_is_none() -> None:
    values = ["one\x05", "two", "x" * 97, "a"]  # PLAIN: a length of 3 between the first, 97 is "a"
    assert sought([b"one\x05\x03\0\0\0two"], values=values) == []
    assert sought([b"\x05\x03"], values=values) == []
    assert sought([b"\0two"], values=values) == []
    assert sought([b"\0"], values=values) == []
    assert sought([b"a"], values=values) == [3]
    assert sought([b"two"], values=values) == [1]


@pytest.mark.parametrize("place", [0, 1, 27, 28, 31, 32, 33, 59, 60, 61, 70])
def test_every_place_in_a_page(place: int) -> None:
    """Whole vectors of 32 octets are looked at, and the rest one by one."""
    text = "." * place + "needle" + "." * (70 - place)
    assert sought([b"needle"], [b"n"], values=["." * 7, text, ".needl."]) == [1]
    assert sought([b"needle"], values=[text]) == [0]


def test_no_damage_is_ever_more_than_a_reason_to_decode() -> None:
    body, compression = chunk(VALUES[:500])
    mask = np.ones(500, np.bool_)
    whole = body.tobytes()
    for length in range(len(whole)):
        assert candidates(memoryview(whole[:length]), compression, True, mask, [[b"needle"]]) is None
    for at in range(60):
        for value in (0, 0x15, 0x1C, 0x2C, 0x80, 0xFF):
            candidates(memoryview(whole[:at] + bytes([value]) + whole[at + 1 :]), compression, True, mask, [[b"of"]])
    assert candidates(memoryview(b"\x1c" * 5000), compression, True, mask, [[b"needle"]]) is None
    assert candidates(memoryview(b"\x15" + b"\xff" * 5000), compression, True, mask, [[b"needle"]]) is None
    assert candidates(body, "BROTLI-OF-TOMORROW", True, mask, [[b"needle"]]) is None
    assert candidates(body, compression, True, mask[:-1], [[b"of"]]) is None
    assert candidates(body, compression, True, np.ones(501, np.bool_), [[b"of"]]) is None


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_a_bit_that_flipped_is_left_to_who_decodes(compression: str) -> None:
    body, codec = chunk(VALUES[:500], write_page_checksum=True, data_page_size=1 << 20, compression=compression)
    for at in range(100, len(body), 7):  # behind the page's header
        damaged = bytearray(body)
        damaged[at] ^= 1 << at % 8
        assert candidates(memoryview(damaged), codec, True, np.ones(500, np.bool_), [[b"of"]]) is None


@pytest.mark.parametrize("value", [0, 1, 3, 5, 0x7F, 0xFF])
@pytest.mark.parametrize("at", range(8))
def test_lengths_that_do_not_fit_are_damage(value: int, at: int) -> None:
    """A page of two values, unpacked: an octet of a length is another one."""
    page = bytearray(b"\x04\0\0\0four\x04\0\0\0more")
    place = at if at < 4 else at + 4
    unchanged = page[place] == value
    page[place] = value
    body, starts = np.frombuffer(bytes(page), np.uint8), np.empty(3, np.int32)
    fits = pages.walk(body, starts) == 2
    assert fits == unchanged
    found, data = np.ones(2, np.uint8), np.zeros(len(body), np.uint8)
    for one in (found, np.array([0, 1], np.uint8), np.zeros(2, np.uint8)):
        taken = sum(size for size, there in zip((4, 4), one, strict=True) if there)
        assert pages.take(body, one, starts, data) == (taken if unchanged else -1)
    assert pages.take(body, found[:1], starts[:2], data) == -1  # a value more than there should be


@given(
    st.lists(st.text("ab", max_size=4), min_size=1),
    st.lists(st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=2), max_size=2),
)
def test_exactly_what_holds_it_is_found(values: list[str], needles: list[list[str]]) -> None:
    expected = [i for i, value in enumerate(values) if all(any(n in value for n in some) for some in needles)]
    assert sought(*[[n.encode() for n in some] for some in needles], values=values) == expected


@given(st.lists(st.text("ab\0", max_size=50), min_size=1), st.text("ab\0", min_size=1, max_size=3))
def test_both_forms_of_the_kernels_agree(values: list[str], needle: str) -> None:
    page = np.frombuffer(b"".join(len(v).to_bytes(4, "little") + v.encode() for v in values), np.uint8)
    outcomes = []
    for compiled in (False, True):
        starts, marks = np.empty(len(values) + 1, np.int32), np.zeros(len(values), np.uint8)
        ends, data = np.zeros(len(values) + 1, np.int32), np.zeros(len(page), np.uint8)

        def run(one: Kernel[..., int], *arguments: object, compiled: bool = compiled) -> int:
            return (one if compiled else one.py)(*arguments)

        sought_for = np.frombuffer(needle.encode(), np.uint8)
        counted = [run(pages.walk, page, starts), run(pages.mark, page, starts, sought_for, marks)]
        counted += [run(pages.find, page, 0, sought_for), run(pages.take, page, marks, ends, data)]
        outcomes.append((counted, starts.tolist(), marks.tolist(), ends.tolist(), data.tolist()))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][2] == [int(needle in value) for value in values]


def test_few_values_are_taken_without_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kernel, "pays", lambda *_: False)
    monkeypatch.setattr(Kernel, "__call__", lambda *_: pytest.fail("machine code ran"))
    body, compression = chunk()
    mask = np.zeros(len(VALUES), np.bool_)
    for rows in ([3000, 3001], [0], [1500, 1501, 3001], []):
        mask[:] = False
        mask[rows] = True
        found = candidates(body, compression, True, mask, ())
        assert found is not None
        assert found[0].tolist() == mask.tolist()
        found[1].validate(full=True)
        assert found[1].to_pylist() == [value if there else "" for value, there in zip(VALUES, mask, strict=True)]


def test_many_pages_are_not_read_without_machine_code() -> None:
    body, compression = chunk()
    mask = np.arange(len(VALUES)) % 500 == 0
    with running(compiled=False):
        assert candidates(body, compression, True, mask, ()) is None
    assert candidates(body, compression, True, mask, ()) is not None


@pytest.mark.usefixtures("either_form")
def test_a_page_that_ends_within_a_value_is_left_to_who_decodes() -> None:
    body, compression = chunk(["one", "two", "three"], compression="none", write_statistics=False)
    mask = np.array([False, False, True])
    assert candidates(body, compression, True, mask, ()) is not None
    damaged = bytes(body).replace(b"\x03\x00\x00\x00two", b"\x33\x00\x00\x00two")
    assert candidates(memoryview(damaged), compression, True, mask, ()) is None


@pytest.mark.usefixtures("either_form")
def test_pages_of_which_nothing_is_wanted_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = list[int]()
    values = pages._Page.values

    def counted(page: pages._Page, codec: pa.Codec | None, optional: bool) -> pages.UInt8:
        unpacked.append(page.rows)
        return values(page, codec, optional)

    monkeypatch.setattr(pages._Page, "values", counted)
    body, compression = chunk()
    mask = np.arange(len(VALUES)) >= 2999
    assert candidates(body, compression, True, mask, ()) is not None
    assert len(unpacked) == 1
