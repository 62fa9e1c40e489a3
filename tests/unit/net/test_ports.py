"""Who may listen where: one process, the workers of one process, or processes that all say so."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from itertools import product

import pytest

from logsink.config import Listen
from logsink.errors import ConfigError
from logsink.kinds import Address
from logsink.net.activation import handed_sockets
from logsink.net.ports import Ports, Reservation

HERE, ALL, SIX = "127.0.0.1", "0.0.0.0", "::"
KINDS = ("tcp", "udp", "relp", "tls", "relp_tls", "http")


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def one(opened: contextlib.ExitStack, kind: str, host: str, port: int = 0, **how: bool) -> int:
    """A receiver on one address; its port."""
    ports, port = ports_of(opened, kind, host, port, Listen(share_ports=how.get("share", False)))
    ports.prove()
    return port


def ports_of(
    opened: contextlib.ExitStack, kind: str, host: str, port: int, listen: Listen, *, member: bool = False
) -> tuple[Ports, int]:
    ports = Ports(listen, member=member)
    socks = ports.open(kind, Address(host, port))
    for sock in socks:
        opened.enter_context(sock)
    return ports, int(socks[0].getsockname()[1])


def workers(
    opened: contextlib.ExitStack, kind: str, host: str, port: int = 0, *, share: bool = False, count: int = 2
) -> int:
    """A receiver with several workers on one address; its port."""
    listen = Listen(share_ports=share)._replace(**{kind: (Address(host, port),)})  # type: ignore[arg-type]
    reserved = Reservation(listen)
    opened.callback(reserved.close)
    (address,) = getattr(reserved.listen, kind)
    for _ in range(count):
        ports_of(opened, kind, host, address.port, listen, member=True)
    reserved.listening()
    return int(address.port)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_one_is_told_the_address_and_what_to_do(kind: str, opened: contextlib.ExitStack) -> None:
    port = one(opened, kind, HERE)
    with pytest.raises(ConfigError) as caught:
        one(opened, kind, HERE, port)
    assert str(caught.value).startswith(f"cannot listen on 127.0.0.1:{port} ({kind}): the address is in use")
    assert "share_ports" in caught.value.hint
    assert f"ss -{'u' if kind == 'udp' else 't'}lnp sport = :{port}" in caught.value.hint


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("nowhere.invalid", "`getent hosts nowhere.invalid` must find the name"),
        ("192.0.2.1", "(`ip address` shows them), or 0.0.0.0:20514 for all of them"),
        ("2001:db8::1", "(`ip address` shows them), or [::]:20514 for all of them"),
    ],
)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_an_address_that_this_machine_does_not_have(kind: str, host: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="cannot listen on") as caught:
        Ports(Listen()).open(kind, Address(host, 20514))
    assert hint in caught.value.hint


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize(("first", "second"), [(a, b) for a, b in product((HERE, ALL, SIX), repeat=2) if a != b])
def test_addresses_that_overlap(kind: str, first: str, second: str, opened: contextlib.ExitStack) -> None:
    for way, other in ((one, one), (workers, one), (one, workers), (workers, workers)):
        port = way(opened, kind, first)
        with pytest.raises(ConfigError, match="in use"):
            other(opened, kind, second, port)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("way", [one, workers])
def test_those_that_all_say_so_share(kind: str, way, opened: contextlib.ExitStack) -> None:  # type: ignore[no-untyped-def]
    port = way(opened, kind, HERE, share=True)
    assert one(opened, kind, HERE, port, share=True) == port
    assert workers(opened, kind, HERE, port, share=True) == port


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("first", [one, workers])
@pytest.mark.parametrize("second", [one, workers])
@pytest.mark.parametrize("share", [True, False])
def test_nobody_joins_those_that_do_not_say_so(  # type: ignore[no-untyped-def]
    kind: str, first, second, share: bool, opened: contextlib.ExitStack
) -> None:
    port = first(opened, kind, ALL, share=share)
    for host in (ALL, HERE):
        with pytest.raises(ConfigError, match="in use"):
            second(opened, kind, host, port, share=not share)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_another_address_of_the_same_port_is_free(kind: str, opened: contextlib.ExitStack) -> None:
    port = workers(opened, kind, HERE)
    assert workers(opened, kind, "127.0.0.2", port) == port
    assert one(opened, kind, "127.0.0.3", port, share=True) == port


def test_whoever_shares_sees_workers_that_claimed_before_they_listen(opened: contextlib.ExitStack) -> None:
    """The moment between the claim of workers and their listening."""
    reserved = Reservation(Listen(tcp=(Address(HERE, 0),)))
    opened.callback(reserved.close)
    with pytest.raises(ConfigError, match="the workers of another receiver"):
        one(opened, "tcp", HERE, reserved.listen.tcp[0].port, share=True)


def test_workers_that_share_see_a_claim_made_before_they_listened(opened: contextlib.ExitStack) -> None:
    shared = Reservation(Listen(tcp=(Address(HERE, 0),), share_ports=True))
    port = shared.listen.tcp[0].port
    shared._release()
    opened.callback(Reservation(Listen(tcp=(Address(HERE, port),))).close)
    ports_of(opened, "tcp", HERE, port, shared.listen, member=True)
    with pytest.raises(ConfigError, match="the workers of another receiver"):
        shared.listening()


def test_a_claim_ends_with_its_workers(opened: contextlib.ExitStack) -> None:
    with contextlib.ExitStack() as first:
        port = workers(first, "udp", HERE)
    assert one(opened, "udp", HERE, port, share=True) == port


def test_every_ipv6_address_means_every_ipv4_address_too_unless_that_is_listed(opened: contextlib.ExitStack) -> None:
    listen = Listen(tcp=(Address(SIX, 0),))
    _, port = ports_of(opened, "tcp", SIX, 0, listen)
    opened.enter_context(socket.create_connection((HERE, port)))
    with contextlib.ExitStack() as probe:
        free = one(probe, "tcp", HERE)
    both = Listen(tcp=(Address(SIX, free), Address(ALL, free)))
    ports_of(opened, "tcp", SIX, free, both)
    ports_of(opened, "tcp", ALL, free, both)


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize(("first", "second"), [("tcp", "relp"), ("udp", "udp")])
def test_a_name_of_an_address_that_this_process_has(
    first: str, second: str, share: bool, opened: contextlib.ExitStack
) -> None:
    ports, port = ports_of(opened, first, HERE, 0, Listen(share_ports=share))
    with pytest.raises(ConfigError, match=rf"listen\.{first} has 127\.0\.0\.1:{port} already, and this is ") as caught:
        ports.open(second, Address("localhost", port))
    assert caught.value.hint == "use another port"
    opened.close()
    both = Listen(share_ports=share)._replace(**{first: (Address(HERE, port),)})  # type: ignore[arg-type]
    both = both._replace(**{second: (*getattr(both, second), Address("localhost", port))})
    with pytest.raises(ConfigError, match=rf"listen\.{first} has 127\.0\.0\.1:{port} already, and this is "):
        Reservation(both)


def test_tcp_and_udp_have_the_same_address(opened: contextlib.ExitStack) -> None:
    ports, port = ports_of(opened, "tcp", HERE, 0, Listen())
    for sock in ports.open("udp", Address(HERE, port)):
        sock.close()


def test_sockets_of_a_service_manager(opened: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    tcp = opened.enter_context(socket.create_server((HERE, 0)))
    udp = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind((HERE, 0))
    first = os.dup(tcp.fileno())
    os.dup2(udp.fileno(), first + 1, inheritable=False)
    monkeypatch.setattr("logsink.net.activation.FIRST", first)
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "relp:udp"}
    assert handed_sockets(environ, 8) == {}
    found = handed_sockets(environ, 7)
    address = Address(*tcp.getsockname())
    assert list(found) == [("relp", address), ("udp", Address(*udp.getsockname()))]
    ports = Ports(Listen(), found)
    (sock,) = ports.open("relp", address)
    assert sock.getsockname() == tcp.getsockname()
    for one_ in found.values():
        one_.close()


@pytest.mark.parametrize(
    ("name", "problem"),
    [("logsink.socket", "is named 'logsink.socket'"), ("udp", "another kind of socket"), ("", "is named ''")],
)
def test_a_socket_that_is_of_no_use(
    name: str, problem: str, opened: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    tcp = opened.enter_context(socket.create_server((HERE, 0)))
    monkeypatch.setattr("logsink.net.activation.FIRST", os.dup(tcp.fileno()))
    with pytest.raises(ConfigError, match=problem) as caught:
        handed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": name}, 7)
    assert ".socket unit" in caught.value.hint


def test_a_connection_in_place_of_a_listening_socket_is_of_no_use(
    opened: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = opened.enter_context(socket.create_server((HERE, 0)))
    opened.enter_context(socket.create_connection(listening.getsockname()))
    accepted = opened.enter_context(listening.accept()[0])
    monkeypatch.setattr("logsink.net.activation.FIRST", os.dup(accepted.fileno()))
    with pytest.raises(ConfigError, match="that socket does not listen") as caught:
        handed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "tcp"}, 7)
    assert "Accept=yes" in caught.value.hint
