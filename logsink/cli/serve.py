"""``logsink serve``: run a receiver until it is told to stop."""

from __future__ import annotations

from pathlib import Path

import click

from logsink.cli.settings import effective, options


@click.command()
@options("store", "listen.tcp", "listen.udp", "listen.relp", "listen.tls", "listen.relp_tls", "listen.http")
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
    from logsink.serve import Receiver

    telemetry.setup(level=log_level, as_json=log_format == "json")

    async def serve() -> int:
        return await Receiver(config, ready_file=ready_file).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())
