"""Syslog lines to measure with, made from nothing: ``python -m benchmarks.corpus 1000000 > corpus``. The same every time.

A day of them, about 190 bytes a line: RFC 5424 with microseconds, or RFC 3164 as rsyslog forwards it; 200 hosts, 30 programs,
severities as they are seen in the wild, texts with numbers and addresses in them.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

_TEXTS = (
    "Accepted publickey for deploy from 10.{b}.{c}.{d} port {n} ssh2: ED25519 SHA256:{h}",
    "GET /api/v2/orders/{n} 200 {d}ms request_id={h} user={c} bytes={n} referer=https://shop.example.com/cart",
    "connection from 10.{b}.{c}.{d}:{n} closed after {c}s, {n} bytes read, {b} bytes written, reason: client went away",
    "job {h} finished in {n}ms: {c} rows, queue={b} worker={d} attempt=1 result=ok next run in 60s",
    "kernel: [{n}.{c}{b}] IN=eth0 OUT= SRC=10.{b}.{c}.{d} DST=10.0.0.1 LEN=60 TTL=64 PROTO=TCP SPT={n} DPT=443 SYN",
    "slow query ({d}ms): SELECT * FROM orders WHERE customer_id = {n} AND state = 'open' ORDER BY created LIMIT {c}",
)


def lines(count: int, form: str = "5424") -> Iterator[str]:
    """``count`` lines, each with its LF."""
    pick = random.Random(5424)
    hosts = [f"web-{n:03d}.prod.example.com" for n in range(200)]
    apps = [f"service-{n:02d}" for n in range(26)] + ["sshd", "nginx", "cron", "kernel"]
    when, step = datetime(2026, 1, 31, tzinfo=UTC), max(2, 2 * 86_400_000_000 // max(count, 1))
    for _ in range(count):
        when += timedelta(microseconds=pick.randrange(1, step))
        priority = pick.choice((8, 24, 32, 128)) + pick.choices((3, 4, 5, 6, 7), (1, 4, 10, 80, 5))[0]
        numbers = {
            "b": pick.randrange(256),
            "c": pick.randrange(256),
            "d": pick.randrange(256),
            "n": pick.randrange(1024, 65536),
        }
        text = pick.choice(_TEXTS).format(**numbers, h=f"{pick.getrandbits(64):016x}")
        host, app, procid = pick.choice(hosts), pick.choice(apps), pick.randrange(100, 32768)
        if form == "5424":
            stamp = when.isoformat(timespec="microseconds").replace("+00:00", "Z")
            yield f"<{priority}>1 {stamp} {host} {app} {procid} - - {text}\n"
        else:
            yield f"<{priority}>{when:%b} {when.day:2d} {when:%H:%M:%S} {host} {app}[{procid}]: {text}\n"


def corpus(count: int, form: str = "5424") -> bytes:
    """All of them."""
    return "".join(lines(count, form)).encode()


def main() -> None:
    """Write them to stdout."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("count", type=int)
    options.add_argument("--format", choices=("5424", "3164"), default="5424")
    given = options.parse_args()
    sys.stdout.writelines(lines(given.count, given.format))


if __name__ == "__main__":
    main()
