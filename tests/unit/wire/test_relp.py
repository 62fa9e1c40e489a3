"""RELP sessions: each transcript runs whole, one byte at a time, and with trailing bytes, compiled and plain."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from logsink import __version__
from logsink.flags import Flag
from logsink.wire import relp
from logsink.wire.batch import Scratch
from logsink.wire.relp import ASIDES, RelpSession, RelpState
from tests.support.forms import running

LIMIT = 64
ROOM = 1 << 15

Frames = list[tuple[bytes, int]]


def feed(session: RelpSession, read: bytes) -> Frames:
    """One read, as the network shell does it: carry in front, new bytes behind."""
    buffer = np.zeros(ROOM, np.uint8)
    whole = session.carry + read
    buffer[: len(whole)] = np.frombuffer(whole, np.uint8)
    batch = session.receive(buffer, len(whole))
    rows = zip(batch.starts.tolist(), batch.ends.tolist(), batch.flags.tolist(), strict=True)
    return [(buffer[a:b].tobytes(), f) for a, b, f in rows]


def drain(session: RelpSession) -> bytes:
    return b"".join(iter(session.take_output, b""))


def new(*, limit: int = LIMIT) -> RelpSession:
    return RelpSession(Scratch(ROOM), limit)


def opened(*, first: int = 1, limit: int = LIMIT) -> RelpSession:
    """A session after ``open``, its reply taken. ``first`` stands for a long life before."""
    session = new(limit=limit)
    session._next = first
    feed(session, b"%d open 15 commands=syslog\n" % first)
    assert drain(session).startswith(b"%d rsp " % first)
    assert session.state is RelpState.OPEN
    return session


def talk(*reads: bytes) -> tuple[Frames, bytes, RelpSession]:
    """Frames and replies where everything is durable at once."""
    session, frames, replies = new(), [], b""
    for read in reads:
        frames += feed(session, read)
        session.acknowledge(session.taken)
        replies += drain(session)
    return frames, replies, session


def syslog(first: int, *messages: bytes) -> bytes:
    return b"".join(b"%d syslog %d %b\n" % (n, len(m), m) for n, m in enumerate(messages, first))


def ok(first: int, last: int) -> bytes:
    return b"".join(b"%d rsp 6 200 OK\n" % n for n in range(first, last + 1))


OFFERS = b"200 OK\nrelp_version=0\nrelp_software=logsink,%b\ncommands=syslog" % __version__.encode()
OPEN = b"1 open 15 commands=syslog\n"
OPENED = b"1 rsp %d %b\n" % (len(OFFERS), OFFERS)
LIBRELP_113 = b"1 open 86 relp_version=0\nrelp_software=librelp,1.13.0,http://librelp.adiscon.com\ncommands=syslog\n"
LIBRELP_105 = b"1 open 85 relp_version=0\nrelp_software=librelp,1.5.0,http://librelp.adiscon.com\ncommands=syslog\n"
BYE = b"0 serverclose 0\n"
REQUIRED = b"1 rsp 44 500 required command not supported by client\n"
INVALID = b"1 rsp 26 500 error 10021 on connect\n"


def offering(offers: bytes) -> bytes:
    return b"1 open %d %b\n" % (len(offers), offers)


class Case(NamedTuple):
    client: bytes
    frames: list[bytes]
    server: bytes
    state: RelpState = RelpState.OPEN


CLOSING, FAILED, NEW = RelpState.CLOSING, RelpState.FAILED, RelpState.NEW

CASES: dict[str, Case] = {
    "health_check": Case(b"", [], b"", NEW),
    "rsyslog_omrelp_librelp_1_13": Case(
        LIBRELP_113 + b"2 syslog 24 Should not get accepted\n\n3 close 0\n",
        [b"Should not get accepted"],
        OPENED + b"2 rsp 6 200 OK\n3 rsp 0\n0 serverclose 0\n",
        CLOSING,
    ),
    "librelp_1_5": Case(LIBRELP_105 + syslog(2, b"<13>a"), [b"<13>a"], OPENED + ok(2, 2)),
    "rlp_01_offers_between_lf": Case(
        b"1 open 53 \nrelp_version=0\nrelp_software=RLP-01\ncommands=syslog\n\n" + syslog(2, b"x"),
        [b"x"],
        OPENED + ok(2, 2),
    ),
    "logback_version_1": Case(
        b"1 open 30 commands=syslog\nrelp_version=1\n" + syslog(2, b"x"), [b"x"], OPENED + ok(2, 2)
    ),
    "rlp_03_frames": Case(OPEN + b"2 syslog 6 abcdef\n3 syslog 6 opqrst\n", [b"abcdef", b"opqrst"], OPENED + ok(2, 3)),
    "rlp_01_parser_rsp": Case(b"2 rsp 6 200 OK\n", [], b"", FAILED),
    "rlp_01_parser_rsp_in_order": Case(b"1 rsp 6 200 OK\n", [], b"", FAILED),
    "rlp_01_parser_negative": Case(b"-2 rsp 6 200 OK\n", [], b"", FAILED),
    "rlp_01_parser_horse": Case(OPEN + b"2 horse 6 200 OK\n", [], OPENED, FAILED),
    "rlp_01_parser_hint_first": Case(
        b"0 rsp 3 six\n" + OPEN + b"0 rsp 4 four\n" + syslog(2, b"x"), [b"x"], OPENED + ok(2, 2)
    ),
    "serverclose_of_a_sender_is_a_hint": Case(
        OPEN + b"0 serverclose 0\n2 close 0\n", [], OPENED + b"2 rsp 0\n" + BYE, CLOSING
    ),
    "numbered_0_is_no_way_to_send": Case(OPEN + b"0 syslog 1 x\n", [], OPENED, FAILED),
    "close_before_open": Case(b"1 close 0\n", [], b"1 rsp 0\n" + BYE, CLOSING),
    "close_with_data": Case(OPEN + b"2 close 3 bye\n", [], OPENED + b"2 rsp 0\n" + BYE, CLOSING),
    "space_after_datalen_0": Case(
        OPEN + b"2 syslog 0 \n3 close 0 \n", [], OPENED + ok(2, 2) + b"3 rsp 0\n" + BYE, CLOSING
    ),
    "no_datalen": Case(OPEN + b"2 syslog \n3 close  \n", [], OPENED + ok(2, 2) + b"3 rsp 0\n" + BYE, CLOSING),
    "leading_zeros": Case(b"0001 open 0015 commands=syslog\n000000002 syslog 000000001 x\n", [b"x"], OPENED + ok(2, 2)),
    "line_ends_are_framing": Case(
        OPEN
        + syslog(2, b"lf\n", b"crlf\r\n", b"nul\0", b"two\n\n", b"\nin\0side\n", b"cr\r", b"nulcr\r\0", b"lfnul\n\0"),
        [b"lf", b"crlf", b"nul", b"two\n", b"\nin\0side", b"cr\r", b"nulcr\r", b"lfnul\n"],
        OPENED + ok(2, 9),
    ),
    "empty_is_answered_not_stored": Case(
        OPEN + b"2 syslog 0\n" + syslog(3, b"\n", b"\r\n", b"\0", b"\r", b"x"), [b"\r", b"x"], OPENED + ok(2, 7)
    ),
    "data_that_looks_like_frames": Case(
        OPEN + syslog(2, b"x\n3 close 0\n3 syslog 1 y\n", b"z"),
        [b"x\n3 close 0\n3 syslog 1 y", b"z"],
        OPENED + ok(2, 3),
    ),
    "opened_twice": Case(
        OPEN + syslog(2, b"x") + b"3 open 15 commands=syslog\n",
        [b"x"],
        OPENED + ok(2, 2) + b"3 rsp 43 500 protocol error: connection already open\n",
        FAILED,
    ),
    "opened_twice_at_once": Case(
        LIBRELP_113 + b"2 open 0\n", [], OPENED + b"2 rsp 43 500 protocol error: connection already open\n", FAILED
    ),
    "syslog_before_open": Case(
        syslog(1, b"lost", b"too") + b"3 open 15 commands=syslog\n" + syslog(4, b"kept"),
        [b"kept"],
        b"1 rsp 20 500 command disabled\n2 rsp 20 500 command disabled\n3" + OPENED[1:] + ok(4, 4),
    ),
    "unknown_command": Case(OPEN + syslog(2, b"x") + b"3 starttls 0\n", [b"x"], OPENED + ok(2, 2), FAILED),
    "commands_are_lower_case": Case(OPEN + b"2 SYSLOG 1 x\n", [], OPENED, FAILED),
    "empty_command": Case(OPEN + b"2  0\n", [], OPENED, FAILED),
    "offers_crlf": Case(offering(b"relp_version=0\r\ncommands=syslog\r\n"), [], OPENED),
    "offers_unknown": Case(offering(b"x=y\nz\nrelp_version=0\ncommands=eventlog,syslog\nq="), [], OPENED),
    "offers_none": Case(b"1 open 0\n", [], REQUIRED, FAILED),
    "offers_other_commands": Case(offering(b"relp_version=0\ncommands=eventlog\n"), [], REQUIRED, FAILED),
    "offers_version_without_value": Case(offering(b"relp_version\ncommands=syslog"), [], INVALID, FAILED),
    "offers_version_empty": Case(offering(b"relp_version=\ncommands=syslog"), [], INVALID, FAILED),
    "offers_version_not_a_number": Case(offering(b"commands=syslog\nrelp_version=one"), [], INVALID, FAILED),
    "offers_65_values": Case(offering(b"commands=" + b",".join([b"syslog"] * 65)), [], INVALID, FAILED),
    "offers_too_long": Case(b"1 open 8193 commands=syslog", [], b"", FAILED),
    "offers_not_utf8": Case(offering(b"\xff\xfe\0=\x80"), [], REQUIRED, FAILED),
    "txnr_skipped": Case(OPEN + syslog(2, b"x") + syslog(4, b"y"), [b"x"], OPENED + ok(2, 2), FAILED),
    "txnr_repeated": Case(OPEN + syslog(2, b"x") + syslog(2, b"y"), [b"x"], OPENED + ok(2, 2), FAILED),
    "txnr_does_not_begin_at_1": Case(b"2 open 15 commands=syslog\n", [], b"", FAILED),
    "txnr_of_10_digits": Case(OPEN + b"0000000002 syslog 1 x\n", [], OPENED, FAILED),
    "no_txnr": Case(OPEN + b" syslog 1 x\n", [], OPENED, FAILED),
    "command_of_33_letters": Case(OPEN + b"2 " + b"x" * 33 + b" 0\n", [], OPENED, FAILED),
    "command_with_digit": Case(OPEN + b"2 sys1og 0\n", [], OPENED, FAILED),
    "command_without_datalen": Case(OPEN + b"2 close\n", [], OPENED, FAILED),
    "datalen_of_10_digits": Case(OPEN + b"2 syslog 0000000001 x\n", [], OPENED, FAILED),
    "datalen_negative": Case(OPEN + b"2 syslog -1 x\n", [], OPENED, FAILED),
    "datalen_without_data": Case(OPEN + b"2 syslog 1\n", [], OPENED, FAILED),
    "datalen_too_small": Case(OPEN + syslog(2, b"x") + b"3 syslog 1 xy\n", [b"x"], OPENED + ok(2, 2), FAILED),
    "lf_missing_after_hint": Case(OPEN + b"0 x 1 yz", [], OPENED, FAILED),
}


@pytest.mark.usefixtures("either_form")
@running(compiled=False)
def test_transcripts_plain() -> None:
    for case in CASES.values():
        test_transcript(case)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_transcript(case: Case) -> None:
    expected = ([(frame, 0) for frame in case.frames], case.server)
    for reads in ([case.client], [case.client[i : i + 1] for i in range(len(case.client))]):
        *found, session = talk(*reads)
        assert tuple(found) == expected
        assert (session.state, session.finished) == (case.state, case.state in (CLOSING, FAILED))
        assert (session.error is None) == (case.state is not FAILED)
        assert session.carry == b""
        assert session.discarded == 0


@pytest.mark.parametrize("trailing", [b"9", b"9 syslog 3 ab", b"\n", b"\0\xff", b"GET / HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_transcript_with_trailing_bytes(case: Case, trailing: bytes) -> None:
    frames, replies, session = talk(case.client + trailing)
    assert (frames, replies) == ([(frame, 0) for frame in case.frames], case.server)
    session.eof()
    assert session.finished
    assert session.error is not None or case.state is CLOSING or session.unfinished == 1


def test_every_cut_in_two() -> None:
    case = CASES["rsyslog_omrelp_librelp_1_13"]
    for cut in range(len(case.client)):
        frames, replies, _ = talk(case.client[:cut], case.client[cut:])
        assert ([f for f, _ in frames], replies) == (case.frames, case.server)


def test_answers_wait_for_durable_frames_and_keep_their_order() -> None:
    session = new()
    assert len(feed(session, OPEN + syslog(2, *[b"x"] * 6))) == 6
    assert drain(session) == OPENED
    session.acknowledge(2)
    assert drain(session) == ok(2, 3)
    session.acknowledge(1)
    assert drain(session) == b""
    feed(session, syslog(8, b"y"))
    session.acknowledge(7)
    session.acknowledge(6)
    assert drain(session) == ok(4, 8)
    assert session.taken == 7


def test_only_what_was_taken_can_be_acknowledged() -> None:
    session = opened()
    feed(session, syslog(2, b"x"))
    with pytest.raises(ValueError, match="cannot acknowledge 2 frames: 1 were taken"):
        session.acknowledge(2)
    assert drain(session) == b""


def test_output_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relp, "ANSWERS", 3)
    session = opened()
    feed(session, syslog(2, *[b"x"] * 7) + b"9 close 0\n")
    session.acknowledge(7)
    pieces = [session.take_output() for _ in range(3)]
    assert pieces == [ok(2, 4), ok(5, 7), ok(8, 8) + b"9 rsp 0\n" + BYE]
    assert session.finished


def test_close_is_answered_after_everything_before_it() -> None:
    session = opened()
    feed(session, syslog(2, b"x", b"y") + b"4 close 0\n" + syslog(5, b"late"))
    assert (session.state, session.taken, session.unfinished) == (CLOSING, 2, 0)
    session.acknowledge(1)
    assert drain(session) == ok(2, 2)
    assert not session.finished
    session.acknowledge(2)
    assert not session.finished
    assert drain(session) == ok(3, 3) + b"4 rsp 0\n" + BYE
    assert session.finished
    assert drain(session) == b""


def test_last_reply_of_a_failed_session_waits_for_what_was_taken() -> None:
    session = opened()
    feed(session, syslog(2, b"x") + b"3 open 0\n")
    assert drain(session) == b""
    assert not session.finished
    session.acknowledge(1)
    assert drain(session) == ok(2, 2) + b"3 rsp 43 500 protocol error: connection already open\n"
    assert session.finished


def test_shutdown_answers_what_was_taken_and_takes_nothing_more() -> None:
    session = opened()
    feed(session, syslog(2, b"x", b"y") + b"4 syslog 5 hal")
    session.shutdown()
    assert feed(session, b"f.\n" + syslog(5, b"z")) == []
    assert (session.taken, session.unfinished, session.carry) == (2, 1, b"")
    assert drain(session) == b""
    session.acknowledge(2)
    assert drain(session) == ok(2, 3) + BYE
    assert session.finished


def test_shutdown_of_a_session_without_frames() -> None:
    for session in (new(), opened()):
        session.shutdown()
        assert not session.finished
        assert drain(session) == BYE
        assert session.finished


def test_shutdown_and_eof_after_close_change_nothing() -> None:
    session = opened()
    feed(session, b"2 close 0\n")
    session.shutdown()
    session.eof()
    assert drain(session) == b"2 rsp 0\n" + BYE


def test_half_a_frame_at_eof_is_counted_and_not_taken() -> None:
    session = opened()
    assert feed(session, syslog(2, b"x") + b"3 syslog 10 half") == [(b"x", 0)]
    session.eof()
    assert (session.taken, session.unfinished, session.carry) == (1, 1, b"")
    assert not session.finished
    session.acknowledge(1)
    assert drain(session) == ok(2, 2)
    assert session.finished


def test_eof_between_frames() -> None:
    session = opened()
    feed(session, syslog(2, b"x"))
    session.eof()
    assert session.unfinished == 0


@pytest.mark.parametrize("second", [1, 999_999_999])
def test_txnr_wraps(second: int) -> None:
    """After 999999998 comes 999999999 or, from some senders, 1 at once; after 999999999 comes 1."""
    session = opened(first=999_999_996)
    numbers = [999_999_997, 999_999_998, *([second] if second > 1 else []), 1, 2, 3]
    stream = b"".join(syslog(number, b"m%d" % number) for number in numbers)
    assert feed(session, stream) == [(b"m%d" % number, 0) for number in numbers]
    assert session.taken == len(numbers)
    replies = [b"%d rsp 6 200 OK\n" % number for number in numbers]
    session.acknowledge(1)
    assert drain(session) == replies[0]
    session.acknowledge(len(numbers))
    assert drain(session) == b"".join(replies[1:])


def test_txnr_wraps_between_reads_and_at_other_commands() -> None:
    session = opened(first=999_999_997)
    stream = syslog(999_999_998, b"a", b"b") + b"1 close 0\n"
    for i in range(len(stream)):
        feed(session, stream[i : i + 1])
    session.acknowledge(2)
    assert drain(session) == b"999999998 rsp 6 200 OK\n999999999 rsp 6 200 OK\n1 rsp 0\n" + BYE


def test_a_frame_after_an_answered_wrap() -> None:
    session = opened(first=999_999_998)
    feed(session, syslog(999_999_999, b"a"))
    session.acknowledge(1)
    assert drain(session) == b"999999999 rsp 6 200 OK\n"
    feed(session, syslog(1, b"b"))
    session.acknowledge(2)
    assert drain(session) == b"1 rsp 6 200 OK\n"


def test_txnr_never_has_ten_digits() -> None:
    session = opened(first=999_999_998)
    feed(session, b"999999999 syslog 1 x\n1000000000 syslog 1 y\n")
    assert (session.taken, session.state) == (1, FAILED)


def test_txnr_starts_again_only_after_the_last() -> None:
    session = opened(first=999_999_996)
    feed(session, syslog(999_999_997, b"x") + syslog(1, b"y"))
    assert (session.taken, session.state) == (1, FAILED)


def test_oversize_is_truncated_as_soon_as_enough_is_there() -> None:
    session = opened(limit=10)
    assert feed(session, b"2 syslog 999999999 123456789") == []
    assert feed(session, b"0") == [(b"1234567890", Flag.TRUNCATED)]
    assert (session.taken, session.carry, session.discarded) == (1, b"", 0)
    assert feed(session, b"\n" * 20_000) == []
    assert (session.carry, session.discarded) == (b"", 20_000)
    session.acknowledge(1)
    assert drain(session) == b"", "its DATA has not come to an end"
    session.eof()
    assert session.finished


def test_oversize_is_answered_when_its_end_has_come() -> None:
    session = opened(limit=4)
    stream = syslog(2, b"1234", b"12345", b"123456\n", b"next")
    kept = [(b"1234", 0), (b"1234", Flag.TRUNCATED), (b"1234", Flag.TRUNCATED), (b"next", 0)]
    assert feed(session, stream) == kept
    assert session.discarded == 1 + 3
    session.acknowledge(4)
    assert drain(session) == ok(2, 5)


def test_oversize_byte_by_byte() -> None:
    session = opened(limit=4)
    stream = syslog(2, b"123456", b"next") + b"4 close 0\n"
    frames = [frame for i in range(len(stream)) for frame in feed(session, stream[i : i + 1])]
    assert frames == [(b"1234", Flag.TRUNCATED), (b"next", 0)]
    assert session.discarded == 2
    session.acknowledge(2)
    assert drain(session) == ok(2, 3) + b"4 rsp 0\n" + BYE


def test_oversize_without_its_lf_is_kept_and_never_answered() -> None:
    session = opened(limit=4)
    assert feed(session, syslog(2, b"x") + b"3 syslog 5 12345x") == [(b"x", 0), (b"1234", Flag.TRUNCATED)]
    assert session.error == "cannot read RELP frame 3: expected LF after its DATA"
    session.acknowledge(2)
    assert drain(session) == ok(2, 2)
    assert session.finished


def test_carry_is_bounded_whatever_is_claimed() -> None:
    claims = (b"2 syslog 999999999 ", b"2 syslog 64 ", b"2 " + b"a" * 32, b"0 hint 8192 ", b"000000002")
    for claim in claims:
        session = opened()
        feed(session, claim + b"x" * 20_000)
        assert len(session.carry) <= RelpSession.longest_carry(LIMIT)
    session = new()
    feed(session, b"1 syslog 999999999 x")
    assert session.state is FAILED


def test_asides_are_bounded() -> None:
    frames, replies, session = talk(syslog(1, *[b"x"] * (ASIDES + 5)))
    assert (frames, session.state, session.refused) == ([], FAILED, ASIDES)
    assert replies.count(b"500 command disabled") == ASIDES
    session = opened()
    feed(session, b"0 x 0\n" * ASIDES)
    assert session.state is RelpState.OPEN
    feed(session, b"0 x 0\n")
    assert session.state is FAILED
    assert session.error == f"cannot take RELP command 'x': over {ASIDES} hints or frames before 'open'"


@pytest.mark.parametrize(
    ("sent", "seems"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"),
        (b"<34>Oct 11 22:14:15 mymachine su: failed\n", "syslog without RELP"),
        (b"29 <34>1 - - - - - - hello\n", "octet-counted syslog without RELP"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "a PROXY protocol header"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", "a PROXY protocol header"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
    ],
)
def test_what_does_not_belong_is_recognised(sent: bytes, seems: str) -> None:
    frames, replies, session = talk(sent)
    assert (frames, replies, session.finished) == ([], b"", True)
    assert session.error is not None
    assert f"this seems to be {seems}" in session.error


def test_replies_not_yet_taken_keep_a_session_from_being_finished() -> None:
    session = new()
    feed(session, OPEN)
    session.eof()
    assert not session.finished
    assert drain(session) == OPENED
    assert session.finished


@pytest.mark.parametrize(
    ("sent", "part"),
    [(b"1234567890", "TXNR"), (b"1 " + b"a" * 33, "COMMAND"), (b"1 open 1234567890", "DATALEN")],
)
def test_fields_have_a_length(sent: bytes, part: str) -> None:
    *_, session = talk(sent[:-1])
    assert session.state is NEW
    *_, session = talk(sent)
    assert session.error is not None
    assert f"malformed {part}" in session.error


def test_errors_name_the_frame_and_what_was_found() -> None:
    session = opened()
    feed(session, syslog(2, b"x") + b"hello there, this goes on for long")
    assert session.error == "cannot read RELP frame 3: malformed TXNR in b'hello there, this goes o'"


@pytest.mark.parametrize("form", [relp.write_answers, relp.write_answers.py], ids=["compiled", "plain"])
@pytest.mark.parametrize(
    ("first", "last"), [(1, 1), (8, 12), (98, 101), (9_999_998, 10_000_003), (999_999_990, 999_999_999)]
)
def test_answers_at_changes_of_width(form: Callable[[int, int, relp.U8], int], first: int, last: int) -> None:
    out = np.empty(1000, np.uint8)
    length = form(first, last - first + 1, out)
    assert out[:length].tobytes() == ok(first, last)
