"""Syslog lines to measure with, made from nothing: ``python benchmarks/corpus.py 1000000 > corpus``. The same every time.

About 190 bytes a line: RFC 5424 with microseconds, 200 hosts, 30 programs, severities as they are seen in the wild, texts
with numbers and addresses in them.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta

_TEXTS = (
    "Accepted publickey for deploy from 10.{b}.{c}.{d} port {n} ssh2: ED25519 SHA256:{h}",
    "GET /api/v2/orders/{n} 200 {d}ms request_id={h} user={c} bytes={n} referer=https://shop.example.com/cart",
    "connection from 10.{b}.{c}.{d}:{n} closed after {c}s, {n} bytes read, {b} bytes written, reason: client went away",
    "job {h} finished in {n}ms: {c} rows, queue={b} worker={d} attempt=1 result=ok next run in 60s",
    "kernel: [{n}.{c}{b}] IN=eth0 OUT= SRC=10.{b}.{c}.{d} DST=10.0.0.1 LEN=60 TTL=64 PROTO=TCP SPT={n} DPT=443 SYN",
    "slow query ({d}ms): SELECT * FROM orders WHERE customer_id = {n} AND state = 'open' ORDER BY created LIMIT {c}",
)


def main(count: int) -> None:
    """Write ``count`` lines."""
    pick = random.Random(5424)
    hosts = [f"web-{n:03d}.prod.example.com" for n in range(200)]
    apps = [f"service-{n:02d}" for n in range(26)] + ["sshd", "nginx", "cron", "kernel"]
    when, write = datetime(2026, 1, 31, tzinfo=UTC), sys.stdout.write
    for _ in range(count):
        when += timedelta(microseconds=pick.randrange(1, 200))
        priority = pick.choice((8, 24, 32, 128)) + pick.choices((3, 4, 5, 6, 7), (1, 4, 10, 80, 5))[0]
        numbers = {
            "b": pick.randrange(256),
            "c": pick.randrange(256),
            "d": pick.randrange(256),
            "n": pick.randrange(1024, 65536),
        }
        text = pick.choice(_TEXTS).format(**numbers, h=f"{pick.getrandbits(64):016x}")
        stamp = when.isoformat(timespec="microseconds").replace("+00:00", "Z")
        write(
            f"<{priority}>1 {stamp} {pick.choice(hosts)} {pick.choice(apps)} {pick.randrange(100, 32768)} - - {text}\n"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
