"""``logsink serve``: run a receiver until it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from logsink.cli.options.settings import effective, options, parameter
from logsink.cli.startup import without_pandas
from logsink.config import SETTINGS
from logsink.errors import ConfigError

if TYPE_CHECKING:
    from logsink.config import Config
    from logsink.net import HandedSockets
    from logsink.receiver import Receiver, ServiceManager, Workers

    Announce = Callable[[Mapping[str, Sequence[str]], str | None], None]


@click.command()
@options(
    "store",
    "create",
    "workers",
    "listen.tcp",
    "listen.udp",
    "listen.relp",
    "listen.tls",
    "listen.relp_tls",
    "listen.http",
    "listen.share_ports",
)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="When ready, write the addresses in use to PATH as JSON.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="Format of the log on stderr.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="Least severity of the log on stderr.",
)
def command(
    config_file: Path | None, ready_file: Path | None, log_format: str, log_level: str, **parameters: object
) -> int:
    """Receive syslog, make it durable and archive it.

    Without configured listeners, the receiver opens TCP and UDP on 127.0.0.1:5514, RELP on 127.0.0.1:2514, and HTTP
    (/metrics, /healthz, /readyz) on 127.0.0.1:9514. Sockets that systemd passes (LISTEN_FDS) replace the addresses of their
    kind, and count as configured. SIGTERM or SIGINT drains and stops it, and so does closing its terminal; a second one, at
    least a second later, stops it at once.

    \b
    Examples:
      logsink serve
      logsink serve --store s3://my-logs/prod --relp 0.0.0.0:2514 --tcp 0.0.0.0:5514 --http 127.0.0.1:9514
    """
    from logsink.net import handed_sockets

    sockets = handed_sockets(os.environ, os.getpid())
    config = effective(config_file, parameters | _handed_addresses(sockets))
    if sockets and config.workers > 1:
        raise ConfigError(
            f"cannot share the sockets of LISTEN_FDS among {config.workers} workers: there is one socket for each address",
            hint="set workers = 1, or let logsink open the addresses itself",
        )
    if ready_file is not None:
        from logsink.receiver import prove_ready_file

        prove_ready_file(ready_file)
    import asyncio

    import uvloop

    from logsink import telemetry

    setup = partial(telemetry.setup, level=log_level, as_json=log_format == "json")
    setup()

    async def serve() -> int:
        from logsink.receiver import STOPPING, ServiceManager, remove_ready_file

        manager = ServiceManager(os.environ, os.getpid())
        announce = partial(_announce, manager, ready_file)
        several = config.workers > 1
        running: Receiver | Workers
        if several:
            running = _workers(config, partial(_begin_worker, setup), announce)
        else:
            running = _receiver(config, sockets, announce)
        loop = asyncio.get_running_loop()
        signals = Signals(running, loop.time, partial(manager.tell, STOPPING))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signals.take, number.name)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
            loop.add_signal_handler(signal.SIGHUP, signals.hang_up, _has_terminal())
        signs = loop.create_task(manager.keep_alive())
        try:
            return await running.run()
        finally:
            signs.cancel()
            if ready_file is not None:
                remove_ready_file(ready_file)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


def _handed_addresses(sockets: HandedSockets) -> dict[str, object]:
    """Return the addresses of sockets that systemd passed, as the parameters of the settings that they replace."""
    found: dict[str, list[str]] = {}
    for kind, address in sockets:
        found.setdefault(f"listen.{kind}", []).append(str(address))
    return {parameter(key): one if SETTINGS[key].kind.many else one[0] for key, one in found.items()}


def _announce(
    manager: ServiceManager, ready_file: Path | None, addresses: Mapping[str, Sequence[str]], http: str | None
) -> None:
    """Tell other programs that everything listens."""
    from logsink.receiver import READY

    if ready_file is not None:
        from logsink.receiver import write_ready_file

        write_ready_file(ready_file, addresses, http)
    manager.tell(READY)


def _receiver(config: Config, sockets: HandedSockets, announce: Announce) -> Receiver:
    without_pandas()
    from logsink.net import Ports
    from logsink.receiver import Receiver

    return Receiver(config, announce=announce, ports=Ports(config.listen, sockets))


def _workers(config: Config, setup: Callable[..., None], announce: Announce) -> Workers:
    from logsink.receiver import Workers  # without what only the processes of workers need

    return Workers(config, setup, announce)


def _begin_worker(setup: Callable[..., None], number: int) -> None:
    """Prepare the process of a worker."""
    setup(number)
    without_pandas()


def _has_terminal() -> bool:
    """Return whether somebody started it on a terminal. A stream that was closed is None."""
    return any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


class Signals:
    """Signals that stop a receiver: the first one drains it, a later one stops it at once.

    Signals within ``SAME`` seconds count as one: `timeout`, terminals and service managers signal a process, then its group.
    ``stopping`` is called with the first.
    """

    SAME = 1.0

    def __init__(
        self, running: Receiver | Workers, clock: Callable[[], float], stopping: Callable[[], object] = lambda: None
    ) -> None:
        self._running, self._clock, self._stopping = running, clock, stopping
        self._first: float | None = None

    def take(self, name: str) -> None:
        """Act on a signal of this name."""
        now = self._clock()
        if self._first is None:
            self._first = now
            self._stopping()
            self._running.stop(name)
        elif now - self._first >= self.SAME:
            self._running.hurry()

    def hang_up(self, terminal: bool) -> None:
        """Act on SIGHUP: a ``terminal`` was closed, or somebody wants a service to read its files again."""
        from logsink import telemetry

        if terminal:
            self.take("SIGHUP")
        else:
            telemetry.HUNG_UP.log()
