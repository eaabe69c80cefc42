"""Run schedules: `python -m tests.simulation --seeds N --from S [--mutation NAME] [--jobs J] [--story SEED]`.

Ends with 1 when a checker objected, when two executions of one seed differ, when a named rare state was never reached,
or when not all seeds were done `--within` the seconds given or with fewer than `--faults` injected. A failing seed is
told as its shortest story that still fails.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.simulation.mutations import find, planted
from tests.simulation.probes import REQUIRED
from tests.simulation.shrink import shortest
from tests.simulation.world import Outcome, run_seed

REPOSITORY = Path(__file__).resolve().parents[2]
REPLAYED_ONE_IN = 20
SEEDS_PER_TASK = 25
FAILURES_TOLD = 3


def run_seeds(seeds: range, mutation_name: str) -> list[Outcome]:
    """Outcomes without their stories."""
    with planted(find(mutation_name)):
        outcomes = [run_seed(seed) for seed in seeds]
    for outcome in outcomes:
        outcome.story = []
        if outcome.violation:
            print(f"seed {outcome.seed}: {outcome.violation}", file=sys.stderr, flush=True)
    return outcomes


def traces_elsewhere(seeds: list[int], mutation_name: str, hash_seed: str) -> dict[int, int]:
    """Fingerprints of *seeds*, executed by another interpreter with another hash seed."""
    command = [sys.executable, "-m", "tests.simulation", "--traces", json.dumps(seeds), "--mutation", mutation_name]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    answer = subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True)
    return {int(seed): trace for seed, trace in json.loads(answer.stdout).items()}


def differing_seeds(outcomes: list[Outcome], mutation_name: str) -> list[int]:
    """Seeds whose second execution took another course (L8)."""
    hash_seed = "78" if os.environ.get("PYTHONHASHSEED") == "77" else "77"
    traces = traces_elsewhere([outcome.seed for outcome in outcomes], mutation_name, hash_seed)
    return [outcome.seed for outcome in outcomes if traces[outcome.seed] != outcome.trace]


def run_all(seeds: range, mutation_name: str, job_count: int, within_s: float) -> list[Outcome]:
    """Outcomes by seed, of as many as could be begun *within_s*."""
    parts = [seeds[begin : begin + SEEDS_PER_TASK] for begin in range(0, len(seeds), SEEDS_PER_TASK)]
    until_s = time.perf_counter() + within_s
    outcomes: list[Outcome] = []
    if job_count == 1:
        for part in parts:
            if time.perf_counter() < until_s:
                outcomes += run_seeds(part, mutation_name)
        return outcomes
    with ProcessPoolExecutor(job_count) as pool:
        results = [pool.submit(run_seeds, part, mutation_name) for part in parts]
        for result in results:
            if time.perf_counter() >= until_s:
                pool.shutdown(cancel_futures=True)
            if not result.cancelled():
                outcomes += result.result()
    return outcomes


def report(outcomes: list[Outcome], elapsed_s: float) -> list[str]:
    """Print the figures; the names of rare states nobody reached."""
    injected: Counter[str] = Counter()
    probes: Counter[str] = Counter()
    for outcome in outcomes:
        injected += outcome.injected
        probes += outcome.probes
    fault_count = sum(injected.values())
    print(f"{len(outcomes)} schedules in {elapsed_s:.1f} s: {len(outcomes) / elapsed_s:.1f} a second")
    print(f"{fault_count} faults, {fault_count / len(outcomes):.0f} a schedule; {sum(o.calls for o in outcomes)} calls")
    print(f"longest way to the end after the heal: {max(o.healed_after_s for o in outcomes):.0f} s")
    for title, counter in (("faults", injected), ("rare states", probes)):
        print(f"{title}:")
        for name, count in sorted(counter.items(), key=lambda item: -item[1]):
            print(f"  {count:9} {name}")
    return sorted(name for name in REQUIRED if not probes[name])


def tell(outcome: Outcome, mutation_name: str) -> None:
    print(f"seed {outcome.seed}: {outcome.violation}")
    with planted(find(mutation_name)):
        story = shortest(outcome.seed)
    print("\n".join(f"    {line}" for line in story))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=200, help="how many schedules (%(default)s)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="first seed (%(default)s)")
    parser.add_argument("--mutation", default="", help="plant this bug first")
    parser.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument("--within", type=float, default=math.inf, help="seconds for all schedules (no bound)")
    parser.add_argument("--faults", type=int, default=0, help="so many must be injected in all (%(default)s)")
    parser.add_argument("--story", type=int, help="shrink this seed and tell its story")
    parser.add_argument("--traces", help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        find(options.mutation)
    except ValueError as error:
        parser.error(f"{error}; python -m tests.simulation.mutations prints them")
    return options


def main() -> int:
    options = arguments()
    if options.traces:
        seeds = json.loads(options.traces)
        outcomes = [outcome for seed in seeds for outcome in run_seeds(range(seed, seed + 1), options.mutation)]
        print(json.dumps({outcome.seed: outcome.trace for outcome in outcomes}))
        return 0
    if options.story is not None:
        outcomes = run_seeds(range(options.story, options.story + 1), options.mutation)
        tell(outcomes[0], options.mutation)
        return 0
    begun_s = time.perf_counter()
    seeds = range(options.first, options.first + options.seeds)
    outcomes = run_all(seeds, options.mutation, options.jobs, options.within)
    elapsed_s = time.perf_counter() - begun_s
    unreached = report(outcomes, elapsed_s)
    replayed = outcomes[::REPLAYED_ONE_IN]
    differing = differing_seeds(replayed, options.mutation)
    print(f"{len(replayed)} executed again under another hash seed, {len(differing)} differed {differing[:5]}")
    failed = [outcome for outcome in outcomes if outcome.violation]
    for outcome in failed[:FAILURES_TOLD]:
        tell(outcome, options.mutation)
    print(f"{len(failed)} schedules failed; never reached: {', '.join(unreached) or 'nothing'}")
    fault_count = sum(sum(outcome.injected.values()) for outcome in outcomes)
    is_short = len(outcomes) < options.seeds or fault_count < options.faults
    if is_short:
        wanted = f"{options.seeds} schedules within {options.within:g} s and {options.faults} faults"
        print(f"too few: {len(outcomes)} schedules and {fault_count} faults, must be {wanted}")
    return 1 if failed or differing or unreached or is_short else 0


if __name__ == "__main__":
    sys.exit(main())
