"""Properties fed with random and mutated choices for as long as wanted: ``make fuzz``.

    python -m benchmarks.fuzz [relp] [framing] [inflate] [proxy] [parse] [--minutes 10] [--seed N]

Each property of the named modules (all without a name) runs in turn on inputs grown from those that it took before. The first
input that breaks one is printed, with the seed, and ends the run with exit code 1. So does one that hangs (where is printed),
and memory beyond what all of this needs.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import random
import resource
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

MODULES = {
    "relp": "tests.property.test_relp",
    "framing": "tests.unit.wire.test_framing",
    "inflate": "tests.unit.wire.test_inflate",
    "proxy": "tests.unit.wire.test_proxy",
    "parse": "tests.property.test_parse",
}
POOL = 500
"""Inputs of one property that are kept to grow others from."""

LONGEST = 4096
"""Octets of choices in one input."""

TURN = 1.0
"""Seconds until the next property has its turn."""

HANG = 120.0
"""Seconds after which a turn hangs: a single input takes milliseconds."""

MEMORY = 1 << 30
"""Bytes that the process may have held at most; it needs a fifth of them."""


class Property:
    """One property and the inputs it grows."""

    def __init__(self, name: str, test: Any) -> None:
        self.name, self.inputs, self.taken = name, 0, 0
        self._run: Callable[[bytes], bytes | None] = test.hypothesis.fuzz_one_input
        self._pool: list[bytes] = []

    def turn(self, chance: random.Random) -> None:
        """Run on new inputs for ``TURN`` seconds. Raises what the property raises."""
        end = time.monotonic() + TURN
        while time.monotonic() < end:
            self.inputs += 1
            taken = self._run(self._input(chance))
            if taken is not None:
                self.taken += 1
                if len(self._pool) < POOL:
                    self._pool.append(taken)
                else:
                    self._pool[chance.randrange(POOL)] = taken

    def _input(self, chance: random.Random) -> bytes:
        if not self._pool or chance.random() < 0.2:
            return chance.randbytes(chance.randrange(LONGEST))
        data = bytearray(chance.choice(self._pool))
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            at = chance.randrange(len(data) + 1)
            match chance.randrange(4):
                case 0:
                    data[at : at + 1] = chance.randbytes(1)
                case 1:
                    data[at:at] = chance.randbytes(chance.randrange(16))
                case 2:
                    del data[at : at + chance.randrange(16)]
                case _:
                    other = chance.choice(self._pool)
                    data[at:] = other[min(at, len(other)) :]
        return bytes(data[:LONGEST])


def properties(modules: list[str]) -> list[Property]:
    """Every property test of these modules."""
    found = []
    for module in modules:
        tests = vars(importlib.import_module(MODULES[module]))
        found += [Property(f"{module}: {name}", test) for name, test in tests.items() if hasattr(test, "hypothesis")]
    return found


def peak() -> int:
    """Bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main() -> int:
    """Fuzz; print what was run as JSON, one property a line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("modules", nargs="*", choices=[[], *MODULES], default=[])
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--seed", type=int, default=time.time_ns())
    given = options.parse_args()
    chance, end = random.Random(given.seed), time.monotonic() + 60 * given.minutes
    tests = properties(given.modules or list(MODULES))
    failed = False
    while not failed and time.monotonic() < end:
        for test in tests:
            faulthandler.dump_traceback_later(HANG, exit=True)
            try:
                test.turn(chance)
            except Exception:  # noqa: BLE001  whatever it is: that is what was looked for
                traceback.print_exc()
                failed = True
                break
        failed = failed or peak() > MEMORY
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps({"peak_memory": peak(), "allowed": MEMORY}))
    for test in tests:
        print(json.dumps({"property": test.name, "seed": given.seed, "inputs": test.inputs, "taken": test.taken}))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
