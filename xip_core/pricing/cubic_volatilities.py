"""Volatilities between the rows of a surface whose rows are joined by Kruger's cubic: not linear in the market.

A surface by spline (`surfaces_cap_quotes`) has a row of volatilities at every fixing day. At an option's strike each
row gives one number, linear in the factors; in time they are joined by the cubic whose slope at a row is the harmonic
mean of the chords on either side, 0 where their signs differ, and at an outer row what leaves no bend there. With
volatilities b, l, r, a at the row before, left, right and after, w_1, w_2, w_3 years apart, and the share u of the way
from l to r,

    c_1 = (l - b) / w_1          s_l = 2 c_1 c_2 / (c_1 + c_2) where c_1 c_2 > 0, else 0
    c_2 = (r - l) / w_2          s_r likewise of c_2 and c_3
    c_3 = (a - r) / w_3          s_l = (3 c_2 - s_r) / 2 where there is no row before, s_r likewise

    volatility = (1 + 2 u) v^2 l + (1 + 2 v) u^2 r + w_2 u v (v s_l - u s_r),   v = 1 - u

This is no sum over factors, so a value tile evaluates it. An option that fixes on the day of a row needs none of it.
Where a surface says so (`VolatilityGrid.extends`) the outer cubics go on beyond the outer rows: u below 0 or above 1.
Columns of C such options, in order of the options:

    cubic_option i4 (C)         the option
    cubic_width f8 (3 C)        w_1, w_2, w_3; 0 where there is no row
    cubic_share f8 (C)          u
    cubic_volatility_ptr i4 (4 C + 1), _factor, _weight     b, l, r, a at the option's strike

Source: C. Kruger, Constrained cubic spline interpolation for chemical engineering applications (2002); ORE joins
stripped caplet volatilities so, in strike and in time, unless its configuration says Bilinear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.kernels import terms
from xip_core.pricing.tile import Columns

if TYPE_CHECKING:
    from xip_core.pricing.program import PointArrays, Uses

Floats = npt.NDArray[np.float64]


class CubicItem(msgspec.Struct, frozen=True):
    """Of one option: the points b, l, r, a, () where there is no row, and where it lies between them."""

    points: tuple[Uses, Uses, Uses, Uses]
    widths_years: tuple[float, float, float]
    share: float


def cubic_columns(items: Sequence[tuple[int, CubicItem]], points: PointArrays) -> Columns:
    """The columns of (option, item) pairs."""
    rows = points.flatten([point for _, item in items for point in item.points])
    return {
        "cubic_option": np.array([option for option, _ in items], dtype=np.int32),
        "cubic_width": np.array([width for _, item in items for width in item.widths_years], dtype=np.float64),
        "cubic_share": np.array([item.share for _, item in items], dtype=np.float64),
        "cubic_volatility_ptr": rows.ptr,
        "cubic_volatility_factor": rows.factor,
        "cubic_volatility_weight": rows.weight,
    }


def cubic_volatilities(columns: Columns, market: Floats) -> Floats:
    """
    Volatility of each option of `cubic_option`, (C, S); NaN where a row it needs is.

    Args:
        market: float64 (factor_count, scenario_count), C order.
    """
    names = ("ptr", "factor", "weight")
    found = terms.gather_linear(market, *(columns[f"cubic_volatility_{name}"] for name in names))
    rows = found.reshape(-1, 4, market.shape[1]).transpose(1, 0, 2)
    widths = columns["cubic_width"].reshape(-1, 3, 1).transpose(1, 0, 2)
    return between_rows(rows, widths, columns["cubic_share"][:, None])


def between_rows(rows: Floats, widths: Floats, share: Floats) -> Floats:
    """
    The cubic of the head of this module; NaN where it needs a NaN or would be negative.

    Args:
        rows: b, l, r, a, (4, ...); what stands where there is no row does not matter.
        widths: years between them, (3, ...), 0 where there is no row; of two rows alone it is the line through them.
        share: (...).
    """
    before, left, right, after = rows
    has_before, has_after = widths[0] > 0.0, widths[2] > 0.0
    own = (right - left) / widths[1]
    earlier = np.where(has_before, (left - before) / np.where(has_before, widths[0], 1.0), own)
    later = np.where(has_after, (after - right) / np.where(has_after, widths[2], 1.0), own)
    left_slope, right_slope = _harmonic(earlier, own), _harmonic(own, later)
    left_slope, right_slope = (
        np.where(has_before, left_slope, 1.5 * own - 0.5 * right_slope),
        np.where(has_after, right_slope, 1.5 * own - 0.5 * left_slope),
    )
    other = 1.0 - share
    found = (
        (1.0 + 2.0 * share) * other * other * left
        + (1.0 + 2.0 * other) * share * share * right
        + widths[1] * share * other * (other * left_slope - share * right_slope)
    )
    return np.where(found >= 0.0, found, np.nan)


def _harmonic(first: Floats, second: Floats) -> Floats:
    """Harmonic mean of two chords of one sign, 0 of two signs, NaN of a NaN."""
    product, total = first * second, first + second
    is_between = product > 0.0
    mean = 2.0 * product / np.where(is_between, total, 1.0)
    return np.where(is_between | np.isnan(product), mean, 0.0)
