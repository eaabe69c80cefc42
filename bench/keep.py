"""Keep a benchmark's JSON in bench/results: without the single rounds and without what names the machine's owner.

    python -m bench.keep FILE...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def keep(path: Path) -> None:
    """Rewrite *path* with the figures and what they were measured on."""
    report = json.loads(path.read_text())
    machine = report["machine_info"]
    cpu = machine.get("cpu", {})
    kept = {
        "datetime": report["datetime"],
        "pytest_benchmark": report["version"],
        "machine": {
            "cpu": cpu.get("brand_raw"),
            "cores": cpu.get("count"),
            "python": machine.get("python_version"),
            "system": f"{machine.get('system')} {machine.get('machine')}",
        },
        "benchmarks": [
            {
                "name": benchmark["name"],
                "stats_s": {
                    name: benchmark["stats"][name] for name in ("min", "median", "mean", "max", "stddev", "rounds")
                },
                "extra_info": benchmark["extra_info"],
            }
            for benchmark in report["benchmarks"]
        ],
    }
    path.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        keep(Path(name))
