"""The P&L of a book between two snapshots, split into causes.

    total     = pv(end) - pv(begin) + cash
    carry     = pv(begin's quotes, end's date) - pv(begin) + cash         time passes, nothing moves
    delta     = sum over factors f of delta_f move_f                      spots, rates and spreads
    gamma     = 1/2 sum over pairs gamma_fg move_f move_g
    vega      = sum over volatilities of vega_v move_v
    residual  = total - carry - delta - gamma - vega                      what the sensitivities do not explain

Sensitivities are those of the beginning, per unit of the factor; a move is the factor at the end less that at the
beginning, in the same unit. Cash is what was paid to the book in between: pvs drop by it. Nothing here decides whether
a residual is small: it is shown, with its share of the total move, the sum of the absolute parts.

Source of the split: the Taylor expansion used by banks' P&L attribution, see Basel Committee, Minimum capital
requirements for market risk (d457, 2019), MAR32, which judges a desk by its unexplained part.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from xip_core.errors import ArgumentError
from xip_core.risk.measures import Floats


class Explained(msgspec.Struct, frozen=True):
    """Parts of the P&L of G groups, float64 (G,) each, in one currency; see the module's head."""

    total: Floats
    carry: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    residual: Floats
    residual_share: Floats


class Moved(msgspec.Struct, frozen=True):
    """Sensitivities of G groups to F factors and how far each factor moved.

    Attributes:
        first_order: float64 (G, F), per unit of the factor.
        moves: float64 (F,).
        second_order: float64 (G, P) per unit of both factors, or None; entry p belongs to the pair *pairs*[p].
        pairs: int64 (P, 2), first <= second; a pair of two different factors stands once, for both orders.
    """

    first_order: Floats
    moves: Floats
    second_order: Floats | None = None
    pairs: np.ndarray | None = None


def explain(pv_begin: Floats, pv_end: Floats, pv_rolled: Floats, cash: Floats, spots: Moved, vols: Moved) -> Explained:
    """
    Split the P&L of each group.

    Args:
        pv_begin, pv_end: float64 (G,), both in the same currency.
        pv_rolled: begin's quotes on end's date.
        cash: paid to the group in between.
        spots: factors that are no volatilities, with the second order.
        vols: volatilities, first order.

    Raises:
        ArgumentError: BAD_SHAPE; BAD_PNL, something is not finite.
    """
    groups = pv_begin.shape
    for name, values in (("pv_end", pv_end), ("pv_rolled", pv_rolled), ("cash", cash)):
        if values.shape != groups:
            raise ArgumentError("BAD_SHAPE", f"{name} must be {groups} like pv_begin, got {values.shape}")
    total = pv_end - pv_begin + cash
    carry = pv_rolled - pv_begin + cash
    delta, vega = _first_order(spots, len(pv_begin)), _first_order(vols, len(pv_begin))
    gamma = _second_order(spots, len(pv_begin))
    residual = total - carry - delta - gamma - vega
    if not np.isfinite(residual).all():
        group = int(np.flatnonzero(~np.isfinite(residual))[0])
        raise ArgumentError("BAD_PNL", f"all parts must be finite, those of group {group} are not")
    moved = abs(carry) + abs(delta) + abs(gamma) + abs(vega)
    share = np.where(moved > 0.0, abs(residual) / np.where(moved > 0.0, moved, 1.0), (residual != 0.0).astype(float))
    return Explained(total, carry, delta, gamma, vega, residual, share)


class Directions(msgspec.Struct, frozen=True):
    """P&Ls of G groups along moves of the market, float64 (G,) each: under *step* of a move, and under -*step*.

    Attributes:
        up, down: by risk class; "VOLATILITY" is vega, the others are delta.
        joint_up, joint_down: all classes but VOLATILITY at once, for gamma with its cross terms.
    """

    up: Mapping[str, Floats]
    down: Mapping[str, Floats]
    joint_up: Floats
    joint_down: Floats
    step: float


def explain_directions(
    pv_begin: Floats, pv_end: Floats, pv_rolled: Floats, cash: Floats, along: Directions
) -> tuple[Explained, dict[str, Floats]]:
    """
    Split the P&L of each group by derivatives along what the market did, instead of single sensitivities.

    Args:
        pv_begin, pv_end, pv_rolled, cash: as in `explain`.

    Returns:
        The parts, and delta and vega by risk class.

    Raises:
        ArgumentError: as `explain`.
    """
    first_order = {name: (up - along.down[name]) / (2.0 * along.step) for name, up in along.up.items()}
    spots = [name for name in first_order if name != "VOLATILITY"]
    nothing = np.zeros((len(pv_begin), 0))
    deltas = np.stack([first_order[name] for name in spots], axis=1) if spots else nothing
    curvature = (along.joint_up + along.joint_down) / (along.step * along.step)
    vega = first_order.get("VOLATILITY")
    split = explain(
        pv_begin,
        pv_end,
        pv_rolled,
        cash,
        # Each class moved by one whole move of its own; half the curvature of the joint move is gamma.
        Moved(np.c_[deltas, np.zeros(len(pv_begin))], np.ones(len(spots) + 1), curvature[:, None], _last(len(spots))),
        Moved(nothing if vega is None else vega[:, None], np.ones(0 if vega is None else 1)),
    )
    return split, first_order


def _last(position: int) -> np.ndarray:
    return np.array([[position, position]])


def _first_order(moved: Moved, group_count: int) -> Floats:
    if moved.first_order.shape != (group_count, len(moved.moves)):
        sentence = f"first_order must be {(group_count, len(moved.moves))}, got {moved.first_order.shape}"
        raise ArgumentError("BAD_SHAPE", sentence)
    parts = np.zeros(group_count)
    for factor, move in enumerate(moved.moves.tolist()):
        parts += moved.first_order[:, factor] * move
    return parts


def _second_order(moved: Moved, group_count: int) -> Floats:
    parts = np.zeros(group_count)
    if moved.second_order is None or moved.pairs is None:
        return parts
    if moved.second_order.shape != (group_count, len(moved.pairs)):
        sentence = f"second_order must be {(group_count, len(moved.pairs))}, got {moved.second_order.shape}"
        raise ArgumentError("BAD_SHAPE", sentence)
    for at, (first, second) in enumerate(moved.pairs.tolist()):
        if not 0 <= first <= second < len(moved.moves):
            raise ArgumentError("BAD_SHAPE", f"a pair must be two factors, the lower first, got {first} and {second}")
        half = 0.5 if first == second else 1.0
        parts += half * moved.second_order[:, at] * moved.moves[first] * moved.moves[second]
    return parts
