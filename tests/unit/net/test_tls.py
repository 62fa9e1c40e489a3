"""TLS and mutual TLS over real sockets: who may come in, under which name, and what changes without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from logsink import telemetry
from logsink.config import Tls
from logsink.errors import ConfigError
from logsink.flags import Flag
from logsink.net.relp import RelpConnection
from logsink.net.stream import Port
from logsink.net.tcp import TcpConnection
from logsink.net.tls import DAY, Certificates, check_tls_files
from logsink.parse import Origin
from tests.support.bench import Bench, close, connected, make, until
from tests.support.certificates import Authority, Issued

LISTENER = "sink.example.com"
OPEN = b"1 open 30 relp_version=0\ncommands=syslog\n"


class Scene:
    """An authority, a server's certificate, and a bench that listens with it."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        self.bench = bench
        self.authority = Authority(directory)
        self.server = self.authority.issue(LISTENER)
        self.certificates: Certificates | None = None

    async def listen(
        self,
        connection: type[TcpConnection | RelpConnection] = TcpConnection,
        *,
        auth: str = "none",
        ca: Path | None = None,
        peers: tuple[str, ...] = (),
        timeout: float = 10.0,
    ) -> int:
        self.certificates = Certificates(
            Tls(
                cert=str(self.server.cert),
                key=str(self.server.key),
                client_ca=str(ca or self.authority.pem) if auth != "none" else None,
                client_auth=auth,
                permitted_peers=peers,
            )
        )
        port = Port(self.certificates, timeout)
        return await self.bench.listen(lambda intake: connection(intake, port))

    async def connect(
        self, port: int, certificate: Issued | None = None, **options: object
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = self.authority.client(certificate)
        for name, value in options.items():
            setattr(context, name, value)
        return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=LISTENER)

    async def send(self, port: int, data: bytes, certificate: Issued | None = None) -> None:
        _, writer = await self.connect(port, certificate)
        writer.write(data)
        writer.close()
        await writer.wait_closed()
        await self.bench.intake.empty.wait()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    bench = await make()
    yield Scene(bench, tmp_path)
    await close(bench)


def rejected(kind: str, transport: str = "tls") -> float:
    registry: CollectorRegistry = telemetry.REGISTRY
    labels = {"transport": transport, "kind": kind}
    return registry.get_sample_value("logsink_connections_rejected_total", labels) or 0.0


async def refused(scene: Scene, port: int, certificate: Issued | None = None) -> None:
    """The connection is closed, during the handshake or (TLS 1.3 lets a client believe it is in) right after it."""
    with pytest.raises((ssl.SSLError, ConnectionError)):  # noqa: PT012
        reader, writer = await scene.connect(port, certificate)
        writer.write(b"<13>no\n")
        if await reader.read() == b"":
            writer.close()
            raise ConnectionResetError
    await scene.bench.intake.empty.wait()
    assert await scene.bench.rows() == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_frames_over_tls(scene: Scene, version: ssl.TLSVersion) -> None:
    port = await scene.listen()
    _, writer = await scene.connect(port, maximum_version=version)
    writer.write(b"7 <13>one<13>two\n20 <13>half")
    writer.close()
    await writer.wait_closed()
    await scene.bench.intake.empty.wait()
    assert await scene.bench.rows() == [
        (b"<13>one", 0, "127.0.0.1", "tls"),
        (b"<13>two", 0, "127.0.0.1", "tls"),
        (b"<13>half", Flag.INCOMPLETE, "127.0.0.1", "tls"),
    ]


async def test_tls_1_1_is_refused(scene: Scene) -> None:
    port, before = await scene.listen(), rejected("tls_version")
    context = scene.authority.client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=LISTENER)
    await scene.bench.intake.empty.wait()
    assert rejected("tls_version") == before + 1


async def test_large_streams_arrive_whole(scene: Scene) -> None:
    port = await scene.listen()
    frames = [b"<13>%06d " % i + b"x" * 90 for i in range(40_000)]
    await scene.send(port, b"\n".join(frames) + b"\n")
    assert [frame for frame, *_ in await scene.bench.rows()] == frames


async def test_relp_over_tls_is_acknowledged_and_closed(scene: Scene) -> None:
    reader, writer = await scene.connect(await scene.listen(RelpConnection))
    writer.write(OPEN + b"2 syslog 7 <13>one\n3 close 0\n")
    answers = await reader.read()
    assert answers.endswith(b"\n2 rsp 6 200 OK\n3 rsp 0\n0 serverclose 0\n")
    writer.close()
    await writer.wait_closed()
    assert await scene.bench.origins() == [(b"<13>one", Origin("127.0.0.1", None, "relp-tls"))]


# --- pressure and draining


@pytest.mark.parametrize("polite", [True, False])
async def test_what_a_held_back_peer_sent_before_it_closed_is_not_lost(scene: Scene, polite: bool) -> None:
    port = await scene.listen()
    client = Client(port, scene.authority.client())
    await client.connect()
    await client.send(b"<13>first\n")
    await until(lambda: scene.bench.released)
    scene.bench.intake.pressure(True)
    frames = [b"<13>%05d " % i + b"x" * 90 for i in range(9_000)]
    await client.send(b"\n".join(frames) + b"\n")
    client.end(polite)
    for _ in range(100):  # turns of the loop in which it could be read, or lost
        await asyncio.sleep(0)
    scene.bench.intake.pressure(False)
    async with asyncio.timeout(20):
        await scene.bench.intake.empty.wait()
    assert [frame for frame, *_ in await scene.bench.rows()] == [b"<13>first", *frames]
    client.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("polite", [True, False])
async def test_drain_half_closes_the_socket_and_reads_to_the_end(
    scene: Scene, version: ssl.TLSVersion, polite: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """What a sender sees that peeks at its socket, and goes on writing nevertheless."""
    port = await scene.listen()
    context = scene.authority.client()
    context.maximum_version = version
    client = Client(port, context)
    await client.connect()
    (connection,) = await connected(scene.bench, 1)
    await until(lambda: connection.transport)
    await client.send(b"<13>before\n")
    scene.bench.intake.drain()
    assert await client.peek() == b""
    await client.send(b"<13>on its way\n" + b"<13>more\n" * 5000)
    client.end(polite)
    async with asyncio.timeout(20):
        await scene.bench.intake.empty.wait()
    client.close()
    assert caplog.records == []
    frames = [frame for frame, *_ in await scene.bench.rows()]
    assert frames == [b"<13>before", b"<13>on its way", *[b"<13>more"] * 5000]


async def test_relp_drain_over_tls_acknowledges_first(scene: Scene) -> None:
    scene.bench.store.free.clear()
    reader, writer = await scene.connect(await scene.listen(RelpConnection))
    writer.write(OPEN + b"2 syslog 7 <13>one\n")
    await reader.readuntil(b"commands=syslog\n")
    await until(lambda: scene.bench.journal.unstored)
    scene.bench.intake.drain()
    scene.bench.store.free.set()
    assert await reader.read() == b"2 rsp 6 200 OK\n0 serverclose 0\n"
    writer.close()
    await scene.bench.intake.empty.wait()


async def test_a_drain_does_not_wait_for_handshakes(scene: Scene) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", await scene.listen())
    await connected(scene.bench, 1)
    scene.bench.intake.drain()
    async with asyncio.timeout(20):
        await scene.bench.intake.empty.wait()
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b"", "closed"
    writer.close()


class Client:
    """A TLS client over a socket of its own: asyncio's would close as soon as the server says close_notify."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port, self._in, self._out = port, ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=LISTENER)

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._writer.write(self._out.read())
                self._in.write(await self._reader.read(65536))
        self._writer.write(self._out.read())

    async def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._writer.write(self._out.read())
        await self._writer.drain()

    async def peek(self) -> bytes:
        """What lies at the socket, undecrypted."""
        return await self._reader.read(65536)

    def end(self, polite: bool) -> None:
        """Send nothing more; having said so, if polite."""
        if polite:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            self._writer.write(self._out.read())
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()


# --- who comes in


async def test_identity_is_the_verified_subject(scene: Scene) -> None:
    client = scene.authority.issue("web-1.example.com", common_name="web-1, the first")
    await scene.send(await scene.listen(auth="required"), b"<13>one\n", client)
    ((_, origin),) = await scene.bench.origins()
    assert origin.identity is not None
    assert origin.identity.startswith("CN=web-1\\, the first,OU=")
    assert origin.sender == "127.0.0.1"


async def test_optional_certificates(scene: Scene) -> None:
    port = await scene.listen(auth="optional", peers=("web-1.example.com",))
    await scene.send(port, b"<13>nobody\n")
    await scene.send(port, b"<13>web\n", scene.authority.issue("web-1.example.com", common_name="web-1"))
    assert [(frame, bool(origin.identity)) for frame, origin in await scene.bench.origins()] == [
        (b"<13>nobody", False),
        (b"<13>web", True),
    ]
    before = rejected("not_permitted")
    scene.bench.released.clear()
    await refused(scene, port, scene.authority.issue("web-2.example.com"))
    assert rejected("not_permitted") == before + 1


@pytest.mark.parametrize("how", ["name", "wildcard", "sha1", "sha256"])
async def test_permitted_peers(scene: Scene, how: str, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = scene.authority.issue("web-1.example.com"), scene.authority.issue("db.example.org")
    peers = {
        "name": "web-1.example.com",
        "wildcard": "*.example.com",
        "sha1": good.fingerprint("SHA1"),
        "sha256": good.fingerprint("SHA256"),
    }
    port = await scene.listen(auth="required", peers=(peers[how],))
    before = rejected("not_permitted")
    await refused(scene, port, bad)
    assert rejected("not_permitted") == before + 1
    await scene.send(port, b"<13>good\n", good)
    assert [row[0] for row in await scene.bench.rows()] == [b"<13>good"]


@pytest.mark.parametrize("kind", ["no_certificate", "expired", "foreign"])
async def test_clients_without_a_good_certificate(scene: Scene, tmp_path: Path, kind: str) -> None:
    certificate = {
        "no_certificate": lambda: None,
        "expired": lambda: scene.authority.issue("web-1.example.com", expired=True),
        "foreign": lambda: Authority(tmp_path / "other").issue("web-1.example.com"),
    }[kind]()
    counted = "no_certificate" if kind == "no_certificate" else "certificate"
    port, before = await scene.listen(auth="required"), rejected(counted)
    await refused(scene, port, certificate)
    assert rejected(counted) == before + 1


async def test_a_self_signed_certificate_is_permitted_by_listing_it(scene: Scene, tmp_path: Path) -> None:
    foreign = Authority(tmp_path / "other").issue("web-1.example.com")
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(ssl.DER_cert_to_PEM_cert(foreign.der).encode())
    port = await scene.listen(auth="required", ca=leaf, peers=(foreign.fingerprint(),))
    await scene.send(port, b"<13>one\n", foreign)
    assert [row[0] for row in await scene.bench.rows()] == [b"<13>one"]


# --- what is no handshake


async def test_a_handshake_has_a_time_limit(scene: Scene) -> None:
    port, before = await scene.listen(timeout=0.05), rejected("handshake_timeout")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x16\x03\x01")
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    await scene.bench.intake.empty.wait()
    assert rejected("handshake_timeout") == before + 1
    writer.close()


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"<13>Jan  1 00:00:00 host app: plain\n", "plain"),
        (b"1 open 30 relp_version=0\ncommands=syslog\n", "plain"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http"),
    ],
)
async def test_plain_text_on_a_tls_port_is_explained(
    scene: Scene, sent: bytes, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    port, before = await scene.listen(), rejected(kind)
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        await scene.bench.intake.empty.wait()
    assert rejected(kind) == before + 3
    lines = [record.getMessage() for record in caplog.records if "127.0.0.1" in record.getMessage()]
    assert len(lines) == 1
    assert "TLS" in lines[0]


async def test_a_port_check_is_no_failure(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", await scene.listen())
    await connected(scene.bench, 1)
    writer.close()
    await scene.bench.intake.empty.wait()
    assert caplog.records == []


# --- files that change


async def served(scene: Scene, port: int) -> bytes:
    _, writer = await scene.connect(port)
    connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
    der = connection.getpeercert(binary_form=True)
    writer.close()
    assert der
    return der


async def test_new_connections_use_changed_files_and_open_ones_go_on(scene: Scene) -> None:
    port = await scene.listen()
    _, writer = await scene.connect(port)
    assert scene.certificates
    scene.certificates.refresh()
    assert await served(scene, port) == scene.server.der
    renewed = scene.authority.issue(LISTENER, common_name="renewed")
    renewed.place(scene.server.cert, scene.server.key)
    scene.certificates.refresh()
    assert await served(scene, port) == renewed.der
    writer.write(b"<13>still here\n")
    writer.close()
    await scene.bench.intake.empty.wait()
    assert [row[0] for row in await scene.bench.rows()] == [b"<13>still here"]


async def test_the_end_of_a_certificate_is_told_in_time(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warnings_in(days: float) -> int:
        caplog.clear()
        monkeypatch.setattr("time.time", lambda: began + days * DAY)
        for _ in range(3):
            certificates.refresh()
        return len([record for record in caplog.records if "is valid until" in record.message])

    began = time.time()
    scene.authority.issue(LISTENER, days=40).place(scene.server.cert, scene.server.key)
    await scene.listen()
    certificates = scene.certificates
    assert certificates
    assert telemetry.REGISTRY.get_sample_value("logsink_tls_certificate_expires_seconds") == pytest.approx(
        began + 40 * DAY, abs=60
    )
    assert [warnings_in(day) for day in (1, 25, 26.5, 26.6, 27.6, 41)] == [0, 0, 1, 0, 1, 1]
    scene.authority.issue(LISTENER, days=90).place(scene.server.cert, scene.server.key)
    assert [warnings_in(day) for day in (41, 75, 77)] == [0, 0, 1]


async def test_a_certificate_whose_end_cannot_be_read_is_served(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(der: bytes) -> float:
        raise ValueError("a time of a kind that nobody has seen")

    port = await scene.listen()
    monkeypatch.setattr("logsink.net.tls.expires", unreadable)
    renewed = scene.authority.issue(LISTENER, common_name="renewed")
    renewed.place(scene.server.cert, scene.server.key)
    assert scene.certificates
    scene.certificates.refresh()
    scene.certificates.refresh()
    assert await served(scene, port) == renewed.der
    assert not [record for record in caplog.records if record.levelname != "INFO"]


@pytest.mark.parametrize("broken", ["gone", "empty", "another_key", "garbage"])
async def test_broken_files_change_nothing_and_are_reported_once(
    scene: Scene, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = await scene.listen()
    other = scene.authority.issue("other.example.com")
    if broken == "gone":
        scene.server.cert.unlink()
    elif broken == "another_key":
        scene.server.key.write_bytes(other.key.read_bytes())
    else:
        scene.server.cert.write_bytes({"empty": b"", "garbage": b"\xff" * 999}[broken])
    assert scene.certificates
    for _ in range(3):
        scene.certificates.refresh()
    assert await served(scene, port) == scene.server.der
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    other.place(scene.server.cert, scene.server.key)
    scene.certificates.refresh()
    with pytest.raises(ssl.SSLCertVerificationError):  # which is for another name
        await served(scene, port)


async def test_a_client_whose_authority_is_removed_is_refused(scene: Scene, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    second = Authority(tmp_path / "second")
    trusted.write_bytes(scene.authority.pem.read_bytes() + second.pem.read_bytes())
    port = await scene.listen(auth="required", ca=trusted)
    client = second.issue("web-1.example.com")
    await scene.send(port, b"<13>one\n", client)
    trusted.write_bytes(scene.authority.pem.read_bytes())
    assert scene.certificates
    scene.certificates.refresh()
    assert [row[0] for row in await scene.bench.rows()] == [b"<13>one"]
    scene.bench.released.clear()
    await refused(scene, port, client)


def test_certificates_that_cannot_be_used_at_the_beginning(tmp_path: Path) -> None:
    one, two = (Authority(tmp_path).issue(name) for name in ("one.example.com", "two.example.com"))
    for cert, key, said in (
        (tmp_path / "none", one.key, f"{tmp_path / 'none'} for TLS: No such file or directory"),
        (one.cert, tmp_path / "none", f"{tmp_path / 'none'} for TLS: No such file or directory"),
        (one.cert, two.key, "tls.key is the key of another certificate"),
        (one.key, one.key, "PEM"),
    ):
        with pytest.raises(ConfigError) as caught:
            Certificates(Tls(cert=str(cert), key=str(key), client_ca=None, permitted_peers=()))
        assert said in f"{caught.value} {caught.value.hint}"


def files(issued: Issued) -> Tls:
    return Tls(cert=str(issued.cert), key=str(issued.key), client_ca=None, permitted_peers=())


def test_what_is_checked_before_a_listener_needs_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    good, soon = authority.issue("good.example.com", days=30), authority.issue("soon.example.com", days=3)
    good.key.chmod(0o600)
    assert check_tls_files(files(good), time.time()) == []
    good.key.chmod(0o644)
    assert check_tls_files(files(good), time.time()) == [
        f"the private key {good.key} can be read by everybody on this machine (chmod o-rwx)"
    ]
    soon.key.chmod(0o600)
    (warning,) = check_tls_files(files(soon), time.time())
    assert warning.startswith(f"the certificate {soon.cert} expires on ")
    soon.cert.write_text(soon.cert.read_text().replace("CERTIFICATE", "TRUSTED CERTIFICATE"))
    assert check_tls_files(files(soon), time.time()) == [warning]
    expired = authority.issue("expired.example.com", expired=True)
    with pytest.raises(ConfigError, match="it expired on"):
        check_tls_files(files(expired), time.time())
    with pytest.raises(ConfigError, match=r"cannot use .* for TLS"):
        check_tls_files(files(good)._replace(key=str(soon.key)), time.time())
