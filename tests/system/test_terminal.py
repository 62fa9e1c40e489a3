"""``logsink query`` at a terminal: pagers, following, colour, width, Ctrl-C, and no terminal at all."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from logsink.query.output import FORMATS, OF_ROWS
from logsink.store import open_store
from tests.support.receiver import COMMAND, PATIENCE, Receiver
from tests.support.terminal import INTERRUPT, Terminal, plain
from tests.unit.query.archives import archive, row

SECOND = 1_000_000
MANY = 200
"""Rows: more than a screen has lines."""

ROWS = [
    row(n * SECOND, host=f"web{n % 2}", app="sshd", severity=n % 8, procid="7", message=f"session {n} opened")
    for n in range(MANY)
]

needs_less = pytest.mark.skipif(not shutil.which("less"), reason="less is not installed")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = f"file://{tmp_path_factory.mktemp('terminal')}/store"

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [ROWS])

    asyncio.run(build())
    return place


def query(url: str, *arguments: str, **options: object) -> Terminal:
    return Terminal([*COMMAND, "query", "--store", url, *arguments], **options)  # type: ignore[arg-type]


def send(receiver: Receiver, line: bytes) -> None:
    """Have a line stored."""
    before = receiver.metric("logsink_journal_segments_total")
    with socket.create_connection(("127.0.0.1", receiver.port("tcp"))) as sock:
        sock.sendall(b"<13>1 - h a - - - %b\n" % line)
    receiver.wait_for("logsink_journal_segments_total", before + 1)


# --- following


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A receiver with one line in its store."""
    directory = tmp_path_factory.mktemp("following")
    with Receiver(f"file://{directory}/store", directory / "1") as running:
        send(running, b"the oldest line")
        yield running


@needs_less
@pytest.mark.parametrize("arguments", [("-n", "all"), ("-n", "0"), ("-o", "json", "-n", "all"), ("--tail", "-n", "0")])
def test_following_never_pages(receiver: Receiver, arguments: tuple[str, ...]) -> None:
    with query(receiver.store, "-f", *arguments, PAGER="less") as terminal:
        terminal.wait_for(b"waiting for new rows")
        send(receiver, b"a new line")
        terminal.wait_for(b"a new line")
        terminal.type(INTERRUPT)
        code, shown = terminal.end()
    assert code == 130
    assert ("the oldest line" in shown) == ("all" in arguments)
    assert "logsink: " in shown.splitlines()[-1]
    assert "Traceback" not in shown


def test_following_ends_with_its_reader(receiver: Receiver) -> None:
    """Before anything new comes that could not be written."""
    command = [*COMMAND, "query", "--store", receiver.store, "-f", "-n", "1", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) == 0


# --- pagers


@needs_less
@pytest.mark.parametrize("arguments", [(), ("-o", "json")])
def test_what_fits_the_screen_is_simply_shown(url: str, arguments: tuple[str, ...]) -> None:
    """Also where lines are longer than the screen is wide, as those of JSON are: no key has to be pressed."""
    with query(url, "-n", "3", *arguments) as terminal:
        code, shown = terminal.end()
    assert code == 0
    assert [f"session {n} opened" in shown for n in range(196, 200)] == [False, True, True, True]


@needs_less
@pytest.mark.parametrize(
    "arguments",
    [(), ("-o", "iso"), ("-o", "json", "--fields", "message"), ("-o", "csv"), ("-o", "verbose"), ("-o", "cat")],
)
def test_what_does_not_fit_is_paged_and_a_closed_pager_is_no_failure(url: str, arguments: tuple[str, ...]) -> None:
    with query(url, "-n", "all", *arguments) as terminal:
        terminal.wait_for(b"session 0 opened")
        terminal.type(b"q")
        code, shown = terminal.end()
    assert code == 0
    assert "session 199 opened" not in shown
    assert "Traceback" not in shown


@needs_less
def test_an_interrupt_closes_the_pager(url: str) -> None:
    with query(url, "-n", "all") as terminal:
        terminal.wait_for(b"session 0 opened")
        terminal.type(INTERRUPT)
        code, shown = terminal.end(INTERRUPT)  # less misses one that comes right before it waits for a key
    assert code in (0, 130)  # whether the search was over when the key was pressed
    assert "Traceback" not in shown


def test_a_pager_that_reads_nothing_is_no_failure(url: str) -> None:
    with query(url, "-n", "all", PAGER="true") as terminal:
        code, shown = terminal.end()
    assert code == 0
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "environ",
    [
        {"PAGER": ""},
        {"PAGER": "cat"},
        {"PAGER": "no-such-pager --here"},
        {"PAGER": "less 'unbalanced"},
        {"PAGER": "tee /dev/stderr", "TERM": "dumb"},
        {"PAGER": "tee /dev/stderr", "TERM": None},
    ],
)
def test_without_a_pager_everything_is_shown_at_once(url: str, environ: dict[str, str | None]) -> None:
    with query(url, "-n", "all", "-o", "cat", **environ) as terminal:
        code, shown = terminal.end()
    assert code == 0
    assert plain(shown).splitlines()[:-1] == [f"session {n} opened" for n in range(MANY)]


def test_no_pager_for_nothing(url: str) -> None:
    with query(url, "nowhere to be found", PAGER="sh -c 'echo the pager ran; cat'") as terminal:
        code, shown = terminal.end()
    assert code == 1
    assert "the pager ran" not in shown


# --- what is shown


EVIL = "".join(map(chr, (0x1B, 0x9B, 0x61C, 0x200B, 0x200F, 0x202E, 0x2066, 0xFEFF, 0xE0041)))


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = f"file://{tmp_path_factory.mktemp('evil')}/store"
    texts = {name: f"{name}{EVIL}" for name in ("host", "app", "procid", "msgid", "message", "identity")}
    rows = [row(**texts, structured_data=f'[a b="{EVIL}"]', severity=3, facility=1)]

    async def build() -> None:
        async with open_store(place) as store:
            await archive(store, [rows])

    asyncio.run(build())
    return place


@pytest.mark.parametrize(
    "arguments",
    [
        *(("-o", kind) for kind in OF_ROWS if kind != "raw" and not FORMATS[kind].binary),
        ("-o", "syslog", "--framing", "octet"),
        *(("--top", "message", "-o", kind) for kind in ("text", "json", "csv")),
        ("--patterns",),
        ("-u", f"none{EVIL}"),
        ("--explain", f"none{EVIL}"),
        ("-S", f"when{EVIL}"),
        ("-o", f"how{EVIL}"),
    ],
    ids=ascii,
)
def test_nothing_that_is_shown_drives_the_terminal(evil: str, arguments: tuple[str, ...]) -> None:
    with query(evil, "--no-pager", "--color", "never", *arguments) as terminal:
        _, shown = terminal.end()
    assert not [ascii(character) for character in EVIL if character in shown]
    assert "Traceback" not in shown


@pytest.mark.parametrize("kind", ["table", "csv", "json"])
def test_no_result_of_sql_drives_the_terminal(evil: str, kind: str) -> None:
    pytest.importorskip("duckdb")
    with Terminal([*COMMAND, "sql", "--store", evil, "-o", kind, "SELECT host, message FROM logs"]) as terminal:
        code, shown = terminal.end()
    assert code == 0, shown
    assert not [ascii(character) for character in EVIL if character in shown]


ERROR = "2026-11-22 00:00:03.000Z {mark}web1 sshd[7]: session 3 opened"


@pytest.mark.parametrize(
    ("environ", "arguments", "coloured", "marked"),
    [
        ({}, (), True, True),
        ({"NO_COLOR": "1"}, (), False, True),
        ({"TERM": "dumb"}, (), False, True),
        ({"NO_COLOR": "1"}, ("--color", "always"), True, True),
        ({}, ("--color", "never", "--marks", "never"), False, False),
        ({"PAGER": "cat"}, ("--no-pager",), True, True),
    ],
)
def test_severity_and_matches_are_seen(
    url: str, environ: dict[str, str], arguments: tuple[str, ...], coloured: bool, marked: bool
) -> None:
    with query(url, "--utc", "-p", "3..3", "-n", "all", "session 3 ", *arguments, **environ) as terminal:
        code, shown = terminal.end()
    assert code == 0
    assert ERROR.format(mark="E " if marked else "") in plain(shown)
    assert ("\x1b[7msession 3 \x1b[27m" in shown) == coloured
    assert ("\x1b[31m" in shown) == coloured


def test_a_pipe_has_no_marks_and_no_colours(url: str) -> None:
    command = [*COMMAND, "query", "--store", url, "--utc", "-q", "session 3 "]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ERROR.format(mark="") + "\n"


def test_bars_fit_the_terminal(url: str) -> None:
    with query(url, "--hist", "1m", "-q", "--no-pager", columns=50) as terminal:
        code, shown = terminal.end()
    assert code == 0
    assert max(map(len, shown.splitlines())) == 50


# --- no terminal: closed, full


VERBS = [
    ["--help"],
    ["--version"],
    ["query", "--help"],
    ["completion", "bash"],
    ["config", "show"],
    ["config", "check"],
    ["maintain", "--dry-run"],
    ["maintain", "--once"],
    ["sql", "SELECT message FROM logs"],
    ["sql", "-o", "parquet", "SELECT message FROM logs"],
    *(["query", *arguments] for arguments in (["--count"], ["--top", "host", "-o", "csv"], ["--explain"], ["-f"])),
    *(["query", "-n", "all", "-o", kind] for kind in OF_ROWS if kind != "raw"),
]


@pytest.mark.parametrize("place", ["full", "closed"])
@pytest.mark.parametrize("arguments", VERBS, ids=" ".join)
def test_output_that_cannot_be_written_is_one_line_and_exit_code_2(url: str, arguments: list[str], place: str) -> None:
    shell = {"full": 'exec "$@" > /dev/full', "closed": 'exec "$@" >&-'}[place]
    command = ["sh", "-c", shell, "sh", *COMMAND, *arguments]
    done = subprocess.run(
        command, stderr=subprocess.PIPE, env=os.environ | {"LOGSINK_STORE": url}, timeout=PATIENCE, check=False
    )
    cause = {"full": "no space left on device", "closed": "it is closed"}[place]
    assert done.stderr.decode().splitlines()[1:] == []
    assert done.stderr.decode().startswith(f"logsink: cannot write to standard output: {cause} (")
    assert done.returncode == 2


@pytest.mark.parametrize("arguments", VERBS[:6], ids=" ".join)
def test_a_reader_that_has_gone_is_no_failure(url: str, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environ = os.environ | {"LOGSINK_STORE": url}
    done = subprocess.run(
        [*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, env=environ, timeout=PATIENCE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&-"])
def test_results_come_whatever_becomes_of_the_other_streams(url: str, redirection: str) -> None:
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, "query", "--store", url, "-n", "1", "-o", "cat"]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (0, b"session 199 opened\n")


def test_no_file_takes_the_place_of_a_stream_that_is_closed(tmp_path: Path) -> None:
    """A receiver without stdin, stdout and stderr: what is printed by chance must not get into a file or connection."""
    ready, store = tmp_path / "ready", f"file://{tmp_path}/store"
    listeners = [word for kind in ("tcp", "udp", "relp", "http") for word in (f"--{kind}", "127.0.0.1:0")]
    command = [*COMMAND, "serve", "--store", store, "--ready-file", str(ready), *listeners]
    with subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not ready.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)  # another process: nothing here is told when it is ready
            places = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0
    assert places == ["/dev/null"] * 3
