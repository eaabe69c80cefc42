"""Coefficients of elementary.h, implied.h and normals.h: Chebyshev interpolation, rounded to double.

`python -m tests.core.kernels.derive_coefficients` prints them in the order in which Horner's rule meets them; a test
compares them with the headers.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

MILLS_OFFSET = 0.8  # (x + 0.8) M(x) stays near 1: the polynomial adds a small part, so its rounding hardly counts
MILLS_MAP = 6  # of x to (x - 6) / (x + 6), the half-line to [-1, 1]: best convergence among whole numbers
QUARTER_PI_SQUARED = mp.mpf("0.61686")  # and a little: the reduced angle is rounded


def interpolate(f: Callable[[mp.mpf], mp.mpf], low: mp.mpf, high: mp.mpf, degree: int) -> list[float]:
    """Coefficients of the polynomial through f at the Chebyshev nodes of [low, high], constant first."""
    angles = [mp.pi * (2 * i + 1) / (2 * degree + 2) for i in range(degree + 1)]
    nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos(angle) for angle in angles]
    powers = mp.matrix([[node**j for j in range(degree + 1)] for node in nodes])
    return [float(c) for c in mp.lu_solve(powers, mp.matrix([f(node) for node in nodes]))]


def mills(x: mp.mpf) -> mp.mpf:
    if x < 100:
        return mp.sqrt(mp.pi / 2) * mp.erfc(x / mp.sqrt(2)) * mp.exp(x * x / 2)
    fraction = x
    for n in range(30, 0, -1):  # Laplace's continued fraction: 60 digits beyond 100
        fraction = x + n / fraction
    return 1 / fraction


def exp_coefficients() -> list[float]:
    """(e^r - 1 - r) / r^2 on |r| <= ln(2) / 2; relative error of e^r 5e-19."""
    edge = mp.log(2) / 2 * mp.mpf("1.0001")
    third = interpolate(lambda r: (mp.expm1(r) - r - r * r / 2) / r**3, -edge, edge, 9)
    return [0.5, *third]


def log_coefficients() -> list[float]:
    """(2 atanh(z) / z - 2) / z^2 in z^2, z^2 <= 0.0295; relative error of the logarithm 3e-20."""
    return interpolate(lambda w: (2 * mp.atanh(mp.sqrt(w)) / mp.sqrt(w) - 2) / w, mp.mpf(0), mp.mpf("0.02945"), 7)


def mills_coefficients() -> list[float]:
    """(x + 0.8) M(x) - 1 in (x - 6) / (x + 6) for all x >= 0; error 1.9e-17."""
    offset, centre = mp.mpf(MILLS_OFFSET), mp.mpf(MILLS_MAP)

    def g(t: mp.mpf) -> mp.mpf:
        x = centre * (1 + t) / (1 - t)
        return (x + offset) * mills(x) - 1

    return interpolate(g, mp.mpf(-1), mp.mpf(1), 24)


def sin_coefficients() -> list[float]:
    """(sin(r) / r - 1) / r^2 in r^2 for |r| <= pi / 4; relative error of the sine 6e-18."""
    return interpolate(lambda w: (mp.sin(mp.sqrt(w)) / mp.sqrt(w) - 1) / w, mp.mpf(0), QUARTER_PI_SQUARED, 6)


def cos_coefficients() -> list[float]:
    """(cos(r) - 1 + r^2 / 2) / r^4 in r^2 for |r| <= pi / 4; error of the cosine 1e-18."""
    return interpolate(lambda w: (mp.cos(mp.sqrt(w)) - 1 + w / 2) / w**2, mp.mpf(0), QUARTER_PI_SQUARED, 6)


def atan_coefficients() -> list[float]:
    """(atan(t) / t - 1) / t^2 in t^2 for |t| <= tan(pi / 8); relative error of the angle 4e-18."""
    return interpolate(lambda w: (mp.atan(mp.sqrt(w)) / mp.sqrt(w) - 1) / w, mp.mpf(0), mp.mpf("0.17158"), 12)


def normal_tail(x: mp.mpf) -> mp.mpf:
    return mp.erfc(x / mp.sqrt(2)) / 2


def normal_time_value(d: mp.mpf) -> mp.mpf:
    """Bachelier's time value over |F - K|, at |F - K| = d s."""
    return mp.npdf(d) / d - normal_tail(d)


def solve_falling(f: Callable[[mp.mpf], mp.mpf], target: mp.mpf) -> mp.mpf:
    """x in (0, 45) where the falling f meets target, by bisection to 1e-18."""
    low, high = mp.mpf("1e-12"), mp.mpf(45)
    for _ in range(66):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) > target else (low, middle)
    return (low + high) / 2


def mapped(f: Callable[[mp.mpf], mp.mpf], low: float, high: float, centre: int, degree: int) -> list[float]:
    """Polynomial of f(x) in (x - centre) / (x + centre) for low <= x <= high."""
    places = [(mp.mpf(x) - centre) / (mp.mpf(x) + centre) for x in (low, high)]
    return interpolate(lambda t: f(centre * (1 + t) / (1 - t)), places[0], places[1], degree)


def quantile_coefficients() -> list[float]:
    """w / (r - r0) where normal_cdf(-w) = exp(-r^2 / 2), r0 = sqrt(2 ln 2); relative error 6e-7."""
    zero = mp.sqrt(2 * mp.log(2))
    return mapped(lambda r: solve_falling(normal_tail, mp.exp(-r * r / 2)) / (r - zero), 1.17742, 28.0, 2, 7)


def centre_coefficients() -> list[float]:
    """Bachelier's d over a = 1 / (1 + 2 y) in a^2, y the time value over |F - K|, a <= 0.6; relative error 3e-7."""
    return interpolate(
        lambda w: solve_falling(normal_time_value, (1 / mp.sqrt(w) - 1) / 2) / mp.sqrt(w),
        mp.mpf("1e-8"),
        mp.mpf("0.36"),
        5,
    )


def distance_coefficients() -> list[float]:
    """Bachelier's d over r = sqrt(-2 ln y), y <= 1 / 3; relative error 2e-4."""
    return mapped(lambda r: solve_falling(normal_time_value, mp.exp(-r * r / 2)) / r, 1.46, 38.0, 3, 9)


def normal_from_level(level: mp.mpf) -> mp.mpf:
    """z >= 0 with 2 normal_tail(z) = exp(-level), by Newton's method on the logarithm."""
    z = mp.sqrt(2 * level + mp.mpf("0.5")) - mp.mpf("0.5")
    for _ in range(12):
        tail = normal_tail(z)
        z += (mp.log(2 * tail) + level) * tail / mp.npdf(z)
    return z


def normal_coefficients() -> list[float]:
    """
    z / L in (r - 1.5) / (r + 1.5) - 5 / 16, r^2 = 2 L + 2 ln 2, where 2 normal_tail(z) = exp(-L), L <= 36.1; error
    1e-17. The shift centres the polynomial: without it terms cancel in the tail.
    """
    centre, shift, offset = mp.mpf("1.5"), mp.mpf("0.3125"), mp.log(2)

    def slope(t: mp.mpf) -> mp.mpf:
        r = centre * (1 + t + shift) / (1 - t - shift)
        level = r * r / 2 - offset
        return normal_from_level(level) / level

    low, high = [mp.sqrt(2 * (mp.mpf(level) + offset)) for level in ("0", "36.1")]
    return interpolate(slope, *[(r - centre) / (r + centre) - shift for r in (low, high)], 21)


def coefficients() -> dict[str, list[float]]:
    """Of elementary.h."""
    with mp.workdps(50):
        return {
            "xip_exp_split": exp_coefficients(),
            "xip_atanh_rest": log_coefficients(),
            "xip_mills_split": mills_coefficients(),
            "xip_sin_rest": sin_coefficients(),
            "xip_cos_rest": cos_coefficients(),
            "xip_atan_rest": atan_coefficients(),
        }


def implied_coefficients() -> dict[str, list[float]]:
    """Of implied.h: first guesses, so double precision is not asked for."""
    with mp.workdps(40):
        return {
            "xip_tail_quantile": quantile_coefficients(),
            "xip_centre_distance": centre_coefficients(),
            "xip_tail_distance": distance_coefficients(),
        }


def sampling_coefficients() -> dict[str, list[float]]:
    """Of normals.h."""
    with mp.workdps(50):
        return {"xip_normal": normal_coefficients()}


def split(coefficients: list[float]) -> list[float]:
    """In the order of the header: even powers from the highest, then odd powers from the highest."""
    return coefficients[0::2][::-1] + coefficients[1::2][::-1]


if __name__ == "__main__":
    for name, values in (coefficients() | implied_coefficients() | sampling_coefficients()).items():
        print(name, *[value.hex() for value in split(values)], sep="\n    ")
