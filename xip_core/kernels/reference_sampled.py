"""Slow and obvious twin of `equity.autocallable`: the same random numbers, another way to every other number.

Words come from Philox and the bit matrices of the scramble, written for one word at a time; normals from the standard
library; Brownian positions from the Gaussian law of a date given its neighbours. A path's payoff is a function of one
normal y: it is walked date by date at a point between any two neighbouring places where something changes, and weighed
with the chance between them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from xip_core.kernels.level import load_module

Floats = npt.NDArray[np.float64]
REPLICATES = 16
LOW = (1 << 32) - 1
STANDARD = NormalDist()


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int]:
    """Two words of 64 bits."""
    a, b, c, d = counter
    for turn in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        keys = [(word + turn * step) & LOW for word, step in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True)]
        a, b, c, d = (second >> 32) ^ b ^ keys[0], second & LOW, (first >> 32) ^ d ^ keys[1], first & LOW
    return a << 32 | b, c << 32 | d


def normal(word: int) -> float:
    """Of the upper 52 bits; the lower half is the upper one mirrored, so that no digit is lost near 1."""
    place = 2 * (word >> 12) + 1
    sign, place = (-1.0, place) if place < 1 << 52 else (1.0, (1 << 53) - place)
    return -sign * STANDARD.inv_cdf(place / 2.0**53)


def directions(dimension_count: int, bit_count: int) -> list[list[int]]:
    """By dimension and bit: the point of index 2^(bit + 1) - 1, whose Gray code has that bit alone."""
    sobol = load_module("monte_carlo").sobol
    rows = [sobol((2 << bit) - 1, 1, dimension_count)[0].tolist() for bit in range(bit_count)]
    return [list(column) for column in zip(*rows, strict=True)]


def sobol_words(dimension_count: int, bit_count: int, seed: int, replicate: int) -> Iterator[list[int]]:
    """The words of each of 2^bit_count points."""
    scrambled, shifts = [], []
    for dimension, plain in enumerate(directions(dimension_count, bit_count)):
        words = [word for pair in range(20) for word in philox((pair, dimension, 1, 0), (seed, replicate))]
        shifts.append(words[0])
        columns = [(words[digit + 1] >> (digit + 1)) | 1 << (63 - digit) for digit in range(32)]
        scrambled.append([
            _exclusive_or(column for digit, column in enumerate(columns) if direction >> (31 - digit) & 1)
            for direction in plain
        ])  # fmt: skip
    for index in range(1 << bit_count):
        gray = index ^ index >> 1
        bits = [bit for bit in range(bit_count) if gray >> bit & 1]
        yield [shift ^ _exclusive_or(row[bit] for bit in bits) for shift, row in zip(shifts, scrambled, strict=True)]


def philox_words(dimension_count: int, bit_count: int, seed: int, replicate: int) -> Iterator[list[int]]:
    for path in range(replicate << bit_count, (replicate + 1) << bit_count):
        words = [word for pair in range(-(-dimension_count // 2)) for word in philox((pair, 0, 0, 0), (seed, path))]
        yield words[:dimension_count]


def _exclusive_or(words: Iterator[int]) -> int:
    total = 0
    for word in words:
        total ^= word
    return total


def bridge_order(count: int) -> Iterator[tuple[int, int, int]]:
    """(date, date before, date after), -1 for none: the last first, then the middle of every gap, gap by gap."""
    known = {count - 1}
    yield count - 1, -1, -1
    while len(known) < count:
        edges = [-1, *sorted(known)]
        for before, after in pairwise(edges):
            if after - before > 1:
                middle = before + 1 + (after - 2 - before) // 2
                known.add(middle)
                yield middle, before, after


def walk(normals: list[float], times: list[float], factor_count: int) -> Floats:
    """Positions [date, factor] of independent Brownian motions."""
    position = np.zeros((len(times), factor_count))
    numbers = iter(normals)
    for date, before, after in bridge_order(len(times)):
        start = times[before] if before >= 0 else 0.0
        for factor in range(factor_count):
            left = position[before, factor] if before >= 0 else 0.0
            if after < 0:
                mean, variance = left, times[date] - start
            else:
                share = (times[date] - start) / (times[after] - start)
                mean = left + share * (position[after, factor] - left)
                variance = (times[date] - start) * (1.0 - share)
            position[date, factor] = mean + math.sqrt(variance) * next(numbers)
    return position


def loadings(correlation: Floats) -> Floats:
    """[asset, factor], the first column the common factor: an eigenvector basis of what it leaves would do as well, so
    the reflection is that of the kernel, to have the same numbers."""
    count = len(correlation)
    weights = np.linalg.solve(correlation, np.ones(count))
    if (weights <= 0.0).any():
        raise ValueError("the twin needs assets that all belong to the portfolio of least variance")
    weights /= weights.sum()
    root = np.linalg.cholesky(correlation)
    axis = root.T @ weights / math.sqrt(weights @ correlation @ weights)
    axis[0] -= 1.0
    norm = axis @ axis
    reflection = np.eye(count) - (2.0 * np.outer(axis, axis) / norm if norm > 1e-30 else 0.0)
    return np.asarray(root @ reflection)


def autocallable(row: Mapping[str, float]) -> dict[str, float]:
    """pv, standard_error, expected_life and loss_probability of one row, by name of the kernel's columns."""
    bit_count, seed = int(row["path_exponent"]) - 4, int(row["seed"])
    note = _Note(row)
    dimension_count = len(note.times) * note.asset_count - 1
    words_of = philox_words if row["is_philox"] else sobol_words
    means = np.array([
        np.mean(
            [
                note.payoff(walk([0.0, *map(normal, words)], note.times, note.asset_count))
                for words in words_of(dimension_count, bit_count, seed, replicate)
            ],
            axis=0,
        )
        for replicate in range(REPLICATES)
    ])  # fmt: skip
    pv, life, loss = means.mean(axis=0)
    error = means[:, 0].std(ddof=1) / math.sqrt(REPLICATES)
    return {"pv": pv, "standard_error": error, "expected_life": life, "loss_probability": loss}


class _Note:
    """The terms of a row and its payoff given the pinned walk of a path."""

    def __init__(self, row: Mapping[str, float]) -> None:
        self.row = row
        self.asset_count = int(row["asset_count"])
        self.times = [row["first_observation"] + k * row["interval"] for k in range(int(row["observation_count"]))]
        pairs = {(0, 1): row["correlation_12"], (0, 2): row["correlation_13"], (1, 2): row["correlation_23"]}
        correlation = np.eye(3)
        for (i, j), value in pairs.items():
            correlation[i, j] = correlation[j, i] = value
        self.loading = loadings(correlation[: self.asset_count, : self.asset_count])

    def payoff(self, position: Floats) -> tuple[float, float, float]:
        """Value, life and loss, integrated over y."""
        level, slope = self._lines(position)
        places = sorted(self._changes(level, slope))
        total = np.zeros(3)
        for low, high in pairwise([-40.0, *(place for place in places if -40.0 < place < 40.0), 40.0]):
            total += self._between(level, slope, low, high)
        return total[0], total[1], total[2]

    def _lines(self, position: Floats) -> tuple[Floats, Floats]:
        """ln(S / initial) = level + slope y, both [date, asset]."""
        row, last = self.row, self.times[-1]
        level, slope = np.empty((2, len(self.times), self.asset_count))
        for i in range(self.asset_count):
            volatility, carry = row[f"volatility_{i + 1}"], row["rate"] - row[f"dividend_yield_{i + 1}"]
            start = math.log(row[f"spot_{i + 1}"] / row[f"initial_{i + 1}"])
            for k, time in enumerate(self.times):
                drift = (carry - 0.5 * volatility**2) * time
                level[k, i] = start + drift + volatility * (self.loading[i] @ position[k])
                slope[k, i] = volatility * self.loading[i, 0] * time / math.sqrt(last)
        return level, slope

    def _changes(self, level: Floats, slope: Floats) -> Iterator[float]:
        row = self.row
        for k in range(len(self.times)):
            barriers = [row["autocall_barrier"] - k * row["autocall_step"], row["coupon_barrier"]]
            barriers += [row["protection_barrier"]] * (k + 1 == len(self.times))
            for i in range(self.asset_count):
                yield from ((math.log(barrier) - level[k, i]) / slope[k, i] for barrier in barriers if barrier)
        for i in range(self.asset_count):
            for j in range(i):
                if slope[-1, i] != slope[-1, j]:
                    yield (level[-1, j] - level[-1, i]) / (slope[-1, i] - slope[-1, j])

    def _between(self, level: Floats, slope: Floats, low: float, high: float) -> Floats:
        """The walk through the dates at the middle, where nothing changes from low to high."""
        row, middle = self.row, 0.5 * (low + high)
        chance = STANDARD.cdf(high) - STANDARD.cdf(low) if high < 0.0 else STANDARD.cdf(-low) - STANDARD.cdf(-high)
        notional, value, due = row["notional"], 0.0, 0
        for k, time in enumerate(self.times):
            worst, discount = math.exp((level[k] + slope[k] * middle).min()), math.exp(-row["rate"] * time)
            due = due + 1 if row["has_memory"] else 1
            if worst >= row["coupon_barrier"]:
                value += notional * discount * row["coupon"] * due
                due = 0
            if worst >= row["autocall_barrier"] - k * row["autocall_step"]:
                return np.array([(value + notional * discount) * chance, time * chance, 0.0])
        if worst >= row["protection_barrier"]:
            return np.array([(value + notional * discount) * chance, time * chance, 0.0])
        asset = int((level[-1] + slope[-1] * middle).argmin())
        a, b = level[-1, asset], slope[-1, asset]
        mean_worst = math.exp(a + 0.5 * b * b) * (STANDARD.cdf(high - b) - STANDARD.cdf(low - b))
        repaid = notional * discount * mean_worst / row["put_strike"]
        return np.array([value * chance + repaid, time * chance, chance])
