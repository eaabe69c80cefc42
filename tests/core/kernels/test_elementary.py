"""xip_core/kernels/elementary.h: accuracy over the whole domain, limits, and the same bytes on arm64."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from tests.core.kernels.derive_coefficients import coefficients, mills, split
from tests.core.kernels.levels import LEVELS, apply_at
from xip_core.kernels.level import load_module

REPOSITORY = Path(__file__).parents[3]
HEADER = REPOSITORY / "xip_core" / "kernels" / "elementary.h"
ULP_MAX = 2.0
SAMPLES = 1500
BEST = LEVELS[-1]


def samples(*ranges: tuple[float, float], log2: bool = False, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    parts = [random.uniform(low, high, SAMPLES) for low, high in ranges]
    values = np.concatenate(parts)
    return np.exp2(values) if log2 else values


def worst_ulps(function: str, exact: Callable[..., mp.mpf], *columns: np.ndarray) -> float:
    """Largest distance from the exact value in units of the exact value's last place."""
    computed = apply_at(BEST, function, *columns)
    worst = 0.0
    with mp.workprec(160):
        for value, *arguments in zip(computed.tolist(), *[column.tolist() for column in columns], strict=True):
            truth = exact(*[mp.mpf(argument) for argument in arguments])
            worst = max(worst, float(abs(mp.mpf(value) - truth) / mp.mpf(math.ulp(float(truth)))))
    return worst


def test_exp_is_within_two_ulp_from_underflow_to_overflow() -> None:
    x = samples((-745.1, 709.78), (-1.0, 1.0), (-0.35, 0.35), (-745.1, -708.0))
    assert worst_ulps("exp_", mp.exp, x) <= ULP_MAX


def test_log_is_within_two_ulp_for_normal_and_subnormal_numbers() -> None:
    x = np.concatenate([samples((-1074, 1023.99), (-1074, -1022), log2=True), samples((0.5, 2.0), (0.999, 1.001))])
    assert worst_ulps("log_", mp.log, x) <= ULP_MAX


def test_log_ratio_is_within_two_ulp_also_where_the_ratio_is_near_one() -> None:
    a = np.concatenate([samples((-1021, 1023.9), log2=True), samples((0.5, 2.0), (99.99, 100.01), (1e-300, 3e-300))])
    b = np.concatenate(
        [samples((-1021, 1023.9), log2=True, seed=2), samples((0.5, 2.0), (99.99, 100.01), (1e-300, 3e-300), seed=2)]
    )
    assert worst_ulps("log_ratio", lambda p, q: mp.log(p / q), a, b) <= ULP_MAX


def test_normal_pdf_is_within_two_ulp_into_the_subnormals() -> None:
    assert worst_ulps("normal_pdf", mp.npdf, samples((-38.5, 38.5), (-3.0, 3.0), (37.4, 38.5))) <= ULP_MAX


def test_normal_cdf_is_within_two_ulp_relative_in_both_tails() -> None:
    x = samples((-38.4, 9.0), (-3.0, 3.0), (-1.0, 0.2), (-38.4, -37.0))
    assert worst_ulps("normal_cdf", lambda value: mp.erfc(-value / mp.sqrt(2)) / 2, x) <= ULP_MAX


def test_mills_ratio_is_within_two_ulp() -> None:
    near, far = samples((0.0, 39.0), (0.0, 3.0), (38.0, 100.0)), samples((-60.0, 5.0), (5.0, 330.0), log2=True)
    x = np.concatenate([near, far])
    assert worst_ulps("mills_ratio", mills, x) <= ULP_MAX


def angles() -> np.ndarray:
    """Ordinary angles, large ones, tiny ones, and the doubles next to multiples of pi / 2."""
    multiples = np.concatenate([np.arange(1.0, 400.0), samples((400.0, 6.8e8)).round()])
    near = np.concatenate([np.nextafter(multiples * (np.pi / 2), end) for end in (-np.inf, np.inf)])
    tiny = samples((-300.0, 0.0), log2=True)
    spread = samples((-4.0, 4.0), (-400.0, 400.0), (-(2.0**30), 2.0**30))
    return np.concatenate([spread, multiples * (np.pi / 2), near, tiny])


def test_sin_and_cos_are_within_two_ulp_also_next_to_their_zeros() -> None:
    x = angles()
    x = x[np.abs(x) <= 2.0**30]
    assert worst_ulps("sin_", mp.sin, x) <= ULP_MAX
    assert worst_ulps("cos_", mp.cos, x) <= ULP_MAX


def test_an_angle_out_of_range_has_no_sine() -> None:
    for x in (2.0**30 + 1.0, -1e300, math.inf, -math.inf, math.nan):
        assert np.isnan(apply_at(BEST, "sin_", np.array([x]))).all()
        assert np.isnan(apply_at(BEST, "cos_", np.array([x]))).all()


def test_atan2_is_within_two_ulp_in_every_octant() -> None:
    octaves = (-300.0, 300.0)
    x = np.concatenate([samples((-1.0, 1.0)), samples(octaves, log2=True), np.ones(SAMPLES)])
    y = np.concatenate([samples((-1.0, 1.0), seed=2), samples(octaves, log2=True, seed=2), samples((-3.0, 3.0))])
    x, y = np.concatenate([x, -x, y]), np.concatenate([y, y, x])
    assert worst_ulps("atan2_", mp.atan2, y, x) <= ULP_MAX


def test_atan2_on_the_axes() -> None:
    y, x = np.array([0.0, 0.0, 1.0, -1.0, 0.0, 2.0]), np.array([3.0, -3.0, 0.0, 0.0, 0.0, 2.0])
    expected = [0.0, math.pi, math.pi / 2, -math.pi / 2, 0.0, math.pi / 4]
    for level in LEVELS:
        assert apply_at(level, "atan2_", y, x).tolist() == expected
    for pair in ((math.nan, 1.0), (1.0, math.nan)):
        assert np.isnan(apply_at(BEST, "atan2_", np.array([pair[0]]), np.array([pair[1]]))).all()


@pytest.mark.parametrize(
    ("function", "argument", "expected"),
    [
        ("exp_", 0.0, 1.0),
        ("exp_", -math.inf, 0.0),
        ("exp_", -746.0, 0.0),
        ("exp_", -745.13, 5e-324),
        ("exp_", 709.79, math.inf),
        ("exp_", math.inf, math.inf),
        ("log_", 1.0, 0.0),
        ("log_", 0.0, -math.inf),
        ("log_", -0.0, -math.inf),
        ("log_", math.inf, math.inf),
        ("normal_pdf", math.inf, 0.0),
        ("normal_pdf", -39.5, 0.0),
        ("normal_cdf", 0.0, 0.5),
        ("normal_cdf", math.inf, 1.0),
        ("normal_cdf", 8.5, 1.0),
        ("normal_cdf", -math.inf, 0.0),
        ("normal_cdf", -39.0, 0.0),
        ("sin_", 0.0, 0.0),
        ("cos_", 0.0, 1.0),
        ("cos_", 5e-324, 1.0),
    ],
)
def test_limit_is_exact(function: str, argument: float, expected: float) -> None:
    for level in LEVELS:
        assert apply_at(level, function, np.array([argument])).tolist() == [expected]


@pytest.mark.parametrize("function", ["exp_", "log_", "normal_pdf", "normal_cdf", "mills_ratio"])
def test_nan_gives_nan(function: str) -> None:
    for level in LEVELS:
        assert np.isnan(apply_at(level, function, np.array([np.nan]))).all()
    if function == "log_":
        assert np.isnan(apply_at(BEST, function, np.array([-1.0, -math.inf]))).all()


def test_coefficients_in_the_header_are_the_derived_ones() -> None:
    text = HEADER.read_text()
    for function, values in coefficients().items():
        body = text[text.index(f"XIP_INLINE double {function}(") :]
        body = body[: body.index("\n}\n")]
        found = [
            float.fromhex(match) if "x" in match else float(match)
            for match in re.findall(r"(?:even|odd) = (?:__builtin_fma\(\w+, \w+, )?(-?[0-9][0-9a-fx.p+-]*)", body)
        ]
        assert found == split(values), function


def inputs_of(function: str) -> tuple[np.ndarray, ...]:
    """Ordinary, extreme and special arguments; NaN left out, its payload is not specified."""
    special = np.array([0.0, -0.0, math.inf, -math.inf, 1.0, 5e-324, 1e308])
    spread = np.concatenate([samples((-1074, 1023.9), log2=True, seed=3), samples((-750, 750), (-3, 3), seed=3)])
    if function == "log_ratio":
        a = samples((-1021, 1023.9), (-1, 1), log2=True, seed=4)
        return a, samples((-1021, 1023.9), (-1, 1), log2=True, seed=5)
    if function == "atan2_":
        return samples((-300, 300), (-1, 1), log2=True, seed=4), samples((-2.0, 2.0), (-1e9, 1e9), seed=5)
    values = np.concatenate([special, spread])
    if function in ("sin_", "cos_"):
        return (np.concatenate([values[np.abs(values) <= 2.0**30], angles()]),)
    return (np.abs(values) if function in ("log_", "mills_ratio") else values,)


@pytest.mark.parametrize("function", sorted(load_module("elementary").COLUMNS))
def test_every_level_gives_the_same_bytes(function: str) -> None:
    columns = inputs_of(function)
    results = {level: apply_at(level, function, *columns).tobytes() for level in LEVELS}
    assert set(results.values()) == {results[BEST]}, sorted(results)


HARNESS = """
#include <stdio.h>
#include "elementary.h"

int main(void)
{
    double in[2], out[9];

    while (fread(in, sizeof(double), 2, stdin) == 2) {
        out[0] = exp_(in[0]);
        out[1] = log_(in[0]);
        out[2] = log_ratio(in[1], 1.0 + in[1]);
        out[3] = normal_pdf(in[0]);
        out[4] = normal_cdf(in[0]);
        out[5] = mills_ratio(in[1]);
        out[6] = sin_(in[1]);
        out[7] = cos_(in[1]);
        out[8] = atan2_(in[0], in[1]);
        fwrite(out, sizeof(double), 9, stdout);
    }
    return 0;
}
"""


def test_arm64_gives_the_same_bytes_as_this_machine(tmp_path: Path) -> None:
    tools = {"aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu", "qemu-aarch64": "qemu-user"}
    absent = [package for command, package in tools.items() if shutil.which(command) is None]
    if absent:
        pytest.skip(f"needs the Debian packages {', '.join(absent)} and libc6-dev-arm64-cross; CI installs them")
    source = tmp_path / "harness.c"
    source.write_text(HARNESS)
    program = tmp_path / "harness"
    flags = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-march=armv8-a", "-static"]
    subprocess.run(
        ["aarch64-linux-gnu-gcc", *flags, f"-I{HEADER.parent}", str(source), "-o", str(program), "-lm"], check=True
    )
    (x,) = inputs_of("exp_")
    positive = np.clip(np.abs(x), 1e-300, 1e300)
    done = subprocess.run(
        ["qemu-aarch64", str(program)],
        input=np.column_stack([x, positive]).tobytes(),
        stdout=subprocess.PIPE,
        check=True,
    )
    theirs = np.frombuffer(done.stdout).reshape(-1, 9)
    ours = np.column_stack(
        [
            apply_at(BEST, "exp_", x),
            apply_at(BEST, "log_", x),
            apply_at(BEST, "log_ratio", positive, 1.0 + positive),
            apply_at(BEST, "normal_pdf", x),
            apply_at(BEST, "normal_cdf", x),
            apply_at(BEST, "mills_ratio", positive),
            apply_at(BEST, "sin_", positive),
            apply_at(BEST, "cos_", positive),
            apply_at(BEST, "atan2_", x, positive),
        ]
    )
    assert theirs.shape == ours.shape
    is_nan = np.isnan(ours)  # log_ of a negative number, the sine of a huge one, atan2_ of an infinity
    assert np.array_equal(is_nan, np.isnan(theirs))
    assert np.array_equal(ours.view(np.uint64)[~is_nan], theirs.copy().view(np.uint64)[~is_nan])
