"""Record what real programs send, once: ``python -m tests.data.capture [SENDER ...]``. It needs the programs; tests do not.

A capture is ``tests/data/<sender>/<name>.json``::

    {"program": "...", "settings": "...", "transport": "tcp" | "udp",
     "received": "...",                 when it was recorded
     "data": ["...", ...],              one stream, or datagrams; octets as characters of Latin-1
     "rows": [{...}, ...]}              what a query shows of it, written by hand or looked over by hand

Rows are those of ``tests/unit/parse/test_captures.py``; whoever records anew writes them anew, and looks them over.
"""

from __future__ import annotations

import argparse
import json
import logging
import logging.handlers
import os
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.support.haproxy import haproxy
from tests.support.rsyslog import FORWARD, SYSLOG23, TRADITIONAL, Rsyslog

PLACE = Path(__file__).parent
QUIET = 1.0
"""Seconds without octets after which a program has said everything."""

LINES = [
    b"<30>1 2026-11-24T03:12:05.123456+01:00 web-1 nginx 4711 - - plain",
    '<13>1 2026-11-24T03:12:06Z web-1 app - ID1 [deploy@32473 environment="prod" deploy="d-7"] größer ✓'.encode(),
    b"<86>Nov 24 03:12:07 web-2 sshd[811]: Accepted publickey for root from 192.0.2.7 port 50022 ssh2",
    b"<3>1 2026-11-24T03:12:08.5Z web-2 kernel - - - " + b"long " * 60,
]


class Sink:
    """Listens on TCP and UDP; keeps what comes. ``port`` is the same for both."""

    def __init__(self) -> None:
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._tcp.getsockname()[1])
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self.streams: list[bytearray] = []
        self.datagrams: list[bytes] = []
        self.last = time.monotonic()
        for work in (self._accept, self._take):
            threading.Thread(target=work, daemon=True).start()

    def settle(self) -> None:
        """Until something has come, and nothing more comes."""
        end = time.monotonic() + 20
        while not (self.datagrams or any(self.streams)) and time.monotonic() < end:
            time.sleep(0.05)
        while time.monotonic() - self.last < QUIET:
            time.sleep(0.05)

    def _accept(self) -> None:
        while True:
            connection, _ = self._tcp.accept()
            self.streams.append(bytearray())
            threading.Thread(target=self._read, args=(connection, self.streams[-1]), daemon=True).start()

    def _read(self, connection: socket.socket, stream: bytearray) -> None:
        with suppress(OSError):
            while data := connection.recv(1 << 16):
                stream += data
                self.last = time.monotonic()

    def _take(self) -> None:
        while True:
            self.datagrams.append(self._udp.recv(1 << 16))
            self.last = time.monotonic()


Act = Callable[[int, Path], None]


def rsyslog(action: str, template: str = FORWARD) -> Act:
    """rsyslogd forwards ``LINES``."""

    def act(port: int, place: Path) -> None:
        with Rsyslog(place, f'type="omfwd" target="127.0.0.1" port="{port}" {action}', template=template) as program:
            program.send(LINES)
            program.wait(len(LINES))

    return act


def logger(*options: str, text: str = "deploy finished: größer ✓") -> Act:
    """util-linux's logger says one line."""

    def act(port: int, place: Path) -> None:
        subprocess.run(["logger", "-n", "127.0.0.1", "-P", str(port), *options, text], check=True)

    return act


def of_haproxy(form: str) -> Act:
    """haproxy's log of two connections."""

    def act(port: int, place: Path) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as target,
            haproxy(place, target.getsockname()[1], options="", log=port, log_format=form) as front,
        ):
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", front)) as client:
                    client.sendall(b"hello")
                    target.accept()[0].close()
                    time.sleep(0.2)

    return act


NGINX = """
daemon off; master_process off; pid {place}/nginx.pid;
error_log syslog:server=127.0.0.1:{port}{options} warn;
events {{}}
http {{ access_log syslog:server=127.0.0.1:{port}{options} combined;
  client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  server {{ listen 127.0.0.1:{own}; location / {{ return 200 "ok"; }} location /gone {{ root /nonexistent; }} }} }}
"""


def nginx(options: str = "") -> Act:
    """nginx's access and error log."""

    def act(port: int, place: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            own = free.getsockname()[1]
        file = place / "nginx.conf"
        file.write_text(NGINX.format(place=place, port=port, own=own, options=options))
        process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(file)], stderr=subprocess.DEVNULL)
        for path in ("", "?q=größer", "gone"):
            for _ in range(50):
                try:
                    quoted = urllib.parse.quote(path, safe="?=")
                    urllib.request.urlopen(f"http://127.0.0.1:{own}/{quoted}").read()
                except urllib.error.HTTPError:
                    break
                except OSError:
                    time.sleep(0.1)
                else:
                    break
        time.sleep(0.5)
        process.terminate()
        process.wait()

    return act


def python(*, tcp: bool = False, ident: str = "", form: str = "") -> Act:
    """logging.handlers.SysLogHandler."""

    def act(port: int, place: Path) -> None:
        kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        handler = logging.handlers.SysLogHandler(("127.0.0.1", port), facility="local3", socktype=kind)
        handler.ident = ident
        if form:
            handler.setFormatter(logging.Formatter(form))
        log = logging.getLogger("shop")
        log.addHandler(handler)
        log.warning("cart is empty: größer ✓")
        exec(compile(_CHECKOUT, "/srv/shop.py", "exec"), {"log": log})
        log.removeHandler(handler)
        handler.close()

    return act


_CHECKOUT = """
try:
    raise ValueError("no such cart")
except ValueError:
    log.exception("cannot check out")
"""
JAVA = """
public class Say {
    public static void main(String[] given) throws Exception {
        %s
        log.info("order taken: gr\\u00f6\\u00dfer \\u2713");
        log.error("cannot check out", new IllegalStateException("no such cart"));
        %s
    }
}
"""
LOG4J = """<Configuration><Appenders><Syslog name="s" host="127.0.0.1" port="{port}" {options}/></Appenders>
<Loggers><Root level="info"><AppenderRef ref="s"/></Root></Loggers></Configuration>"""
LOGBACK = """<configuration><appender name="s" class="ch.qos.logback.classic.net.SyslogAppender">
<syslogHost>127.0.0.1</syslogHost><port>{port}</port><facility>LOCAL1</facility><suffixPattern>{options}</suffixPattern></appender>
<root level="info"><appender-ref ref="s"/></root></configuration>"""


def java(library: str, options: str) -> Act:
    """log4j 2 or logback; their jars in the folder that JARS names."""
    first, last = {
        "log4j": (
            'var log = org.apache.logging.log4j.LogManager.getLogger("shop");',
            "org.apache.logging.log4j.LogManager.shutdown();",
        ),
        "logback": ('var log = org.slf4j.LoggerFactory.getLogger("shop");', ""),
    }[library]

    def act(port: int, place: Path) -> None:
        (place / "Say.java").write_text(JAVA % (first, last))
        name, text = ("log4j2.xml", LOG4J) if library == "log4j" else ("logback.xml", LOGBACK)
        (place / name).write_text(text.format(port=port, options=options))
        path = os.pathsep.join([str(place), *map(str, Path(os.environ["JARS"]).glob("*.jar"))])
        subprocess.run(["java", "-cp", path, str(place / "Say.java")], check=True, cwd=place)

    return act


SYSLOG_NG = """@version: 3.38
source i {{ network(ip(127.0.0.1) port({own}) transport(tcp) {flags}); }};
destination d {{ {destination}; }};
log {{ source(i); destination(d); }};
"""


def syslog_ng(destination: str, flags: str = "") -> Act:
    """syslog-ng relays ``LINES``; SYSLOG_NG names the program and its libraries' folder."""

    def act(port: int, place: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            own = free.getsockname()[1]
        text = SYSLOG_NG.format(place=place, own=own, flags=flags, destination=destination.format(port=port))
        (place / "conf").write_text(text)
        root = Path(os.environ["SYSLOG_NG"])
        environ = os.environ | {"LD_LIBRARY_PATH": f"{root}/usr/lib/syslog-ng:{root}/usr/lib/x86_64-linux-gnu"}
        command = [
            f"{root}/usr/sbin/syslog-ng",
            "-F",
            "-f",
            f"{place}/conf",
            "--no-caps",
            "--persist-file",
            f"{place}/persist",
        ]
        command += [
            "--pidfile",
            f"{place}/pid",
            "--control",
            f"{place}/ctl",
            "--module-path",
            f"{root}/usr/lib/syslog-ng/3.38",
        ]
        process = subprocess.Popen(command, env=environ)
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", own)) as feed:
                feed.sendall(b"".join(line + b"\n" for line in LINES))
                time.sleep(2)
                break
            time.sleep(0.1)
        process.terminate()
        process.wait()

    return act


TCP, UDP = "tcp", "udp"
IETF = "flags(syslog-protocol)"
FORMATS = ("rfc3164", "rfc5424", "local", "short", "priority", "raw", "timed", "iso")
DEPLOY = ("--sd-id", "deploy@32473", "--sd-param", 'environment="prod"', "--sd-param", 'deploy="d-7"')
AUDIT = 'appName="shop" enterpriseNumber="32473" includeMDC="true" id="App" newLine="true" messageId="Audit"'
LF = 'protocol="tcp" TCP_Framing="traditional"'
OCTET = 'protocol="tcp" TCP_Framing="octet-counted"'
CAPTURES: dict[str, dict[str, tuple[str, Act]]] = {
    "rsyslog": {
        "forward-lf": (TCP, rsyslog(LF)),
        "forward-octet": (TCP, rsyslog(OCTET)),
        "forward-udp": (UDP, rsyslog('protocol="udp"')),
        "traditional-lf": (TCP, rsyslog(LF, TRADITIONAL)),
        "traditional-udp": (UDP, rsyslog('protocol="udp"', TRADITIONAL)),
        "file-lf": (TCP, rsyslog(LF, "RSYSLOG_FileFormat")),
        "traditional-file-lf": (TCP, rsyslog(LF, "RSYSLOG_TraditionalFileFormat")),
        "syslog23-lf": (TCP, rsyslog(LF, SYSLOG23)),
        "syslog23-octet": (TCP, rsyslog(OCTET, SYSLOG23)),
        "syslog23-nul": (TCP, rsyslog(LF + ' TCP_FrameDelimiter="0"', SYSLOG23)),
        "compressed-single-octet": (TCP, rsyslog(OCTET + ' compression.mode="single" zipLevel="9"', SYSLOG23)),
        "compressed-single-udp": (UDP, rsyslog('protocol="udp" compression.mode="single" zipLevel="9"', SYSLOG23)),
        "compressed-stream-lf": (TCP, rsyslog(LF + ' compression.mode="stream:always" zipLevel="9"', SYSLOG23)),
        "compressed-stream-octet": (TCP, rsyslog(OCTET + ' compression.mode="stream:always" zipLevel="9"', FORWARD)),
    },
    "syslog-ng": {
        "network": (TCP, syslog_ng('network("127.0.0.1" port({port}) transport(tcp))')),
        "network-ietf": (TCP, syslog_ng(f'network("127.0.0.1" port({{port}}) transport(tcp) {IETF})', IETF)),
        "syslog-tcp": (TCP, syslog_ng('syslog("127.0.0.1" port({port}) transport(tcp))', IETF)),
        "syslog-udp": (UDP, syslog_ng('syslog("127.0.0.1" port({port}) transport(udp))', IETF)),
        "network-iso": (
            TCP,
            syslog_ng('network("127.0.0.1" port({port}) transport(tcp) ts-format(iso) frac-digits(6))'),
        ),
    },
    "logger": {
        "udp": (UDP, logger("-d")),
        "tcp": (TCP, logger("-T")),
        "tcp-octet": (TCP, logger("-T", "--octet-count")),
        "rfc3164": (UDP, logger("-d", "--rfc3164", "-t", "deployer", "-i", "-p", "local4.err")),
        "rfc5424": (UDP, logger("-d", "--rfc5424", "-t", "deployer", "--id=4711", "--msgid", "DONE")),
        "rfc5424-notq": (UDP, logger("-d", "--rfc5424=notq")),
        "rfc5424-nohost": (UDP, logger("-d", "--rfc5424=notq,nohost")),
        "rfc5424-notime": (UDP, logger("-d", "--rfc5424=notime")),
        "structured": (TCP, logger("-T", "--rfc5424", *DEPLOY)),
    },
    "haproxy": {form: (UDP, of_haproxy(form)) for form in FORMATS},
    "nginx": {
        "default": (UDP, nginx()),
        "named": (UDP, nginx(",facility=local7,tag=shop,severity=info")),
        "nohostname": (UDP, nginx(",nohostname,tag=shop")),
    },
    "python": {
        "udp": (UDP, python()),
        "udp-ident": (UDP, python(ident="shop: ")),
        "udp-formatted": (UDP, python(form="%(name)s[%(process)d]: %(levelname)s %(message)s")),
        "tcp": (TCP, python(tcp=True)),
    },
    "java": {
        "log4j-bsd-udp": (UDP, java("log4j", 'protocol="UDP" facility="LOCAL1"')),
        "log4j-bsd-tcp": (TCP, java("log4j", 'protocol="TCP" facility="LOCAL1" newLine="true"')),
        "log4j-rfc5424-tcp": (TCP, java("log4j", f'protocol="TCP" format="RFC5424" facility="LOCAL1" {AUDIT}')),
        "log4j-rfc5424-udp": (UDP, java("log4j", 'protocol="UDP" format="RFC5424" facility="LOCAL1" appName="shop"')),
        "logback-udp": (UDP, java("logback", "[%thread] %logger %msg")),
    },
}

VERSIONS = {
    "rsyslog": ["rsyslogd", "-v"],
    "logger": ["logger", "--version"],
    "haproxy": ["haproxy", "-v"],
    "nginx": ["/usr/sbin/nginx", "-v"],
    "python": ["python3", "--version"],
    "java": ["java", "--version"],
}


@contextmanager
def place() -> Iterator[Path]:
    """A folder for a program."""
    with tempfile.TemporaryDirectory(prefix="capture-") as name:
        yield Path(name)


def record(sender: str, name: str) -> dict[str, object]:
    """One capture, without rows."""
    transport, act = CAPTURES[sender][name]
    sink, received = Sink(), datetime.now(UTC)
    with place() as directory:
        act(sink.port, directory)
        sink.settle()
    parts = sink.datagrams if transport == UDP else [bytes(stream) for stream in sink.streams if stream]
    return {
        "transport": transport,
        "received": received.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "data": [part.decode("latin-1") for part in parts],
    }


def version(sender: str) -> str:
    """What the program says it is."""
    if sender not in VERSIONS:
        return "syslog-ng 3.38.1"
    done = subprocess.run(VERSIONS[sender], capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).splitlines()[0].strip()


def main() -> None:
    """Record."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("senders", nargs="*")
    given = options.parse_args()
    for sender in given.senders or CAPTURES:
        (PLACE / sender).mkdir(exist_ok=True)
        for name in CAPTURES[sender]:
            found = {"program": version(sender)} | record(sender, name)
            file = PLACE / sender / f"{name}.json"
            file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
            print(f"{sender}/{name}: {len(found['data'])} parts")  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
