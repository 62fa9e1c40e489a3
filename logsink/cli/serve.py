"""``logsink serve``: run a receiver until it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from logsink.cli.light import without_pandas
from logsink.cli.settings import effective, options

if TYPE_CHECKING:
    from logsink.config import Config
    from logsink.serve import Receiver
    from logsink.workers import Workers


@click.command()
@options("store", "workers", "listen.tcp", "listen.udp", "listen.relp", "listen.tls", "listen.relp_tls", "listen.http")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Once ready, write the addresses in use there, as JSON.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="How log lines look on stderr.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="Least severity of log lines.",
)
def command(config_file: Path | None, ready_file: Path | None, log_format: str, log_level: str, **given: object) -> int:
    """Receive syslog, make it durable, archive it.

    Without any listener configured, TCP and UDP open on 127.0.0.1:5514, RELP on 127.0.0.1:2514, and HTTP (/metrics, /healthz,
    /readyz) on 127.0.0.1:9514. SIGTERM and SIGINT drain and stop; a second one stops at once.

    \b
    Examples:
      logsink serve
      logsink serve --store s3://my-logs/prod --relp 0.0.0.0:2514 --tcp 0.0.0.0:5514 --http 127.0.0.1:9514
    """
    config = effective(config_file, given)
    import asyncio

    import uvloop

    from logsink import telemetry

    setup = partial(telemetry.setup, level=log_level, as_json=log_format == "json")
    setup()

    async def serve() -> int:
        several = config.workers > 1
        running = _workers(config, partial(_worker, setup), ready_file) if several else _receiver(config, ready_file)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _signalled, running, number.name)
        return await running.run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


def _receiver(config: Config, ready_file: Path | None) -> Receiver:
    without_pandas()
    from logsink.net.listening import write_ready_file
    from logsink.serve import Receiver

    return Receiver(config, announce=partial(write_ready_file, ready_file) if ready_file else None)


def _workers(config: Config, setup: Callable[..., None], ready_file: Path | None) -> Workers:
    from logsink.workers import Workers  # nothing of what receives is needed in the process that holds them together

    return Workers(config, setup, ready_file=ready_file)


def _worker(setup: Callable[..., None], number: int) -> None:
    """Begin a worker's process."""
    setup(number)
    without_pandas()


def _signalled(running: Receiver | Workers, name: str) -> None:
    if running.stopping:
        running.hurry()
    else:
        running.stop(name)
