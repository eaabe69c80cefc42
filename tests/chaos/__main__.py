"""Scenarios of real processes under faults.

    python -m tests.chaos [--only NAME ...] [--nightly [--minutes M]] [--seed S]

All scenarios once take less than 5 minutes on two cores. `--nightly` plays them in turn with other draws until its time
is over. Ends with 1 when something did not hold; the line of a failure names the seed that draws the same again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import (  # noqa: F401 - registers their scenarios
    scenarios_leaders,
    scenarios_network,
    scenarios_peers,
    scenarios_poison,
    scenarios_reuse,
    scenarios_scheduler,
    scenarios_workers,
)
from tests.chaos.arena import undisturbed_numbers
from tests.chaos.scenario import SCENARIOS, Outcome, play
from xip_core.client.results import RunNumbers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=sorted(SCENARIOS), metavar="NAME", help="these scenarios")
    parser.add_argument("--nightly", action="store_true", help="again and again with drawn schedules")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long a nightly run lasts")
    parser.add_argument("--seed", type=int, default=0, help="first seed of the draws")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    options = parser.parse_args()
    chosen = [SCENARIOS[name] for name in options.only or SCENARIOS]
    if options.list:
        for each in chosen:
            print(f"{each.name}\n    injected: {each.injected}\n    must hold: {each.holds}")
        return 0
    with tempfile.TemporaryDirectory(prefix="xip-chaos-") as directory:
        undisturbed = undisturbed_numbers(Path(directory))
    begun_s = time.monotonic()
    outcomes: list[Outcome] = []
    seed = options.seed
    while True:
        for each in chosen:
            outcomes.append(play(each, undisturbed, seed, "nightly" if options.nightly else "once"))
            tell(outcomes[-1])
        seed += 1
        if not options.nightly or time.monotonic() - begun_s > 60.0 * options.minutes:
            break
    return conclude(outcomes, undisturbed, time.monotonic() - begun_s)


def tell(outcome: Outcome) -> None:
    """One block of the table, as soon as it is known."""
    verdict = "FAILED" if outcome.failure else "held"
    print(f"{verdict:6}  {outcome.scenario.name}  ({outcome.duration_s:.1f} s, seed {outcome.seed})")
    print(f"        injected:  {outcome.scenario.injected}")
    print(f"        must hold: {outcome.scenario.holds}")
    for name, figure in outcome.figures.items():
        print(f"        {name}: {figure}")
    if outcome.failure:
        print("        " + outcome.failure.replace("\n", "\n        "))
    sys.stdout.flush()


def conclude(outcomes: list[Outcome], undisturbed: RunNumbers, duration_s: float) -> int:
    failed = [outcome for outcome in outcomes if outcome.failure]
    again = "; again: python -m tests.chaos " + " ".join(
        f"--only {outcome.scenario.name} --seed {outcome.seed}" for outcome in failed[:3]
    )
    print(
        f"{len(outcomes)} scenarios in {duration_s:.0f} s, {len(failed)} failed; bytes compared with the undisturbed "
        f"run of {undisturbed.pv.size} cells" + (again if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
