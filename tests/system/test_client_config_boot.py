"""Who a client says it is: hosts in a network namespace of their own, and a fleet that docs/fleet.md makes."""

from __future__ import annotations

import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.support.network import Cable
from tests.support.programs import require
from tests.support.receiver import COMMAND, Receiver, query

METADATA = "169.254.169.254"


class Metadata(http.server.BaseHTTPRequestHandler):
    """The metadata service of EC2, version 2: tags only for who shows a token."""

    def do_PUT(self) -> None:
        self._answer(200, "t0ken") if "x-aws-ec2-metadata-token-ttl-seconds" in self.headers else self._answer(400, "")

    def do_GET(self) -> None:
        if self.headers.get("X-aws-ec2-metadata-token") != "t0ken":
            self._answer(401, "")
        elif self.path == "/latest/meta-data/tags/instance/Deploy":
            self._answer(200, '2026-01-31 "a1"')
        else:
            self._answer(404, "not found")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Host:
    """A host below ``root`` and in a namespace: cloud-init's files, and services as systemd would run them."""

    def __init__(self, cable: Cable, root: Path, user_data: str) -> None:
        self._cable, self._root = cable, root
        for file in yaml.safe_load(user_data)["write_files"]:
            path = root / file["path"].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file["content"])
            path.chmod(int(file["permissions"], 8))
        (root / "proc/sys/kernel/random").mkdir(parents=True)
        shutil.copyfile("/proc/sys/kernel/random/boot_id", root / "proc/sys/kernel/random/boot_id")
        (root / "spool").mkdir()

    def run(self, *words: str) -> None:
        """Run a program there."""
        environ = {"ROOT": str(self._root), "PATH": os.environ["PATH"]}
        subprocess.run([*self._cable.command(self._cable.far), *words], env=environ, check=True)

    @contextmanager
    def rsyslog(self) -> Iterator[None]:
        """Run rsyslogd as the drop-in says: the script before it, then the environment from the files that it names."""
        script = self._root / "usr/local/lib/logsink-client/identity"
        dropin = (self._root / "etc/systemd/system/rsyslog.service.d/logsink.conf").read_text()
        assert "ExecStartPre=+/usr/local/lib/logsink-client/identity" in dropin
        self.run(str(script))
        environ = dict(os.environ)
        for line in dropin.splitlines():
            file = self._root / line.removeprefix("EnvironmentFile=-/")
            if line.startswith("EnvironmentFile=-") and file.exists():
                environ |= dict(one.replace('"', "").split("=", 1) for one in file.read_text().splitlines())
        text = (self._root / "etc/rsyslog.conf").read_text()
        for there, here in (
            ("/var/spool/rsyslog", self._root / "spool"),
            ('"imuxsock" SysSock.RateLimit', f'"imuxsock" SysSock.Name="{self._root}/log" SysSock.RateLimit'),
            ("/etc/rsyslog.d/*.conf", self._root / "none"),
            ("/etc/rsyslog-tls", self._root / "etc/rsyslog-tls"),
        ):
            text = text.replace(there, str(here))
        (self._root / "rsyslog.conf").write_text(text)
        pid = self._root / "pid"
        words = [require("rsyslogd"), "-n", "-f", str(self._root / "rsyslog.conf"), "-i", str(pid)]
        process = subprocess.Popen(
            [*self._cable.command(self._cable.far), *words], env=environ, stdin=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)

    def log(self, text: str) -> None:
        """Log a message, as soon as the socket is there."""
        for _ in range(3000):
            words = ["logger", "--socket-errors=on", "-u", str(self._root / "log"), "-t", "app", text]
            if subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode == 0:
                return
            threading.Event().wait(0.02)
        raise TimeoutError("rsyslogd does not take messages")


def user_data(*arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, "client-config", "rsyslog", "--input", "socket", "--format", "cloud-init", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_host_is_found_by_its_instance_before_it_knows_its_deploy(tmp_path: Path) -> None:
    """The tag comes from the metadata service, in a namespace where it answers; then from what cloud-init has written."""
    with Cable() as cable:
        ip = require("ip")
        subprocess.run([ip, "-n", cable.far, "address", "add", f"{METADATA}/32", "dev", "lo"], check=True)
        service = cable.run(cable.far, http.server.ThreadingHTTPServer, (METADATA, 80), Metadata)
        threading.Thread(target=service.serve_forever, daemon=True).start()
        receiver = Receiver(f"file://{tmp_path}/store", tmp_path / "receiver")
        receiver.command, receiver.host = [*cable.command(cable.near), *COMMAND], cable.NEAR
        receiver.listen = {"relp": 2514, "http": 9514}
        root = tmp_path / "host"
        data = user_data("--target", f"{cable.NEAR}:2514", "--deploy", "ec2-tag:Deploy", "--role", "ec2-tag:None")
        host = Host(cable, root, data)
        (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        try:
            with_receiver(cable, receiver, host, root)
        finally:
            service.shutdown()
            service.server_close()
    rows = [json.loads(line) for line in query(receiver.store, "-u", "app", "-n", "0", "-o", "json").splitlines()]
    assert {row["message"]: row.get("deploy") for row in rows} == {
        "nameless": None,
        "tagged": "2026-01-31 a1",
        "told": "by cloud-init",
    }
    assert {row["instance"] for row in rows} == {"0123456789abcdef0123456789abcdef"}
    assert all(row.get("role") is None for row in rows if row["message"] != "told")


def with_receiver(cable: Cable, receiver: Receiver, host: Host, root: Path) -> None:
    """The host logs before it knows anything, after it has asked for its tags, and after cloud-init has told it."""
    receiver.launch()
    try:
        cable.run(cable.near, receiver.await_ready)
        with host.rsyslog():
            host.log("nameless")
            await_row(receiver.store, "nameless")
        host.run(str(root / "usr/local/lib/logsink-client/identity"), "--fetch")
        with host.rsyslog():
            host.log("tagged")
            await_row(receiver.store, "tagged")
        (root / "etc/logsink-client").mkdir(exist_ok=True)
        (root / "etc/logsink-client/identity").write_text('LOG_DEPLOY="by cloud-init"\nLOG_ROLE=web\n')
        with host.rsyslog():
            host.log("told")
            await_row(receiver.store, "told")
    finally:
        receiver.stop()


def await_row(store: str, text: str) -> None:
    """Until logsink has a message: rsyslogd that is stopped at once may never read it from its socket."""
    deadline = time.monotonic() + 60
    while not query(store, text):
        assert time.monotonic() < deadline, f"{text!r} did not arrive"
        threading.Event().wait(0.05)


def test_the_metadata_service_of_the_test_asks_for_a_token(tmp_path: Path) -> None:
    """Otherwise the test above would not show that the script has one."""
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{service.server_address[1]}/latest/meta-data/tags/instance/Deploy"
    done = subprocess.run(["curl", "--silent", "--fail", url], check=False)
    service.shutdown()
    service.server_close()
    assert done.returncode != 0


def commands() -> tuple[list[str], str, list[str]]:
    """The commands of "From nothing to 500 hosts" in docs/fleet.md, its server's settings, and what root runs on a host."""
    page = (Path(__file__).parents[2] / "docs/fleet.md").read_text(encoding="utf-8")
    section = page.partition("## From nothing to 500 hosts by cloud-init\n")[2].partition("\n## ")[0]
    toml, by_hand = (re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL)[0] for kind in ("toml", "sh"))
    return re.findall(r"^\$ (.*)$", section, re.MULTILINE), toml, by_hand.splitlines()


def test_from_nothing_to_a_fleet_by_the_documentation(tmp_path: Path) -> None:
    """Every command of the page, with three hosts for 500. A socket stands for the journal, which needs systemd."""
    words, settings, by_hand = commands()
    (tmp_path / "logsink.toml").write_text(settings)
    environ = os.environ | {"LOGSINK_STORE": f"file://{tmp_path}/store"}

    def shell(command: str) -> str:
        assert command.startswith("logsink ")
        line = shlex.join(COMMAND) + command.removeprefix("logsink").replace("--input journal", "--input socket")
        return subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    with Cable() as cable, named(cable, "logs.internal"):
        at = words.index("logsink serve -c logsink.toml --ready-file ready.json")
        for command in words[:at]:
            shell(command)
        serve = [*cable.command(cable.near), *COMMAND, *words[at].split()[1:]]
        with (tmp_path / "serve.log").open("wb") as log:
            server = subprocess.Popen(serve, cwd=tmp_path, env=environ, stderr=log, stdin=subprocess.DEVNULL)
        try:
            await_file(tmp_path / "ready.json", server)
            shell(words[at + 1])
            told = shell(f"{words[at + 2]} 2>&1")
            for number in range(3):
                host = Host(cable, tmp_path / f"host{number}", (tmp_path / "user-data.yaml").read_text())
                (tmp_path / f"host{number}/etc/machine-id").write_text(f"{number:032x}\n")
                with host.rsyslog():
                    host.log(f"hello from {number}")
                    await_row(environ["LOGSINK_STORE"], f"hello from {number}")
        finally:
            server.terminate()
            server.wait(60)
        hosts, found = (shell(command) for command in words[at + 3 :])
    assert [line.strip() for line in told.splitlines() if line.startswith("  ")] == by_hand
    for file in yaml.safe_load((tmp_path / "user-data.yaml").read_text())["write_files"]:
        assert (tmp_path / "web" / file["path"].lstrip("/")).read_text() == file["content"]
    assert (tmp_path / "host0/etc/rsyslog-tls/client.key").stat().st_mode & 0o777 == 0o600
    for number in range(3):
        assert f"{number:032x}" in hosts
        assert f"hello from {number}" in found


@contextmanager
def named(cable: Cable, name: str) -> Iterator[None]:
    """Let ``name`` be the near end in the far namespace: `ip netns exec` shows programs there a file of hosts of its own."""
    directory = Path("/etc/netns") / cable.far
    directory.mkdir(parents=True)
    try:
        (directory / "hosts").write_text(f"127.0.0.1 localhost\n{cable.NEAR} {name}\n")
        yield
    finally:
        shutil.rmtree(directory)


def await_file(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has made a file."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
