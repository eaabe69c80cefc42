"""The parts of a row program that few rows have: chains; of options par-yield annuities, smiles, cubics and averages.

Their columns are described at the head of `pricing.program`. A tile has them whatever rows it has, mostly empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from xip_core.pricing.cubic_volatilities import cubic_columns
from xip_core.pricing.smile_values import smile_columns
from xip_core.pricing.tile import Columns

if TYPE_CHECKING:
    from xip_core.pricing.program import ChainItem, OptionItem, PointArrays, Uses


def chain_columns(chains_of_rows: Sequence[Sequence[ChainItem]], points: PointArrays) -> Columns:
    """Chains, row by row, and their links."""
    chains = list(chain.from_iterable(chains_of_rows))
    links = [link for item in chains for link in item.links]
    columns: Columns = {
        "chain_ptr": _ends([len(of_row) for of_row in chains_of_rows]),
        "chain_amount": np.array([item.amount for item in chains], dtype=np.float64),
        "link_ptr": _ends([len(item.links) for item in chains]),
    }
    for name in ("alpha", "beta", "gamma", "delta"):
        columns[f"link_{name}"] = np.array([getattr(link, name) for link in links], dtype=np.float64)
    columns |= _sparse("chain_discount", [item.discount for item in chains], points)
    return columns | _sparse("link_growth", [link.growth for link in links], points)


def rare_option_columns(options: Sequence[tuple[int, OptionItem]], points: PointArrays) -> Columns:
    """What some options have beside a forward, a discount and a volatility; *options* with their place in the tile."""
    columns = _cash_columns(options, points)
    columns |= smile_columns([(index, option.smile) for index, option in options if option.smile is not None])
    columns |= cubic_columns([(index, option.cubic) for index, option in options if option.cubic is not None], points)
    return columns | _average_columns(options, points)


def _cash_columns(options: Sequence[tuple[int, OptionItem]], points: PointArrays) -> Columns:
    """Options on a par-yield annuity; their factors are positions in `cash_option`."""
    settled = [(index, option.cash) for index, option in options if option.cash is not None]
    discounts = [option.cash_discount for _, option in options if option.cash is not None]
    coupons = [(position, coupon) for position, (_, cash) in enumerate(settled) for coupon in cash]
    columns: Columns = {
        "cash_option": np.array([index for index, _ in settled], dtype=np.int32),
        "cash_ptr": _ends([len(cash) for _, cash in settled]),
        "cash_amount": np.array([coupon.accrual for _, coupon in coupons], dtype=np.float64),
        "cash_factor": np.array([position for position, _ in coupons], dtype=np.int32),
        "cash_weight": np.array([-coupon.time_years for _, coupon in coupons], dtype=np.float64),
    }
    return columns | _sparse("cash_discount", discounts, points)


def _average_columns(options: Sequence[tuple[int, OptionItem]], points: PointArrays) -> Columns:
    """Options on an average and their prices to come."""
    averaged = [(index, option.average) for index, option in options if option.average is not None]
    prices = [price for _, average in averaged for price in average]
    columns: Columns = {
        "average_option": np.array([index for index, _ in averaged], dtype=np.int32),
        "average_ptr": _ends([len(average) for _, average in averaged]),
        "average_weight": np.array([price.weight for price in prices], dtype=np.float64),
        "average_time": np.array([price.time_years for price in prices], dtype=np.float64),
    }
    columns |= _sparse("average_forward", [price.forward for price in prices], points)
    return columns | _sparse("average_variance", [price.variance for price in prices], points)


def _ends(sizes: list[int]) -> np.ndarray:
    """Cumulated sizes with a 0 in front."""
    return np.cumsum([0, *sizes], dtype=np.int32)


def _sparse(name: str, uses: list[Uses], points: PointArrays) -> Columns:
    sparse = points.flatten(uses)
    return {f"{name}_ptr": sparse.ptr, f"{name}_factor": sparse.factor, f"{name}_weight": sparse.weight}
