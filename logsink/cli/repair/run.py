"""A run of ``logsink repair``, which prints a line for everything that it does, or would do."""

from __future__ import annotations

import asyncio

import click

from logsink import telemetry
from logsink.characters import harmless
from logsink.cli.terminal.progress import showing
from logsink.cli.verify.run import text
from logsink.config import Config
from logsink.integrity import Progress, Repair, verify
from logsink.store import open_store


def run(config: Config, *, apply: bool, quick: bool, quiet: bool) -> int:
    """Plan a repair, or do it, and print the steps. Return the exit code."""
    telemetry.setup(level="error" if apply else "critical")  # a trial loses and moves nothing
    return asyncio.run(_run(config, apply=apply, quick=quick, quiet=quiet))


async def _run(config: Config, *, apply: bool, quick: bool, quiet: bool) -> int:
    progress = Progress()
    async with open_store(config.store) as store:
        repair = Repair(store, config.archive, quick=quick, settle=config.archive.max_age, progress=progress)
        async with showing("repairing" if apply else "checking", progress, enabled=not quiet):
            steps = await (repair.apply() if apply else repair.plan())
        for step in steps:
            click.echo(harmless(step.done if apply else f"would {step.what}"))
        if not apply:
            nothing = "nothing is damaged" if repair.found.intact else "nothing can be mended: see `logsink verify`"
            click.echo("run it with --apply to do this" if steps else nothing)
            return 2 if steps or not repair.found.intact else 0
        found = await verify(store)
        for line in text(found):
            click.echo(harmless(line))
        return 0 if found.intact else 2
