"""Every claim about speed, measured: ``make bench``; some of them: ``make bench ARGS="ingest start"``.

    python -m benchmarks [CLAIM]... [--quick]

Each claim is a command of its own, which says what it measures and how (``python -m benchmarks.ingest --help``). Here they run
one after the other; what each prints, its figures as JSON with the machine's description, and a plot of them are left in
``benchmarks/results/``. ``--quick``: one round each of few messages, to see that they run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.plot import bars

RESULTS = Path(__file__).parent / "results"


class Claim(NamedTuple):
    """What is to be shown, the module and arguments that measure it, the column to plot, arguments that make it quick.

    The column: list, label, value, unit.
    """

    title: str
    command: str
    plot: tuple[str, str, str, str]
    quick: str = "--rounds 1 --messages 100000"


_CPU = ("subjects", "subject", "cpu_s_per_million", "CPU s for a million messages")
_PEERS = "--only tcp --only rsyslog --only rsyslog-gzip --only syslog-ng --only victorialogs"
_TRANSPORTS = "--only tcp --only octet --only tls --only relp --only udp --only rsyslog-relp"

CLAIMS = {
    "ingest": Claim("From the socket to the table", f"ingest {_PEERS}", _CPU),
    "ingest-3164": Claim("From the socket to the table, RFC 3164", f"ingest --format 3164 {_PEERS}", _CPU),
    "transports": Claim("Every transport", f"ingest {_TRANSPORTS}", _CPU),
    "omrelp": Claim("A real rsyslogd, over RELP and over TCP", "omrelp", _CPU),
    "s3": Claim("S3 over HTTP, and the local store", "ingest --only tcp --only s3", _CPU),
    "connections-10": Claim("10 connections", f"ingest --connections 10 {_PEERS}", _CPU),
    "connections-1000": Claim("1,000 connections", f"ingest --connections 1000 {_PEERS}", _CPU),
    "workers": Claim("Two workers, and one", "ingest --connections 10 --only tcp --only workers", _CPU),
    "sustained": Claim(
        "20 million messages, as fast as they come",
        "sustained",
        ("tenths", "part", "resident", "MB"),
        "--messages 1000000",
    ),
    "datagrams": Claim(
        "Datagrams of 200 senders in turn, and of one",
        "datagrams",
        ("receivers", "senders", "cpu_s_per_million", _CPU[3]),
    ),
    "hostile": Claim(
        "Inputs made to exhaust memory", "hostile", ("inputs", "input", "peak_rss_mb", "MB at most"), "--scale 0.02"
    ),
    "stages": Claim("Each step by itself", "stages", ("steps", "step", "cpu_s_per_million", _CPU[3])),
    "layouts": Claim(
        "Other layouts of data files", "layouts", ("layouts", "layout", "mb_per_million", "MB a million messages")
    ),
    "merge": Claim("Small files merged", "compact", ("tables", "table", "cpu_s_per_million", _CPU[3])),
    "query": Claim("Questions", "query", ("questions", "question", "s", "s")),
    "growth": Claim(
        "Questions as the archive grows",
        "growth --s3",
        ("questions", "question", "s", "s"),
        "--rounds 1 --rows 100000 --days 2 --linked 2",
    ),
    "fleet": Claim(
        "Questions about a fleet over a year",
        "fleet",
        ("questions", "question", "s", "s"),
        "--rounds 1 --days 10 --hosts 30",
    ),
    "beside": Claim(
        "The same questions asked of others",
        "beside",
        ("questions", "question", "logsink", "s"),
        "--rounds 1 --rows 100000",
    ),
    "start": Claim("Until something happens", "start", ("commands", "command", "seconds", "s"), "--rounds 1"),
}


def run(name: str, claim: Claim, quick: bool) -> bool:
    """Measure one; whether it went well."""
    module, *arguments = claim.command.split()
    arguments += claim.quick.split() if quick else []
    figures = RESULTS / f"{name}.json"
    print(f"\n## {claim.title} ({name})\n", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--json", str(figures)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    if done.returncode:
        return False
    (RESULTS / f"{name}.md").write_text(f"# {claim.title}\n\n`{' '.join(command[1:-2])}`\n\n{done.stdout}")
    rows, label, value, unit = claim.plot
    values = [(str(row[label]), float(row[value])) for row in json.loads(figures.read_text())[rows]]
    (RESULTS / f"{name}.svg").write_text(bars(claim.title, unit, values))
    return True


def main() -> int:
    """Measure what is asked for; the number of claims that could not be."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("claims", nargs="*", choices=[*CLAIMS, []], metavar="CLAIM", help=", ".join(CLAIMS))
    options.add_argument("--quick", action="store_true")
    given = options.parse_args()
    RESULTS.mkdir(exist_ok=True)
    failed = [name for name in given.claims or CLAIMS if not run(name, CLAIMS[name], given.quick)]
    if failed:
        print(f"could not be measured: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
