"""xip_core.kernels.level: the choice of a build, and that the choice never changes a number."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.core.kernels.levels import LEVELS, evaluate_at
from tests.core.kernels.test_european import EUROPEAN, book
from xip_core.kernels.level import (
    V2_FLAGS,
    V3_FLAGS,
    V4_FLAGS,
    choose_level,
    load_module,
    read_cpu_flags,
    supported_levels,
)

ROWS = 1000


@pytest.mark.parametrize("name", EUROPEAN)
def test_every_level_gives_the_same_bytes(name: str) -> None:
    columns = book(name, ROWS)
    columns["time"][::97] = 0.0
    columns["strike"][::89] = np.nan
    results = {}
    for level in LEVELS:
        value = evaluate_at(level, name, columns)
        results[level] = b"".join(array.tobytes() for array in value.values())
    assert len(set(results.values())) == 1, sorted(results)


def test_every_level_gives_the_same_bytes_for_credit() -> None:
    random = np.random.default_rng(3)
    columns = {
        "notional": random.uniform(1e5, 1e7, ROWS),
        "coupon": random.uniform(0.0, 0.05, ROWS),
        "time": random.uniform(0.0, 15.0, ROWS),
        "period": np.full(ROWS, 0.25),
        "rate": random.uniform(-0.02, 0.08, ROWS),
        "hazard_rate": random.uniform(-0.01, 0.3, ROWS),
        "recovery": random.uniform(0.0, 1.0, ROWS),
    }
    results = {
        level: b"".join(array.tobytes() for array in evaluate_at(level, "credit.cds_flat", columns).values())
        for level in LEVELS
    }
    assert len(set(results.values())) == 1, sorted(results)


@pytest.mark.parametrize("name", EUROPEAN)
@pytest.mark.parametrize("level", LEVELS)
def test_a_row_has_the_same_bytes_wherever_blocks_begin(name: str, level: str) -> None:
    columns = book(name, ROWS)
    whole = evaluate_at(level, name, columns)
    for begin, end in [(0, 1), (1, 8), (3, 260), (255, 257), (256, 1000), (999, 1000)]:
        part = evaluate_at(level, name, {column: values[begin:end].copy() for column, values in columns.items()})
        for output, values in part.items():
            assert values.tobytes() == whole[output][begin:end].tobytes(), (output, begin, end)


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", V4_FLAGS, ("v2", "v3", "v4")),
        ("x86_64", V3_FLAGS | {"avx512f"}, ("v2", "v3")),
        ("x86_64", V2_FLAGS, ("v2",)),
        ("x86_64", frozenset({"sse2"}), ()),
        ("aarch64", frozenset(), ("arm64",)),
    ],
)
def test_levels_follow_from_cpu_flags(machine: str, flags: frozenset[str], expected: tuple[str, ...]) -> None:
    assert supported_levels(machine, flags) == expected


def test_best_supported_level_is_chosen_unless_another_is_forced() -> None:
    assert choose_level(None, ("v2", "v3")) == "v3"
    assert choose_level("", ("v2", "v3")) == "v3"
    assert choose_level("v2", ("v2", "v3")) == "v2"


@pytest.mark.parametrize("forced", ["v4", "avx2", "V3"])
def test_forced_level_that_cannot_run_is_refused(forced: str) -> None:
    with pytest.raises(RuntimeError, match=f"XIP_CPU_LEVEL must be one of v2, v3 on this machine, got '{forced}'"):
        choose_level(forced, ("v2", "v3"))


def test_cpu_too_old_for_any_level_is_refused() -> None:
    with pytest.raises(RuntimeError, match="this one is older"):
        choose_level(None, ())


def test_cpu_flags_are_those_of_the_first_processor(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert read_cpu_flags(cpuinfo) == {"fpu", "avx2", "fma"}
    cpuinfo.write_text("processor\t: 0\n")
    assert read_cpu_flags(cpuinfo) == frozenset()


def run_python(code: str, level: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XIP_CPU_LEVEL": level}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_environment_variable_forces_a_level() -> None:
    code = """
import sys, xip_core
from xip_core.kernels import level, terms
xip_core.evaluate("bachelier.european", forward=1, strike=1, time=1, normal_volatility=1, discount=1, is_call=1)
print(level.cpu_level(), *sorted(name for name in sys.modules if name.startswith("xip_core.kernels._")))
"""
    done = run_python(code, LEVELS[0])
    package = f"xip_core.kernels._{LEVELS[0]}"
    assert done.stdout.split() == [LEVELS[0], package, f"{package}.bachelier", f"{package}.terms"], done.stderr


def test_unknown_level_in_the_environment_is_refused() -> None:
    done = run_python("from xip_core.kernels import terms", "v9")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("on this machine, got 'v9'")


def test_module_that_is_not_built_says_how_to_build_it() -> None:
    with pytest.raises(ImportError, match=r"must be built: run `pip install -e \.`"):
        load_module("equity", "v0")
