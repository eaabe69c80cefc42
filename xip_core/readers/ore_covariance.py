"""ORE's covariance file as a covariance of a ladder's factors.

A line is two factors and a number, divided by blanks, tabs or commas; each pair once, in either order::

    DiscountCurve/EUR/4/5Y    IndexCurve/EUR-EURIBOR-6M/6/10Y    2100

ORE's factors are found by group, name and bucket; the number of the bucket is not read. Numbers are in shifts squared
there, in units of the ladder here, so each is multiplied by both bump sizes. A factor of the ladders that the file does
not have does not move, as in ORE; which ones, and which of the file's have no ladder, the result says.

Source: Open Source Risk Engine, User Guide, Parametric VaR.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from xip_core.errors import InputError
from xip_core.model.covariance import Covariance, covariance_of, factor_name
from xip_core.model.sensitivity import Bump, Expansion
from xip_core.readers.ore_files import read_lines

_GROUPS = {
    "hazard": "SurvivalProbability",
    "inflation": "ZeroInflationCurve",
    "year_on_year": "YoYInflationCurve",
    "equity": "EquitySpot",
    "fx": "FXSpot",
    "fx_volatility": "FXVolatility",
    "equity_volatility": "EquityVolatility",
    "swaption_volatility": "SwaptionVolatility",
    "cap_volatility": "OptionletVolatility",
}
_CURVES = ("DiscountCurve", "IndexCurve", "YieldCurve")
_AT_THE_MONEY = ("fx_volatility", "equity_volatility", "swaption_volatility")


class OreCovariance(msgspec.Struct, frozen=True):
    """A covariance of all factors of the ladders.

    Attributes:
        unmoved: factors of the ladders that the file does not have: their variance is 0.
        unread: factors of the file that no ladder bumps.
    """

    covariance: Covariance
    unmoved: tuple[str, ...]
    unread: tuple[str, ...]


def read_ore_covariance(path: Path, expansion: Expansion, base_currency: str) -> OreCovariance:
    """
    Raises:
        InputError: a line that is not two factors and a number, or a pair that is there twice with two numbers.
    """
    place = {key: at for at, bump in enumerate(expansion.bumps) for key in _ore_keys(bump, base_currency)}
    sizes = np.array([bump.size for bump in expansion.bumps])
    matrix = np.full((len(sizes), len(sizes)), np.nan)
    unread: dict[str, None] = {}
    for number, line in read_lines(path):
        words = re.split(r"[\s,;]+", line)
        if len(words) != 3:
            raise InputError(f"a line must be two factors and a number, got {line[:80]!r}", str(path), number)
        at = [place.get(_without_number(word)) for word in words[:2]]
        unread |= {word: None for word, found in zip(words, at, strict=False) if found is None}
        first, second = at
        if first is None or second is None:
            continue
        value = _number(words[2], path, number) * sizes[first] * sizes[second]
        if matrix[first, second] == matrix[first, second] != value:
            sentence = f"a pair must have one covariance, {words[0]} and {words[1]} have another one above"
            raise InputError(sentence, str(path), number)
        matrix[first, second] = matrix[second, first] = value
    names = [factor_name(bump) for bump in expansion.bumps]
    unmoved = tuple(name for name, variance in zip(names, np.diagonal(matrix), strict=True) if variance != variance)
    return OreCovariance(covariance_of(names, np.nan_to_num(matrix)), unmoved, tuple(unread))


def _ore_keys(bump: Bump, base_currency: str) -> Iterator[str]:
    """What ORE may call the factor, without the number of its bucket."""
    kind, name = bump.object.split("/", 1)
    if kind == "curve":
        yield from (f"{group}/{name}/{bump.bucket}" for group in _CURVES)
        return
    if kind not in _GROUPS:
        return
    names = {
        "fx": (f"{name}{base_currency}",),
        "fx_volatility": (name, name[3:] + name[:3]),
        "cap_volatility": (name, name[:3]),
    }.get(kind, (name,))
    end = "/ATM" if kind in _AT_THE_MONEY else ""
    yield from (f"{_GROUPS[kind]}/{one}/{bump.bucket}{end}" for one in names)


def _without_number(factor: str) -> str:
    group, name, *rest = f"{factor}//".split("/")
    return "/".join((group, name, *rest[1:])).rstrip("/")


def _number(text: str, path: Path, number: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"a covariance must be a number, got {text[:60]!r}", str(path), number) from None
