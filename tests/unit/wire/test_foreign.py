"""What does not belong on a port is recognised as soon as it can be, and nothing that a sender sends is mistaken for it."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsink.wire.foreign import ON_RELP, ON_SYSLOG, REASONS, foreign


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="example.com")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


FOREIGN = {
    "tls": client_hello(),
    "http": b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "http_health": b"OPTIONS / HTTP/1.0\r\n\r\n",
    "http_post": b"POST /api/v1/push?x=\xc3\xa4 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "http_2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "ssh_old": b"SSH-1.99-Cisco-1.25\n",
    "proxy": b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 514\r\n",
    "proxy_unknown": b"PROXY UNKNOWN\r\n",
    "proxy_v2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
}
RELP = (
    b"1 open 86 relp_version=0\nrelp_software=librelp,1.13.0,http://librelp.adiscon.com\ncommands=syslog\n",
    b"1 open 53 \nrelp_version=0\nrelp_software=RLP-01\ncommands=syslog\n\n",
    b"1 open 30 commands=syslog\nrelp_version=1\n",
)
SYSLOG = (
    b"<13>Jan  1 00:00:00 host app: hello\n",
    b"<13>1 2026-01-01T00:00:00Z host app - - - hello",
    b"38 <13>Jan  1 00:00:00 host app: hello\n38 <13>",
    b" <181>00\n",
    b"38 zx\x9c",
)
TEXT = (
    b"GET out of here\n",
    b"GET / HTTP/1.1\n",
    b"GET /index.html HTTP/1.1 200 1234\r\n",
    b"GET /" + b"x" * 4000,
    b"POST office closed\n",
    b"SSH-agent started\n",
    b"SSH login failed\r\n",
    b"1 open 86 files\n",
    b"1 opening\n",
    b"1 open file\n",
    b"2 open 86 relp_version=0\n",
    b"PROXY down\n",
    b"PROXY TCP4 is what it says\r\n",
    b"2026-01-01 hello\n",
    b"\r\n\r\n<13>after empty lines\n",
    b"\x16\x03\x09\x00\x05\x01",
    b"\x16 garbage",
    b"x^2 + y^2\n",
    b"\xef\xbb\xbfhello\n",
)


def kind(name: str) -> str:
    return name.partition("_")[0]


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("tests", [ON_SYSLOG, ON_RELP], ids=["syslog", "relp"])
def test_foreign(name: str, tests: tuple) -> None:  # type: ignore[type-arg]
    data = FOREIGN[name]
    assert foreign(data, tests) == kind(name)
    found = [foreign(data[:end], tests) for end in range(len(data) + 1)]
    decided = found.index(kind(name))
    assert found == [None] * decided + [kind(name)] * (len(found) - decided)
    assert kind(name) in REASONS


@pytest.mark.parametrize("data", RELP)
def test_relp_on_the_syslog_port_and_at_home(data: bytes) -> None:
    found = [foreign(data[:end], ON_SYSLOG) for end in range(len(data) + 1)]
    decided = found.index("relp")
    assert found == [None] * decided + ["relp"] * (len(found) - decided)
    assert foreign(data, ON_RELP) == ""


@pytest.mark.parametrize("data", SYSLOG[:3])
def test_syslog_on_the_relp_port(data: bytes) -> None:
    assert foreign(data, ON_RELP) == "syslog"


@pytest.mark.parametrize("data", SYSLOG + TEXT)
def test_what_belongs_on_the_syslog_port(data: bytes) -> None:
    assert foreign(data, ON_SYSLOG) == ""
    for end in range(len(data)):
        assert foreign(data[:end], ON_SYSLOG) in ("", None)
        assert foreign(data[:end], ON_SYSLOG, ended=True) == ""


def test_nothing_is_nothing() -> None:
    assert foreign(b"", ON_SYSLOG) is None
    assert foreign(b"", ON_SYSLOG, ended=True) == ""


@given(st.sampled_from([*FOREIGN.values(), *RELP, *SYSLOG, *TEXT]), st.integers(0, 40), st.binary(max_size=4))
def test_a_verdict_stays(data: bytes, at: int, noise: bytes) -> None:
    """Once it is said what something is, more bytes do not change it."""
    data = data[:at] + noise + data[at + len(noise) :]
    for tests in (ON_SYSLOG, ON_RELP):
        found = [foreign(data[:end], tests) for end in range(len(data) + 1)]
        decided = next((i for i, verdict in enumerate(found) if verdict is not None), len(found))
        assert len(set(found[decided:])) <= 1


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_lines_with_a_pri_are_ours(text: str) -> None:
    assert foreign(b"<13>" + text.encode(), ON_SYSLOG) == ""
