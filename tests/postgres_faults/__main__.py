"""`python -m tests.postgres_faults [--seeds N] [--from S] [--steps K] [--planted]`

Stories on a private server; ends with 1 on a complaint, on a fault that no story reached, or, with --planted, on a bug
that no story caught.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.postgres.server import PrivateServer, find_binaries
from tests.postgres_faults.planted import PLANTED, planted
from tests.postgres_faults.story import Story
from xip_scheduler.logs import configure_logs

FAULTS = (
    "cut before", "cut after", "pg_terminate_backend", "pg_cancel_backend", "long lock", "deadlock", "crash", "goodbye",
    "takeover", "takeover in commit", "takeover against the row lock",
)  # fmt: skip
PLANTED_SEEDS_MAX = 40


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.postgres_faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20, help="faults of a story")
    parser.add_argument("--planted", action="store_true", help="catch the planted bugs instead")
    options = parser.parse_args()
    configure_logs("critical")
    binaries = find_binaries()
    if binaries is None:
        print("no PostgreSQL server on this machine: install one (Debian: apt-get install postgresql)")
        return 1
    with PrivateServer(binaries) as server:
        if options.planted:
            return _catch(server, options.steps)
        return _tell(server, range(options.first, options.first + options.seeds), options.steps)


def _tell(server: PrivateServer, seeds: range, step_count: int) -> int:
    reached: Counter[str] = Counter()
    begun_s = time.monotonic()
    failed = 0
    for seed in seeds:
        complaints = Story(server, server.new_database(), seed, reached).tell(step_count)
        failed += bool(complaints)
        for complaint in complaints[:10]:
            print(f"seed {seed}: {complaint}", flush=True)
    elapsed_s = time.monotonic() - begun_s
    struck = sum(reached[fault] for fault in FAULTS)
    print(f"{len(seeds)} stories, {struck} faults, {failed} failed, {elapsed_s:.0f} s")
    for fault in FAULTS:
        print(f"    {fault:32}{reached[fault]:8}{'' if reached[fault] else '  NOT REACHED'}")
    return int(failed > 0 or not all(reached[fault] for fault in FAULTS))


def _catch(server: PrivateServer, step_count: int) -> int:
    missed = 0
    for name in PLANTED:
        caught = None
        with planted(name):
            for seed in range(PLANTED_SEEDS_MAX):
                complaints = Story(server, server.new_database(), seed, Counter()).tell(step_count)
                if complaints:
                    caught = complaints[0]
                    break
        missed += caught is None
        print(f"{name:24} {'MISSED' if caught is None else f'caught by story {seed + 1}: {caught}'}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
