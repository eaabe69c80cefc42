"""monte_carlo: Philox, Sobol, normals, Brownian bridge by path index; the same bytes everywhere."""

from __future__ import annotations

import math
import re
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels.derive_coefficients import sampling_coefficients, split
from tests.core.kernels.levels import LEVELS
from xip_core.kernels import monte_carlo
from xip_core.kernels.level import load_module
from xip_core.kernels.reference_sampled import bridge_order, normal, philox, philox_words, sobol_words

PI = ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0])
PHILOX_KNOWN = [  # Random123, kat_vectors: counter, key, block
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (*PI, [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]

SOBOL_DIMENSIONS = [0, 1, 2, 3, 9, 99, 511, 1023]
SOBOL_KNOWN = {  # point, in units of 2^-32, of new-joe-kuo-6; made with scipy.stats.qmc.Sobol(1024, scramble=False)
    1: [0x80000000, 0x80000000, 0x80000000, 0x80000000, 0x80000000, 0x80000000, 0x80000000, 0x80000000],
    2: [0xC0000000, 0x40000000, 0x40000000, 0x40000000, 0xC0000000, 0xC0000000, 0xC0000000, 0xC0000000],
    3: [0x40000000, 0xC0000000, 0xC0000000, 0xC0000000, 0x40000000, 0x40000000, 0x40000000, 0x40000000],
    5: [0xE0000000, 0xE0000000, 0x20000000, 0x60000000, 0x20000000, 0x60000000, 0xE0000000, 0x60000000],
    1000: [0x38400000, 0x18C00000, 0x84C00000, 0xAD400000, 0x11C00000, 0x2FC00000, 0x65400000, 0xB6C00000],
    65535: [0x00010000, 0xFFFF0000, 0x90550000, 0xC3050000, 0x29F50000, 0x79070000, 0x36A10000, 0x75AF0000],
}


def test_philox_gives_the_published_blocks() -> None:
    counter, key, block = (list(part) for part in zip(*PHILOX_KNOWN, strict=True))
    assert monte_carlo.philox(counter, key).tolist() == block


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6))
def test_philox_is_its_twin(words: list[int]) -> None:
    a, b, c, d = monte_carlo.philox([words[:4]], [words[4:]])[0].tolist()
    assert (a << 32 | b, c << 32 | d) == philox(tuple(words[:4]), tuple(words[4:]))  # type: ignore[arg-type]  # lengths


def test_sobol_gives_known_points_of_every_kind_of_dimension() -> None:
    for point, coordinates in SOBOL_KNOWN.items():
        assert monte_carlo.sobol(point, 1, 1024)[0, SOBOL_DIMENSIONS].tolist() == coordinates, point


def test_every_dimension_of_sobol_is_a_permutation() -> None:
    """2^n points are in 2^n equal intervals, one each: directions are odd, polynomials of full degree."""
    points = monte_carlo.sobol(0, 1024, 1024) >> np.uint32(22)
    assert (np.sort(points, axis=0) == np.arange(1024)[:, None]).all()


def test_no_two_dimensions_of_sobol_are_the_same() -> None:
    points = monte_carlo.sobol(0, 1 << 12, 1024)
    assert len({points[:, dimension].tobytes() for dimension in range(1024)}) == 1024


def test_sobol_knows_its_points_by_index() -> None:
    whole = monte_carlo.sobol(0, 300, 5)
    assert (monte_carlo.sobol(217, 83, 5) == whole[217:]).all()


def test_normals_are_within_ulps_of_the_inverse_distribution() -> None:
    random = np.random.default_rng(5)
    places = np.concatenate([random.integers(0, 1 << 52, 400), 1 << random.integers(0, 51, 100), [0, (1 << 51) - 1]])
    computed = monte_carlo.normal(places.astype(np.uint64) << np.uint64(12))
    worst = {"centre": 0.0, "tail": 0.0}
    with mp.workdps(40):
        for place, z in zip(places.tolist(), computed.tolist(), strict=True):
            q = (mp.mpf(place) + mp.mpf(1) / 2) / 2**52
            below = mp.erfc(-mp.mpf(z) / mp.sqrt(2)) / 2 if z < 0 else 1 - mp.erfc(mp.mpf(z) / mp.sqrt(2)) / 2
            above = mp.erfc(mp.mpf(z) / mp.sqrt(2)) / 2
            miss = (below - q if z < 0 else (1 - q) - above) / mp.npdf(mp.mpf(z))
            part = "tail" if abs(z) > 5.0 else "centre"
            worst[part] = max(worst[part], float(abs(miss)) / math.ulp(z))
    assert worst["centre"] <= 4.0
    assert worst["tail"] <= 8.0


def test_coefficients_in_the_header_are_the_derived_ones() -> None:
    text = (Path(__file__).parents[3] / "xip_core" / "kernels" / "normals.h").read_text()
    found = re.findall(r"(?:even|odd) = (?:__builtin_fma\(\w+, \w+, )?(-?0x[0-9a-fp.+-]+)", text)
    assert [float.fromhex(number) for number in found] == split(sampling_coefficients()["xip_normal"])


def test_normals_are_symmetric_to_the_last_bit() -> None:
    words = np.random.default_rng(6).integers(0, 1 << 64, 1000, np.uint64)
    assert (monte_carlo.normal(words) == -monte_carlo.normal(~words)).all()


def test_normal_is_its_twin() -> None:
    words = np.random.default_rng(7).integers(0, 1 << 64, 500, np.uint64)
    assert monte_carlo.normal(words) == pytest.approx([normal(word) for word in words.tolist()], rel=1e-14)


@pytest.mark.parametrize(("is_philox", "twin"), [(False, sobol_words), (True, philox_words)])
def test_normals_are_those_of_the_twins_words(is_philox: bool, twin: object) -> None:
    words = list(twin(5, 6, 99, 0))  # type: ignore[operator]  # either generator
    flat = np.array(words, np.uint64).reshape(-1)
    expected = monte_carlo.normal(flat).reshape(64, 5)
    assert (monte_carlo.normals(99, 0, 64, 5, is_philox=is_philox) == expected).all()


@pytest.mark.parametrize("is_philox", [False, True])
def test_normals_do_not_depend_on_how_paths_are_cut(is_philox: bool) -> None:
    whole = monte_carlo.normals(3, 0, 200, 7, is_philox=is_philox)
    for begin, end in [(0, 1), (63, 65), (127, 200), (199, 200)]:
        part = monte_carlo.normals(3, begin, end - begin, 7, is_philox=is_philox)
        assert part.tobytes() == whole[begin:end].tobytes()
    assert monte_carlo.normals(3, 0, 200, 4, is_philox=is_philox).tobytes() == whole[:, :4].tobytes()


def test_scrambled_points_stay_a_net_and_replicates_differ() -> None:
    """Of 2^10 points, 2^10 intervals of any dimension hold one each, by the quantiles of the normal."""
    for replicate in range(3):
        z = monte_carlo.normals(1, 0, 1024, 40, replicate)
        cells = np.sort(np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)))(z) * 1024, axis=0)
        assert (np.floor(cells) == np.arange(1024)[:, None]).all()
    assert len({monte_carlo.normals(1, 5, 1, 2, replicate).tobytes() for replicate in range(100)}) == 100


def test_factor_correlates_the_dimensions() -> None:
    correlation = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
    factor = monte_carlo.cholesky(correlation)
    assert factor @ factor.T == pytest.approx(correlation, abs=1e-15)
    z = monte_carlo.normals(8, 0, 1 << 13, 3, factor=factor)
    assert np.abs(z.T @ z / len(z) - correlation).max() < 2e-3
    assert z == pytest.approx(monte_carlo.normals(8, 0, 1 << 13, 3) @ factor.T, abs=1e-14)


def test_cholesky_takes_singular_correlations_and_refuses_impossible_ones() -> None:
    ones = np.ones((4, 4))
    assert monte_carlo.cholesky(ones).tolist() == [[1.0, 0.0, 0.0, 0.0]] * 4
    against = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert monte_carlo.cholesky(against).tolist() == [[1.0, 0.0], [-1.0, 0.0]]
    for bad in ([[1.0, 1.1], [1.1, 1.0]], [[1.0, 1.0, 0.5], [1.0, 1.0, 0.2], [0.5, 0.2, 1.0]]):
        with pytest.raises(ValueError, match="positive semidefinite"):
            monte_carlo.cholesky(bad)
    with pytest.raises(ValueError, match="square and finite"):
        monte_carlo.cholesky([[1.0, math.nan], [math.nan, 1.0]])


def bridge_matrix(times: np.ndarray) -> np.ndarray:
    """[date, dimension]: the engine's linear map, found from a replicate's paths and their normals."""
    count = len(times)
    paths = monte_carlo.brownian(times, 1, 4, 10)[:, :, 0]
    z = monte_carlo.normals(4, 0, 64, count)
    return np.linalg.lstsq(z, paths, rcond=None)[0].T


@pytest.mark.parametrize("count", [1, 2, 3, 8, 13])
def test_bridge_has_the_covariance_of_brownian_motion(count: int) -> None:
    times = np.cumsum(np.random.default_rng(count).uniform(0.01, 1.0, count))
    matrix = bridge_matrix(times)
    assert matrix @ matrix.T == pytest.approx(np.minimum.outer(times, times), abs=1e-12)
    assert matrix[-1] == pytest.approx([math.sqrt(times[-1])] + [0.0] * (count - 1), abs=1e-12)
    assert len({date for date, _, _ in bridge_order(count)}) == count


def test_bridge_takes_dates_at_once_and_dates_that_repeat() -> None:
    paths = monte_carlo.brownian([0.0, 1.0, 1.0, 2.0], 1, 4, 10)[:, :, 0]
    assert not paths[:, 0].any()
    assert paths[:, 1] == pytest.approx(paths[:, 2], abs=1e-15)


@pytest.mark.parametrize("is_philox", [False, True])
def test_walks_are_made_of_the_normals_of_their_paths(is_philox: bool) -> None:
    """Block 3 of replicate 2 of 2^14 paths; the last date is the first dimension of each factor."""
    paths = monte_carlo.brownian([0.5, 1.0, 4.0], 3, 6, 14, 2, is_philox, 4)[192:]
    first = 192 + (2 << 10) * is_philox
    z = monte_carlo.normals(6, first, 64, 9, 0 if is_philox else 2, is_philox)
    assert (paths[:, 2, :] == 2.0 * z[:, :3]).all()


@pytest.mark.parametrize("level", LEVELS[1:])
def test_every_level_gives_the_same_bytes(level: str) -> None:
    first, other = load_module("monte_carlo", LEVELS[0]), load_module("monte_carlo", level)
    words = np.random.default_rng(9).integers(0, 1 << 64, 4000, np.uint64)
    assert first.normal(words).tobytes() == other.normal(words).tobytes()
    for is_philox in (False, True):
        arguments = ([0.3, 0.7, 1.9, 2.0], 3, 11, 12, 1, is_philox, 2)
        assert first.brownian(*arguments).tobytes() == other.brownian(*arguments).tobytes()


def test_arguments_outside_their_domain_are_refused() -> None:
    for arguments in ((1 << 32, 0, 1, 1), (0, (1 << 32) - 1, 2, 1), (0, 0, 1, 0), (0, 0, 1, 1025)):
        with pytest.raises(ValueError, match="must be"):
            monte_carlo.normals(*arguments)
    with pytest.raises(ValueError, match="replicate of Philox"):
        monte_carlo.normals(0, 0, 1, 1, replicate=1, is_philox=True)
    for times in ([], [-1.0, 1.0], [2.0, 1.0], [1.0, math.inf]):
        with pytest.raises(ValueError, match="times must ascend"):
            monte_carlo.brownian(times, 1, 0, 10)
    for bad in ({"path_exponent": 9}, {"path_exponent": 25}, {"replicate": 16}, {"block_count": 2}):
        with pytest.raises(ValueError, match=r"must be|blocks"):
            monte_carlo.brownian([1.0], 1, 0, **{"path_exponent": 10} | bad)


def test_sobol_integrates_a_smooth_function_far_better_than_philox() -> None:
    """The mean of exp(sum z / 10) over 8 dimensions; errors over 16 randomisations."""
    truth = math.exp(0.5 * 8 / 100)

    def error(path_count: int, is_philox: bool) -> float:
        blocks = [
            monte_carlo.normals(20, replicate * path_count * is_philox, path_count, 8, replicate * (not is_philox),
                                is_philox)
            for replicate in range(16)
        ]  # fmt: skip
        return float(np.sqrt(np.mean([(np.exp(z.sum(axis=1) / 10).mean() - truth) ** 2 for z in blocks])))

    random = [error(256, True), error(4096, True)]
    quasi = [error(256, False), error(4096, False)]
    assert 0.15 < random[1] / random[0] < 0.45  # 16 times the paths: a quarter
    assert quasi[1] / quasi[0] < 0.08  # better than a sixteenth or so
    assert quasi[1] < random[1] / 50
