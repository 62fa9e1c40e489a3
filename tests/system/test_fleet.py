"""A fleet and what happens to it, told by `hosts`, `diff` and `audit`: three hosts, a name server, one log server at a time.

The hosts send 1,000 lines a second in all, over RELP with TLS, as `logsink client-config` and `logsink tls` have it.

::

    blue    web-3 is destroyed
    green   the name leads to another server, and the old one is drained
    away    there is no server; web-1 is restarted with another deploy, and rsyslogd of web-2 is killed and started again
    back    a server comes back, and everything is sent
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.lan import Lan
from tests.support.programs import require
from tests.support.receiver import COMMAND, PATIENCE, Receiver, query, run

AWAY = float(os.environ.get("AWAY", "20"))
"""Seconds without a server."""

USUAL_AWAY = 300.0
"""Seconds for which the usual sizes of rsyslog's queue are taken: half of what comes goes to disk."""

NAME, HOSTS, RATE = "logs.internal", ("web-1", "web-2", "web-3"), 1000
TICK = 0.02
ENDS = {
    ("web-1", 0): "stopped",
    ("web-1", 1): "served",
    ("web-2", 0): "killed",
    ("web-2", 1): "served",
    ("web-3", 0): "destroyed",
}
"""How each life of rsyslogd ends: stopped and killed while there is no server, destroyed, or when everything is sent."""

NUMBER = re.compile(r'boot="([^"]+)" seq="(\d+)"')

pytestmark = pytest.mark.slow


class Host:
    """One host: rsyslogd in its namespace, and an application that logs all the time."""

    def __init__(self, lan: Lan, root: Path, name: str, configuration: str) -> None:
        self.name, self.root, self.deploy = name, root, "d-1"
        self.sent: list[list[str]] = []
        """What the application has handed over in each life of rsyslogd."""
        self._lan = lan
        self._process: subprocess.Popen[bytes] | None = None
        self._may_log, self._paused, self._ended = threading.Lock(), False, threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._number = 0
        (root / "spool").mkdir(parents=True)
        (root / "rsyslog.conf").write_text(self._here(configuration))
        self._application = threading.Thread(target=self._log, name=f"application of {name}", daemon=True)
        self.pause()
        self._application.start()

    def start(self) -> None:
        """Start rsyslogd; the application goes on as soon as it can."""
        (self.root / "log").unlink(missing_ok=True)
        (self.root / "pid").unlink(missing_ok=True)
        if (self.root / "numbered").exists():  # and ends in the middle of a line, perhaps
            (self.root / "numbered").rename(self.root / f"numbered.{len(self.sent)}")
        words = [require("rsyslogd"), "-n", "-f", str(self.root / "rsyslog.conf"), "-i", str(self.root / "pid")]
        identity = {"LOG_DEPLOY": self.deploy, "LOG_INSTANCE": f"i-{self.name}", "LOG_BOOT": self.name}
        with (self.root / "rsyslogd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._lan.command(self.name), *words],
                env=os.environ | identity,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.sent.append([])
        self._socket.close()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        until(self._connected, f"rsyslogd of {self.name} does not start")
        self._resume()

    def pause(self) -> None:
        """Let the application say nothing until rsyslogd is started again."""
        if not self._paused:
            self._may_log.acquire()
            self._paused = True

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._may_log.release()

    def stop(self) -> None:
        """Let rsyslogd read everything, then end it as systemd would."""
        self.pause()
        last = self.sent[-1][-1]
        until(lambda: last in list(self.numbered().values())[-1].values(), "rsyslogd does not read everything")
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End rsyslogd while the application logs."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.pause()

    def end(self) -> None:
        """Leave nothing behind, whatever has happened."""
        self._ended.set()
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGKILL)
        self._resume()
        self._application.join()
        self._socket.close()

    def numbered(self) -> dict[str, dict[int, str]]:
        """What rsyslogd has given a number to, by life and number."""
        lives: dict[str, dict[int, str]] = {}
        for path in (*sorted(self.root.glob("numbered.*")), self.root / "numbered"):
            for line in path.read_text().split("\n")[:-1] if path.exists() else ():
                pair = NUMBER.search(line)
                assert pair, line
                lives.setdefault(pair[1], {})[int(pair[2])] = line[pair.end() :].removeprefix("] ")
        return lives

    def _connected(self) -> bool:
        try:
            self._socket.connect(str(self.root / "log"))
        except OSError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def _log(self) -> None:
        due, each = time.monotonic(), RATE / len(HOSTS) * TICK
        owed = 0.0
        while not self._ended.is_set():
            with self._may_log:
                owed += each
                while owed >= 1 and not self._ended.is_set():
                    owed -= 1
                    self._number += 1
                    text = self._text(self._number)
                    try:
                        self._socket.send(text.encode())
                    except OSError:  # rsyslogd is being killed
                        break
                    self.sent[-1].append(text.partition(": ")[2])
            due = max(due + TICK, time.monotonic() - 1)
            self._ended.wait(max(0.0, due - time.monotonic()))

    def _text(self, number: int) -> str:
        if self.deploy == "d-1":
            if number % 50 == 0:
                return f"<14>shop[1]: cache filled with {number} entries"
        elif number % 50 == 0:
            return f"<11>shop[1]: cannot charge card: gateway answers {500 + number % 3} to payment {number}"
        return f"<14>shop[1]: order {number} accepted by {self.name}"

    def _here(self, text: str) -> str:
        """The configuration for a place below ``root``, with a file that gets every message that has its number."""
        also = f'    action(type="omfile" file="{self.root}/numbered" template="numbered")\n'
        template = 'template(name="numbered" type="string" string="%$.logsink_relp%%msg:::sp-if-no-1st-sp%%msg%\\n")\n'
        changes = [
            ("/var/spool/rsyslog", f"{self.root}/spool"),
            ('"imuxsock" SysSock.RateLimit', f'"imuxsock" SysSock.Name="{self.root}/log" SysSock.RateLimit'),
            ("/etc/rsyslog.d/*.conf", f"{self.root}/none"),
            ('    action(\n        name="logsink-relp"', f'{also}    action(\n        name="logsink-relp"'),
            ("# RFC 5424. ", f"{template}# RFC 5424. "),
        ]
        for name, usual in (("size", 100_000), ("highWatermark", 60_000), ("lowWatermark", 10_000)):
            scaled = max(100, int(usual * min(1.0, AWAY / USUAL_AWAY)))
            changes.append((f'queue.{name}="{usual}"', f'queue.{name}="{scaled}"'))
        for there, here in changes:
            assert there in text, there
            text = text.replace(there, here)
        return text


class Story:
    """The machines of a test, and what they do one after another."""

    def __init__(self, lan: Lan, directory: Path, cleaning: ExitStack) -> None:
        self.lan, self.store, self.hosts = lan, f"file://{directory}/store", dict[str, Host]()
        self._directory = directory
        kit = directory / "tls"
        for words in (("init",), ("issue", "server", NAME), ("issue", "client", "web.internal")):
            logsink("tls", *words, "-d", str(kit))
        self._server, client = kit / "server" / NAME, kit / "client/web.internal"
        files = [
            f"--{each}={client}/{file}"
            for each, file in (("ca", "ca.crt"), ("cert", "client.crt"), ("key", "client.key"))
        ]
        arguments = ["--target", f"{NAME}:6514", "--tls", *files, "--role", "web", "--input", "socket"]
        text = logsink("client-config", "rsyslog", *arguments)
        for name in HOSTS:
            self.hosts[name] = Host(lan, directory / name, name, text)
            cleaning.callback(self.hosts[name].end)

    @contextmanager
    def server(self, name: str, address: str) -> Iterator[Receiver]:
        """A log server; its name leads to it as soon as it is ready."""
        tls = {"cert": "server.crt", "key": "server.key", "client_ca": "ca.crt"}
        settings = {f"tls__{key}": f"{self._server}/{file}" for key, file in tls.items()}
        settings |= {"tls__client_auth": "required", "tls__permitted_peers": "*.internal"}
        receiver = Receiver(self.store, self._directory / name, **settings)
        receiver.command = [*self.lan.command(), *receiver.command]
        receiver.host, receiver.listen = address, {"relp-tls": 6514, "http": 9514}
        receiver.launch()
        try:
            self.lan.run(receiver.await_ready)
            self.lan.names[NAME] = address
            yield receiver
        finally:
            receiver.stop()

    def received(self, receiver: Receiver, more: int = 1) -> None:
        """Wait until a server has received so many messages more."""
        count = self.lan.run(receiver.metric, "logsink_frames_total")
        self.lan.run(receiver.wait_for, "logsink_frames_total", count + more)

    def tell(self) -> None:
        """Let everything happen."""
        web_1, web_2, web_3 = self.hosts.values()
        blue, green = self.lan.CENTER
        with self.server("blue", blue) as old:
            for host in self.hosts.values():
                host.start()
            self.received(old, 3 * RATE)
            self.lan.destroy(web_3.name)
            web_3.kill()
            self.received(old, RATE)
            with self.server("green", green) as new:
                ready = self._directory / "blue/ready.json"
                logsink("drain", "--ready-file", str(ready), "--store", self.store, "--wait", before=self.lan.command())
                assert old.wait() == 0
                self.received(new, 2 * RATE)
                assert new.stop() == 0
        time.sleep(AWAY / 3)
        web_1.stop()
        web_1.deploy = "d-2"
        web_1.start()
        time.sleep(AWAY / 3)
        web_2.kill()
        web_2.start()
        time.sleep(AWAY / 3)
        with self.server("back", blue) as back:
            self.received(back, RATE)
            for host in (web_1, web_2):
                host.pause()
                until(
                    lambda host=host: self.has(host.sent[-1][-1]), f"the last message of {host.name} does not come", 300
                )
                host.stop()

    def has(self, text: str) -> bool:
        """Whether a message is found."""
        return bool(query(self.store, "-F", text, "-n", "1"))

    def found(self) -> dict[str, dict[int, str]]:
        """The messages of each life of rsyslogd by number, as a query finds them."""
        lives: dict[str, dict[int, str]] = {}
        for line in query(self.store, "-n", "0", "-o", "json").splitlines():
            row = json.loads(line)
            pair = NUMBER.search(row["structured_data"])
            assert pair
            assert lives.setdefault(pair[1], {}).setdefault(int(pair[2]), row["message"]) == row["message"]
        return lives


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with Lan(HOSTS) as lan, ExitStack() as cleaning:
        story = Story(lan, tmp_path_factory.mktemp("fleet"), cleaning)
        story.tell()
        yield story


def test_what_is_missing_is_what_audit_says(story: Story) -> None:
    """What rsyslogd has numbered is found, or in a hole, or behind the last number of a life that was killed.

    Nothing is lost when one server takes over from another, nor while there is none. But what omrelp (8.2302) has sent and
    nobody has acknowledged is only in its memory: a life that ends while there is no server takes it along, even one that is
    stopped in good order.
    """
    code, text = asked(story, "audit", "-j", "-q")
    audit = json.loads(text)
    holes = {(hole["boot"], n) for hole in audit["holes"] for n in range(hole["first"], hole["last"] + 1)}
    found = story.found()
    told: set[tuple[str, int]] = set()
    for host in story.hosts.values():
        lives = host.numbered()
        assert len(lives) == len(host.sent)
        for life, (boot, numbered) in enumerate(lives.items()):
            here, end = found[boot], ENDS[host.name, life]
            missing = set(range(1, max(here) + 1)) - set(here)
            behind = {n for n in numbered if n > max(here)}
            report = (
                f"{boot}, {end}: {len(host.sent[life]):,} sent, {len(numbered):,} numbered, {len(here):,} found, "
                f"{len(missing):,} in holes, {len(behind):,} behind the last number"
            )
            print(report)
            assert missing == {n for of, n in holes if of == boot}, report
            told |= {(boot, n) for n in missing}
            assert not missing or end != "served", report
            if end not in ("killed", "destroyed"):
                assert list(numbered) == list(range(1, len(numbered) + 1)), report
                assert set(host.sent[life]) <= set(numbered.values()), report
                assert not behind, report
            assert all(numbered.get(n, here[n]) == here[n] for n in here), report
    assert told == holes
    assert code == int(bool(holes))
    print(asked(story, "audit", "-q")[1])


def test_hosts_tells_who_vanished_and_what_it_said_last(story: Story) -> None:
    print(asked(story, "hosts", "-q", "--silent", "1s", "--last-words", "5")[1])
    code, text = asked(story, "hosts", "-q", "-j", "--silent", "1s")
    ends = {row["instance"]: (row["state"], row["deploy"]) for row in map(json.loads, text.splitlines())}
    assert ends == {"i-web-1": ("goodbye", "d-2"), "i-web-2": ("goodbye", "d-1"), "i-web-3": ("vanished", "d-1")}
    code, text = asked(story, "hosts", "-q", "-j", "--silent", "1s", "--vanished", "--last-words", "5")
    (gone,) = map(json.loads, text.splitlines())
    assert (code, gone["instance"]) == (1, "i-web-3")
    (boot,) = story.hosts["web-3"].numbered()
    of = story.found()[boot]
    assert [word["message"] for word in gone["last_words"]] == [of[n] for n in sorted(of)[-5:]]


def test_diff_tells_what_the_new_deploy_says(story: Story) -> None:
    question = ("diff", "-q", "--deploy", "d-1", "d-2", "-u", "shop", "--fail-on", "new-errors")
    print(asked(story, *question)[1])
    code, text = asked(story, *question, "-j")
    said = json.loads(text)
    assert code == 1
    assert (said["a"]["instances"], said["b"]["instances"]) == (3, 1)
    assert [(one["change"], one["error"], one["pattern"]) for one in said["changes"]] == [
        ("NEW", True, "cannot charge card: gateway answers * to payment *"),
        ("GONE", False, "cache filled with * entries"),
    ]


def asked(story: Story, command: str, *arguments: str) -> tuple[int, str]:
    """Exit code of a question, and its answer."""
    done = run(command, "--store", story.store, *arguments)
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.returncode, done.stdout.decode()


def logsink(*words: str, before: Sequence[str] = ()) -> str:
    """What a command prints that must succeed."""
    done = subprocess.run([*before, *COMMAND, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait for something of which nobody is told."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
