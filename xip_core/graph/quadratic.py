"""A delta-gamma VaR when it is planned: what is refused, as ladders and covariance must fit each other; its cost."""

from __future__ import annotations

from collections.abc import Callable

from xip_core.errors import ArgumentError, NotFoundError, RequestError
from xip_core.graph import cost
from xip_core.graph.plan import Groups
from xip_core.model.aggregates import PATH_COUNT_DEFAULT, Aggregate
from xip_core.model.covariance import decode_covariance, factor_names, matched
from xip_core.model.sensitivity import Expansion
from xip_core.risk.delta_gamma import check_covariance
from xip_core.risk.quadratic import quadratic_ladder, rows_at_once
from xip_core.risk.quantiles import check_scenario_count


def check_delta_gamma(aggregate: Aggregate, expansion: Expansion, blob: Callable[[str], bytes]) -> None:
    """
    Args:
        expansion: of the ladders of its source.

    Raises:
        RequestError: COVARIANCE_MISSING, none is named; BLOB_MISSING; FACTOR_MISSING; BAD_COVARIANCE; BAD_AGGREGATE,
            ladders that do not make a quadratic P&L; TOO_FEW_SCENARIOS, too few paths; TOO_LARGE.
    """
    where = f"aggregate {aggregate.label!r}"
    if not aggregate.covariance:
        raise RequestError("COVARIANCE_MISSING", f"{where} must have a covariance of the ladders' factors, got none")
    try:
        covariance = decode_covariance(blob(aggregate.covariance))
    except NotFoundError:
        sentence = f"covariance_digest must name an uploaded blob, got {aggregate.covariance}, which is not here"
        raise RequestError("BLOB_MISSING", sentence) from None
    try:
        quadratic_ladder(expansion, aggregate.method)
        names = factor_names(expansion)
        check_covariance(matched(covariance, names), names)
        if aggregate.method == "monte_carlo":
            check_scenario_count(aggregate.count or PATH_COUNT_DEFAULT, aggregate.q)
    except (ArgumentError, RequestError) as error:
        raise RequestError(error.reason, f"{where}: {error}") from None


def delta_gamma_s(aggregate: Aggregate, expansion: Expansion, groups: Groups) -> float:
    """
    Seconds that the table declares beside adding leaf groups: moments of each row; simulated, the paths and the P&L of
    each row over them.
    """
    places = [groups.keys.index(key) for key in aggregate.by]
    row_count = len({tuple(labels[at] for at in places) for labels in groups.labels})
    factor_count = len(expansion.bumps)
    moments_s = row_count * cost.moments_s(factor_count)
    if aggregate.method != "monte_carlo":
        return moments_s
    path_count = aggregate.count or PATH_COUNT_DEFAULT
    draw_count = -(-row_count // rows_at_once(path_count, factor_count))
    pnl_s = row_count * path_count * len(expansion.sensitivities) * cost.PATH_S_PER_COEFFICIENT
    return moments_s + draw_count * cost.paths_s(path_count, factor_count) + pnl_s
