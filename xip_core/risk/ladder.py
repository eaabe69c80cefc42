"""Values under bumps to sensitivities: weighted sums of P&Ls over columns, and the table they are reported in.

A sensitivity is linear in the P&Ls of its columns (`model.sensitivity`), so it may be formed of one trade, or of sums
over trades: first adding up and then combining gives the same but for rounding, and is what runs do.

Table, a row per sensitivity, in the order of the expansion::

    risk_class   rates, credit, inflation, fx, equity, commodity
    kind         of the ladder: zero_rate, par_rate, ..; "theta"
    measure      delta, gamma, cross_gamma; theta
    object       curve/EUR1D       bucket   5Y
    object_2     of a cross gamma  bucket_2
    unit         what the value is per: "bp", "percent", "vol_point"; of a gamma "bp^2", of a cross gamma "bp*percent"
    bump         the bump it was computed with, in units; of a cross gamma the first one's
    value        base currency
"""

from __future__ import annotations

import datetime as dt

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.model.sensitivity import Expansion, Sensitivity

Floats = npt.NDArray[np.float64]

THETA_UNIT = "day"


class LadderRow(msgspec.Struct, frozen=True):
    """What a number is; see the module's head."""

    risk_class: str
    kind: str
    measure: str
    object: str
    bucket: str
    unit: str
    bump: float
    object_2: str = ""
    bucket_2: str = ""


def combine(expansion: Expansion, pnl: Floats) -> Floats:
    """
    Sensitivities from P&Ls.

    Args:
        pnl: PV(column) - PV(base) per column, shape (.., columns): of trades, groups or the whole book.

    Returns:
        Shape (.., sensitivities), base currency per unit; NaN where a column that is needed has no number. Terms are
        added in their order.

    Raises:
        ValueError: another number of columns.
    """
    if pnl.shape[-1] != len(expansion.columns):
        raise ValueError(f"pnl must have {len(expansion.columns)} columns, got {pnl.shape[-1]}")
    wanted = expansion.sensitivities
    found = np.zeros((*pnl.shape[:-1], len(wanted)))
    for position in range(max((len(item.terms) for item in wanted), default=0)):
        having = [at for at, item in enumerate(wanted) if position < len(item.terms)]
        columns, weights = zip(*(wanted[at].terms[position] for at in having), strict=True)
        found[..., having] += pnl[..., list(columns)] * np.array(weights)
    return found


def ladder_rows(expansion: Expansion) -> tuple[LadderRow, ...]:
    """What each sensitivity of an expansion is."""
    return tuple(_row(expansion, item) for item in expansion.sensitivities)


def theta_row(as_of: dt.date, rolled: dt.date) -> LadderRow:
    """What theta is: the value on the next business day less today's, *bump* in calendar days."""
    return LadderRow("theta", "theta", "theta", "", rolled.isoformat(), THETA_UNIT, float((rolled - as_of).days))


def _row(expansion: Expansion, item: Sensitivity) -> LadderRow:
    first = expansion.bumps[item.bumps[0]]
    common = (first.risk_class, first.kind, item.measure, first.object, first.bucket)
    if item.measure == "cross_gamma":
        second = expansion.bumps[item.bumps[1]]
        return LadderRow(*common, f"{first.unit}*{second.unit}", first.size, second.object, second.bucket)
    return LadderRow(*common, first.unit if item.measure == "delta" else f"{first.unit}^2", first.size)
