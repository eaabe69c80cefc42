"""Caplet volatilities from quoted cap volatilities, for all scenarios of a block at once.

A cap of length T_j and strike K is quoted by the one volatility, normal or lognormal, that gives its price when put
into all its caplets. We look for volatilities at nodes (the fixing day of each cap's last caplet), linear in time
between nodes and flat before the first, that give the same prices: node by node in T_j, each one equation in one
unknown,

    sum over caplets after T_{j-1} of TV(vol_i) = cap_j(quote_j) - sum over caplets up to T_{j-1} of TV(vol_i)

TV is the time value (the out-of-the-money option), for intrinsic values do not depend on volatility and would drown it.
The first caplet of a cap is left out: its rate is known. Newton takes a fixed number of damped steps in every cell, so
a scenario's numbers do not depend on its neighbours; sums run in order.

Sizes: 20-year caps on a 3-month index are 79 caplets x 19 strikes; stripping 32 scenarios prices 0.4 million caplets.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure, FailureReason
from xip_core.kernels.catalogue import evaluate
from xip_core.model.daycounts import year_fractions
from xip_core.model.market import CapVolatility
from xip_core.pricing.arithmetic import RefTable
from xip_core.pricing.market_layout import YEAR_DAYS, SnapshotLayout, combine_refs
from xip_core.pricing.polling import poll
from xip_core.pricing.surfaces import bracket, caplet_days

Floats = npt.NDArray[np.float64]

NORMAL, LOGNORMAL = ("bachelier.european", "normal_volatility"), ("black.european", "volatility")
"""Kernels by kind of volatility, and what they call it."""

STEP_COUNT = 8
"""Damped Newton from the cap's own quote converges in 3 to 5 steps; the rest is for steep surfaces."""

PRICE_ERROR_MAX = 1e-9
"""Accepted error of a cap's price, relative to the price."""


class CapletDerivatives(msgspec.Struct, frozen=True):
    """Of price(nodes) - price(quote) of each cap, row-major over (tenors, strikes).

    Attributes:
        by_node: (n, n). by_quote: (n,), each to its own quote. by_factor: (n, F).
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
        self._strikes = np.array(surface.strikes)
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

    def strip(self, market: Floats, quotes: Floats) -> tuple[Floats, dict[int, Failure]]:
        """
        Args:
            market: (F, S), curves built.
            quotes: (tenors * strikes, S) row-major, not negative.

        Returns:
            node volatilities of the same shape, NaN at the nodes that no price gives and at later ones of the same
            strike, which need them; and the first such failure by scenario.
        """
        scenario_count = market.shape[1]
        forwards = (self._growth.exp(market) - 1.0) / self._accruals
        weights = self._accruals * self._discounts.exp(market)
        cells = quotes.reshape(len(self._counts), len(self._strikes), scenario_count)
        nodes = np.empty_like(cells)
        failures: dict[int, Failure] = {}
        paid_before = 0
        before = np.zeros((len(self._strikes), scenario_count))  # time value of the caplets that are already settled
        for row, count in enumerate(self._counts):
            target, _ = self._time_values(forwards, weights, range(count), [cells[row]] * count)
            new = range(paid_before, count)
            volatility, error = self._solve_row(forwards, weights, new, nodes, row, cells[row], target - before)
            self._note_failures(failures, row, volatility, error, target)
            volatility = np.where(_fits(error, target), volatility, np.nan)
            nodes[row] = volatility
            settled, _ = self._time_values(forwards, weights, new, self._at_caplets(nodes, row, volatility, new))
            before = before + settled
            paid_before = count
        return nodes.reshape(quotes.shape), failures

    def derivatives(self, market: Floats, quotes: Floats, nodes: Floats) -> CapletDerivatives:
        """Of the differences between prices from nodes and prices from quotes.

        Args:
            market: (F,). quotes, nodes: (tenors * strikes,) row-major, nodes as `strip` gives them.
        """
        forwards = (self._growth.exp(market[:, None])[:, 0] - 1.0) / self._accruals[:, 0]
        weights = self._accruals[:, 0] * self._discounts.exp(market[:, None])[:, 0]
        shape = (len(self._counts), len(self._strikes))
        shares = np.stack([self._shares(row, range(len(forwards))) for row in range(shape[0])])
        at_nodes = self._greeks(forwards, weights, shares.T @ nodes.reshape(shape))
        by_node = np.zeros((*shape, *shape))
        by_quote = np.zeros(shape)
        by_factor = np.zeros((*shape, len(market)))
        for row, count in enumerate(self._counts):
            poll()
            at_quotes = self._greeks(forwards, weights, np.tile(quotes.reshape(shape)[row], (len(forwards), 1)))
            by_quote[row] = -at_quotes["vega"][:count].sum(axis=0)
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
        return CapletDerivatives(by_node.reshape(size, size), by_quote.ravel(), by_factor.reshape(size, -1))

    def residuals(self, market: Floats, quotes: Floats, nodes: Floats) -> Floats:
        """By how much each quote would have to move to give the price of the nodes, to first order.

        Args, shape of the result: as `derivatives`; NaN where a node is.
        """
        forwards = (self._growth.exp(market[:, None])[:, 0] - 1.0) / self._accruals[:, 0]
        weights = self._accruals[:, 0] * self._discounts.exp(market[:, None])[:, 0]
        shape = (len(self._counts), len(self._strikes))
        shares = np.stack([self._shares(row, range(len(forwards))) for row in range(shape[0])])
        found = np.empty(shape)
        for row, count in enumerate(self._counts):
            poll()
            is_reached = shares[:, :count].sum(axis=1) > 0.0  # a later node may be NaN
            reached = np.where(is_reached[:, None], nodes.reshape(shape), 0.0)
            at_nodes = self._greeks(forwards[:count], weights[:count], shares.T[:count] @ reached, count)
            flat = np.tile(quotes.reshape(shape)[row], (count, 1))
            at_quotes = self._greeks(forwards[:count], weights[:count], flat, count)
            vega = at_quotes["vega"].sum(axis=0)
            left = at_nodes["pv"].sum(axis=0) - at_quotes["pv"].sum(axis=0)
            found[row] = np.divide(left, vega, out=np.zeros(shape[1]), where=(vega > 0.0) | np.isnan(left))
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

    def _solve_row(
        self,
        forwards: Floats,
        weights: Floats,
        new: range,
        nodes: Floats,
        row: int,
        start: Floats,
        target: Floats,
    ) -> tuple[Floats, Floats]:
        """Volatility of one node per strike and scenario, and the pricing error left."""
        volatility = start.copy()
        with np.errstate(all="ignore"):  # hopeless cells become NaN and are reported
            for _ in range(STEP_COUNT):
                values, slopes = self._time_values(
                    forwards, weights, new, self._at_caplets(nodes, row, volatility, new), self._shares(row, new)
                )
                step = np.where(slopes > 0.0, (values - target) / slopes, 0.0)  # without vega any volatility does
                volatility = np.clip(volatility - step, 0.5 * volatility, 2.0 * volatility)
            values, _ = self._time_values(forwards, weights, new, self._at_caplets(nodes, row, volatility, new))
        return volatility, values - target

    def _shares(self, row: int, caplets: range) -> list[float]:
        """How much of each caplet's volatility is the node being solved."""
        return [
            (1.0 - weight if left == row else 0.0) + (weight if right == row else 0.0)
            if left != right
            else float(left == row)
            for left, right, weight in (self._brackets[caplet] for caplet in caplets)
        ]

    def _at_caplets(self, nodes: Floats, row: int, volatility: Floats, caplets: range) -> list[Floats]:
        found = []
        for caplet in caplets:
            left, right, weight = self._brackets[caplet]
            low = volatility if left == row else nodes[left]
            high = volatility if right == row else nodes[right]
            found.append(low if left == right else (1.0 - weight) * low + weight * high)
        return found

    def _time_values(
        self,
        forwards: Floats,
        weights: Floats,
        caplets: range,
        volatilities: Sequence[Floats],
        shares: Sequence[float] | None = None,
    ) -> tuple[Floats, Floats]:
        """Sums over *caplets* of time values, and of vegas times *shares*; both (strikes, S)."""
        poll()
        chosen = list(caplets)
        forward = forwards[chosen][:, None, :]
        strike = self._strikes[None, :, None]
        kernel, volatility_column = self._formula
        priced = evaluate(
            kernel,
            outputs=("pv", "vega"),
            forward=forward,
            strike=strike,
            time=self._years[chosen][:, None, None],
            discount=weights[chosen][:, None, :],
            is_call=(strike >= forward).astype(np.float64),
            **{volatility_column: np.stack(volatilities)},
        )
        value = np.zeros(priced["pv"].shape[1:])
        slope = np.zeros_like(value)
        for position in range(len(chosen)):  # in order, so that the sum does not depend on the block
            value = value + priced["pv"][position]
            if shares is not None:
                slope = slope + shares[position] * priced["vega"][position]
        return value, slope

    def _note_failures(
        self, failures: dict[int, Failure], row: int, volatility: Floats, error: Floats, target: Floats
    ) -> None:
        for strike, scenario in np.argwhere(~_fits(error, target)):
            if int(scenario) not in failures:
                quote = self._labels[row * len(self._strikes) + int(strike)]
                message = (
                    f"no caplet volatility gives the price of cap {quote}: an error of {error[strike, scenario]:.3g} "
                    f"is left of {target[strike, scenario]:.3g}, with volatility {volatility[strike, scenario]:.3g}"
                )
                failures[int(scenario)] = Failure(FailureReason.CALIBRATION_FAILED, message)


def _fits(error: Floats, target: Floats) -> npt.NDArray[np.bool_]:
    """Whether a price is met; False where it is NaN."""
    return np.abs(error) <= PRICE_ERROR_MAX * np.abs(target) + 1e-18
