"""The columns of a delta-gamma VaR: one quadratic P&L a row of the table."""

from __future__ import annotations

import numpy as np

from xip_core.model.aggregates import Aggregate
from xip_core.model.covariance import Covariance, factor_names, matched
from xip_core.model.sensitivity import Expansion
from xip_core.pricing.polling import poll
from xip_core.pricing.tile import Columns
from xip_core.risk.delta_gamma import check_covariance
from xip_core.risk.ladder import combine
from xip_core.risk.measures import Floats
from xip_core.risk.quadratic import quadratic_ladder, quadratic_vars


def quadratic_columns(expansion: Expansion, covariance: Covariance, pnl: Floats, aggregate: Aggregate) -> Columns:
    """
    Args:
        pnl: (K, columns of the expansion), PV(column) - PV(base).

    Returns:
        `delta_gamma_var`, `mean`, `deviation`, `skewness`, `excess_kurtosis` f8 (K,); `outside_expansion` u1 (K,), 1
        where Cornish-Fisher has left its domain and there is no VaR (NaN).

    Raises:
        RequestError, ArgumentError: what the planner refuses (`graph.quadratic`).
    """
    ladder = quadratic_ladder(expansion, aggregate.method)
    names = factor_names(expansion)
    root = check_covariance(matched(covariance, names), names)
    values = combine(expansion, pnl)
    numbers = np.empty((len(values), 5))
    is_outside = np.zeros(len(values), "u1")
    for row, found in enumerate(quadratic_vars(ladder, values, root, aggregate, poll)):
        moments = found.moments
        numbers[row] = (
            found.var, moments.mean, np.sqrt(moments.variance), moments.skewness, moments.excess_kurtosis,
        )  # fmt: skip
        is_outside[row] = found.is_outside_expansion
    names_of_numbers = ("delta_gamma_var", "mean", "deviation", "skewness", "excess_kurtosis")
    columns: Columns = {name: numbers[:, at].copy() for at, name in enumerate(names_of_numbers)}
    return columns | {"outside_expansion": is_outside}
