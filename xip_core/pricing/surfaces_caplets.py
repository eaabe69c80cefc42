"""Caplet volatilities from quoted cap volatilities, for all scenarios of a block at once.

A cap of length T_j and strike K is quoted by the one volatility, normal or lognormal, that gives its price when put
into all its caplets. We look for volatilities at nodes (the fixing day of each cap's last caplet), linear in time
between nodes and flat before the first, that give the same prices: node by node in T_j, each one equation in one
unknown,

    sum over caplets after T_{j-1} of TV(vol_i) = cap_j(quote_j) - sum over caplets up to T_{j-1} of TV(vol_i)

TV is the time value (the out-of-the-money option), for intrinsic values do not depend on volatility and would drown it.
The first caplet of a cap is left out: its rate is known. A surface with `interpolation` "spline" has a node at every
caplet instead, and the caps in between are quoted by a natural cubic spline through the quotes of their strike
(`surfaces_cap_quotes`): ORE's and QuantLib's way. `kernels/caplets.pyx` solves, without the GIL; a scenario's
numbers do not depend on its neighbours.

Sizes: 20-year caps on a 3-month index are 79 caplets x 19 strikes; stripping 32 scenarios prices 0.4 million caplets.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure, FailureReason
from xip_core.kernels import caplets
from xip_core.kernels.catalogue import evaluate
from xip_core.model.daycounts import year_fractions
from xip_core.model.market import CapVolatility
from xip_core.pricing.arithmetic import RefTable
from xip_core.pricing.layout_slots import YEAR_DAYS, combine_refs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.polling import poll
from xip_core.pricing.surfaces import bracket, caplet_days
from xip_core.pricing.surfaces_cap_quotes import CapQuotes, kruger_derivatives, kruger_slopes

Floats = npt.NDArray[np.float64]

SCENARIOS_PER_CALL = 64
"""Of the kernel, between two polls: 19 strikes of caps to 20 years take some 50 microseconds a scenario."""

NORMAL, LOGNORMAL = ("bachelier.european", "normal_volatility"), ("black.european", "volatility")
"""Kernels by kind of volatility, and what they call it: of the derivatives; the stripping kernel knows both."""


class CapletDerivatives(msgspec.Struct, frozen=True):
    """Of price(nodes) - price(quote) of each cap, row-major over (tenors, strikes).

    Attributes:
        by_node: (n, n). by_quote: (n, quotes). by_factor: (n, F).
    """

    by_node: Floats
    by_quote: Floats
    by_factor: Floats


class CapletStripper:
    """The caplets of one cap surface, compiled; `strip` is a pure function of market and quotes."""

    def __init__(self, layout: SnapshotLayout, surface: CapVolatility) -> None:
        index = layout.indices[surface.index]
        fixings, starts, ends = caplet_days(index, layout.as_of_day, surface.tenors[-1])
        grid = layout.grids[f"cap_volatility/{surface.index}"]
        discount = surface.discount_curve
        self._accruals = year_fractions(index.day_count, starts, ends)[:, None]
        self._years = (fixings - layout.as_of_day) / YEAR_DAYS
        self._cap_quotes = CapQuotes(index, surface, layout.as_of_day, grid.row_days)
        self._strikes = np.array(surface.strikes)
        self._has_slopes = grid.has_slopes
        self._labels = surface.quotes
        self._formula = NORMAL if surface.is_normal else LOGNORMAL
        self._growth_refs = [
            combine_refs(
                (1.0, layout.log_discount_of_day(index.curve, begin)),
                (-1.0, layout.log_discount_of_day(index.curve, end)),
            )
            for begin, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        self._discount_refs = [layout.log_discount_of_day(discount, end) for end in ends.tolist()]
        self._growth = RefTable(self._growth_refs)
        self._discounts = RefTable(self._discount_refs)
        # caplets of cap j: [0, counts[j])
        self._counts = [int(np.searchsorted(fixings, day, side="right")) for day in grid.row_days]
        self._brackets = [bracket(grid.row_days, day) for day in fixings.tolist()]
        lefts, rights, shares = zip(*self._brackets, strict=True)
        self._row_ends = np.array(self._counts, dtype=np.int32)
        self._lefts, self._rights = np.array(lefts, dtype=np.int32), np.array(rights, dtype=np.int32)
        self._shares_right = np.array(shares, dtype=np.float64)

    @property
    def node_count(self) -> int:
        """Volatilities, not their slopes."""
        return len(self._counts) * len(self._strikes)

    def strip(self, market: Floats, quotes: Floats) -> tuple[Floats, dict[int, Failure]]:
        """
        Args:
            market: (F, S), curves built.
            quotes: (tenors * strikes, S) row-major, not negative.

        Returns:
            node volatilities (rows * strikes, S), NaN at the nodes that no price gives and at later ones of the same
            strike, which need them, then their slopes to the strike where the grid has them; and the first such
            failure by scenario.
        """
        forwards = (self._growth.exp(market) - 1.0) / self._accruals
        weights = self._accruals * self._discounts.exp(market)
        cells = self._cap_quotes.of_rows(quotes.reshape(-1, len(self._strikes), market.shape[1]))
        parts = []
        for begin in range(0, market.shape[1], SCENARIOS_PER_CALL):
            poll()
            block = slice(begin, begin + SCENARIOS_PER_CALL)
            parts.append(
                caplets.strip(
                    forwards[:, block],
                    weights[:, block],
                    self._years,
                    self._strikes,
                    self._row_ends,
                    self._lefts,
                    self._rights,
                    self._shares_right,
                    cells[:, :, block],
                    self._formula is NORMAL,
                )
            )
        nodes, errors, targets = (np.concatenate([part[k] for part in parts], axis=2) for k in range(3))
        failures = self._failures(nodes, errors, targets)
        if self._has_slopes:
            slopes = kruger_slopes(self._strikes, nodes.transpose(1, 0, 2)).transpose(1, 0, 2)
            nodes = np.concatenate([nodes, slopes])
        return nodes.reshape(-1, market.shape[1]), failures

    def with_slopes(self, nodes: Floats, derivatives: Floats) -> Floats:
        """Derivatives (factors, n) from those of the nodes (rows * strikes, n) at *nodes*."""
        if not self._has_slopes:
            return derivatives
        width = len(self._strikes)
        by_row = zip(nodes.reshape(-1, width), derivatives.reshape(-1, width, derivatives.shape[1]), strict=True)
        slopes = [kruger_derivatives(self._strikes, row) @ moved for row, moved in by_row]
        return np.concatenate([derivatives, *slopes])

    def derivatives(self, market: Floats, quotes: Floats, nodes: Floats) -> CapletDerivatives:
        """Of the differences between prices from nodes and prices from quotes.

        Args:
            market: (F,). quotes: (tenors * strikes,) row-major. nodes: (rows * strikes,) as `strip` gives them.
        """
        forwards = (self._growth.exp(market[:, None])[:, 0] - 1.0) / self._accruals[:, 0]
        weights = self._accruals[:, 0] * self._discounts.exp(market[:, None])[:, 0]
        shape = (len(self._counts), len(self._strikes))
        shares = np.stack([self._shares(row, range(len(forwards))) for row in range(shape[0])])
        at_nodes = self._greeks(forwards, weights, shares.T @ nodes.reshape(shape))
        cells = self._cap_quotes.of_rows(quotes.reshape(-1, shape[1]))
        by_node = np.zeros((*shape, *shape))
        by_quote = np.zeros((*shape, *quotes.reshape(-1, shape[1]).shape))
        by_factor = np.zeros((*shape, len(market)))
        for row, count in enumerate(self._counts):
            poll()
            at_quotes = self._greeks(forwards, weights, np.tile(cells[row], (len(forwards), 1)))
            vega = at_quotes["vega"][:count].sum(axis=0)
            by_quote[row, range(shape[1]), :, range(shape[1])] = -vega[:, None] * self._cap_quotes.weights[row]
            for caplet in range(count):
                for other in np.flatnonzero(shares[:, caplet]).tolist():
                    slope = shares[other, caplet] * at_nodes["vega"][caplet]
                    by_node[row, range(shape[1]), other, range(shape[1])] += slope
                to_growth = (at_nodes["delta"][caplet] - at_quotes["delta"][caplet]) * (
                    forwards[caplet] + 1.0 / self._accruals[caplet, 0]
                )
                for factor, weight in self._growth_refs[caplet]:
                    by_factor[row, :, factor] += weight * to_growth
                for factor, weight in self._discount_refs[caplet]:
                    by_factor[row, :, factor] += weight * (at_nodes["pv"][caplet] - at_quotes["pv"][caplet])
        size = shape[0] * shape[1]
        return CapletDerivatives(by_node.reshape(size, size), by_quote.reshape(size, -1), by_factor.reshape(size, -1))

    def residuals(self, market: Floats, quotes: Floats, nodes: Floats) -> Floats:
        """By how much each quote would have to move to give the price of the nodes, to first order.

        Args: as `derivatives`. Returns: (tenors * strikes,), NaN where a node is.
        """
        forwards = (self._growth.exp(market[:, None])[:, 0] - 1.0) / self._accruals[:, 0]
        weights = self._accruals[:, 0] * self._discounts.exp(market[:, None])[:, 0]
        shape = (len(self._counts), len(self._strikes))
        shares = np.stack([self._shares(row, range(len(forwards))) for row in range(shape[0])])
        cells = quotes.reshape(-1, shape[1])
        found = np.empty(cells.shape)
        for place, row in enumerate(self._cap_quotes.quoted_rows):
            poll()
            count = self._counts[row]
            is_reached = shares[:, :count].sum(axis=1) > 0.0  # a later node may be NaN
            reached = np.where(is_reached[:, None], nodes.reshape(shape), 0.0)
            at_nodes = self._greeks(forwards[:count], weights[:count], shares.T[:count] @ reached, count)
            flat = np.tile(cells[place], (count, 1))
            at_quotes = self._greeks(forwards[:count], weights[:count], flat, count)
            vega = at_quotes["vega"].sum(axis=0)
            left = at_nodes["pv"].sum(axis=0) - at_quotes["pv"].sum(axis=0)
            found[place] = np.divide(left, vega, out=np.zeros(shape[1]), where=(vega > 0.0) | np.isnan(left))
        return found.ravel()

    def _greeks(
        self, forwards: Floats, weights: Floats, volatilities: Floats, count: int | None = None
    ) -> dict[str, Floats]:
        """pv, delta and vega (caplets, strikes) of out-of-the-money options with *volatilities* (caplets, strikes), of
        the first *count* caplets."""
        kernel, volatility_column = self._formula
        return evaluate(
            kernel,
            outputs=("pv", "delta", "vega"),
            forward=forwards[:, None],
            strike=self._strikes[None, :],
            time=self._years[:count, None],
            discount=weights[:, None],
            is_call=(self._strikes[None, :] >= forwards[:, None]).astype(np.float64),
            **{volatility_column: volatilities},
        )

    def _shares(self, row: int, caplets: range) -> list[float]:
        """How much of each caplet's volatility is the node being solved."""
        return [
            (1.0 - weight if left == row else 0.0) + (weight if right == row else 0.0)
            if left != right
            else float(left == row)
            for left, right, weight in (self._brackets[caplet] for caplet in caplets)
        ]

    def _failures(self, nodes: Floats, errors: Floats, targets: Floats) -> dict[int, Failure]:
        """The first node without a volatility of each scenario that has one."""
        found: dict[int, Failure] = {}
        for row, strike, scenario in np.argwhere(np.isnan(nodes)).tolist():
            if scenario not in found:
                quoted = next(place for place, at in enumerate(self._cap_quotes.quoted_rows) if at >= row)
                quote = self._labels[quoted * len(self._strikes) + strike]
                is_quoted = self._cap_quotes.quoted_rows[quoted] == row
                cap = f"cap {quote}" if is_quoted else f"a cap between quotes, before {quote}"
                message = (
                    f"no caplet volatility gives the price of {cap}: an error of "
                    f"{errors[row, strike, scenario]:.3g} is left of {targets[row, strike, scenario]:.3g}"
                )
                found[scenario] = Failure(FailureReason.CALIBRATION_FAILED, message)
        return found
