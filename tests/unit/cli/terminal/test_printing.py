"""Tables on their way out: in order whichever is ready first, and none lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from logsink.cli.terminal.printing import Printer


class Slow:
    """Output whose first table is ready last."""

    columns = ()

    def __init__(self, *, independent: bool) -> None:
        self.independent = independent
        self.second_is_made = threading.Event()
        self.order: list[str] = []

    def begin(self) -> bytes:
        return b"head\n"

    def rows(self, rows: str) -> Iterator[bytes]:
        if rows == "first" and self.independent:
            assert self.second_is_made.wait(60)
        self.order.append(rows)
        if rows == "second":
            self.second_is_made.set()
        yield rows.encode()
        yield b"\n"

    def finish(self) -> bytes:
        return b"end\n"


@pytest.mark.parametrize(("independent", "made"), [(True, ["second", "first"]), (False, ["first", "second"])])
def test_tables_are_written_in_order(independent: bool, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    output, written = Slow(independent=independent), list[bytes]()
    printer = Printer(output, lambda data: written.append(bytes(data)))  # type: ignore[arg-type]
    assert printer.ahead == (2 if independent else 1)
    for rows in ("first", "second"):
        printer.add(rows)
    printer.close()
    printer.finish()
    assert written == [b"head\n", b"first", b"\n", b"second", b"\n", b"end\n"]
    assert output.order == made


def test_an_output_without_rows_has_a_beginning_and_an_end() -> None:
    written = list[bytes | memoryview]()
    printer = Printer(Slow(independent=True), written.append)  # type: ignore[arg-type]
    printer.finish()
    printer.close()
    assert written == [b"head\nend\n"]


def test_trouble_is_told_to_who_waits_for_that_table() -> None:
    def gone(_: bytes | memoryview) -> None:
        raise BrokenPipeError

    printer = Printer(Slow(independent=False), gone)  # type: ignore[arg-type]
    trouble = [printer.add("first"), printer.add("second")]
    printer.close()
    for future in trouble:
        with pytest.raises(BrokenPipeError):
            future.result()
