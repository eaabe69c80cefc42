"""Aggregates as data: what a run is asked to make of its P&L vectors.

    var by=desk q=0.99                      value at risk of each desk
    es by=desk,book q=0.975 rule=fractional expected shortfall of each book of each desk
    component_var by=book within=desk q=0.99  how much each book adds to the VaR of its desk
    worst by=book count=5                   the five worst scenarios of all, and which books drive them
    delta_gamma_var by=desk q=0.99          VaR of each desk from its ladders and a covariance of their factors

An aggregate names a **measure** (the table `MEASURES_OF_VECTORS`), the hierarchy keys its rows are told apart **by**
(none: one row for everything), and the measure's parameters. Keys are desk, book, counterparty, currency, asset_class
or the name of a tag (`model.trade_labels`). The rows of one P&L vector are (groups, scenarios); the base is no scenario
of it.

What can be refused without a book is refused here (`check_aggregates`); whether there are scenarios enough, and whether
every trade has the keys, the planner knows.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

import msgspec

from xip_core.errors import RequestError

NAME_LENGTH_MAX = 128
AGGREGATE_COUNT_MAX = 64
"""Of one run: each is a node and a block of results."""

KEY_COUNT_MAX = 8
WORST_COUNT_MAX = 1_000

QUANTILE_RULES = (
    "order_statistic",
    "pnl_order_statistic",
    "averaged",
    "hazen",
    "weibull",
    "linear",
    "median_unbiased",
)
SHORTFALL_RULES = ("tail_mean", "fractional")
"""Names of the rules of `xip_core.risk.quantiles`, the default first."""

QUADRATIC_METHODS = ("cornish_fisher", "delta_gamma_normal", "delta", "monte_carlo")
"""How delta_gamma_var finds its quantile (`xip_core.risk.quadratic`), the default first."""

PATH_COUNT_DEFAULT = 1 << 16
PATH_COUNT_MAX = 1 << 20
"""Of delta_gamma_var by monte_carlo; powers of two fill Sobol's cells evenly."""


class Aggregate(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One table of numbers, a row for each group.

    Attributes:
        measure: a key of MEASURES_OF_VECTORS.
        by: hierarchy keys of a row; () makes one row of everything.
        name: of the table among the results; "" takes the measure and its keys.
        q: confidence, such as 0.99.
        rule: how a quantile is read off the losses; "" takes the first of its rules.
        count: of scenarios (worst), of paths (delta_gamma_var by monte_carlo).
        within: keys of the whole that parts are parts of (component, incremental, worst); among *by*.
        scenarios: pattern with * and ? for the scenarios' names; "" takes all. The base never is one of them.
        method: one of `QUADRATIC_METHODS` (delta_gamma_var); "" takes the first.
        covariance: digest of the blob of the factors' covariance (delta_gamma_var, `model.covariance`); "" in a text,
            to be filled by who submits.
    """

    measure: str
    by: tuple[str, ...] = ()
    name: str = ""
    q: float = 0.0
    rule: str = ""
    count: int = 0
    within: tuple[str, ...] = ()
    scenarios: str = ""
    method: str = ""
    covariance: str = ""

    @property
    def label(self) -> str:
        """The name of its table."""
        return self.name or "_".join((self.measure, *(("by", *self.by) if self.by else ())))


class VectorMeasure(msgspec.Struct, frozen=True):
    """What can be made of P&L vectors.

    Attributes:
        needs: parameters that must be given.
        takes: those that may be.
        rules: of quantiles, () where there is none to choose.
        columns: of the table; (K,) each but for "pnl", (K, S), and those of "worst".
    """

    summary: str
    columns: tuple[str, ...]
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ("scenarios",)
    rules: tuple[str, ...] = ()


MEASURES_OF_VECTORS: dict[str, VectorMeasure] = {
    "sum": VectorMeasure(
        "the run's measures under the base", ("pv", "delta", "vega", "dv01", "gamma", "theta"), takes=()
    ),
    "pnl": VectorMeasure("P&L under every scenario", ("pnl",)),
    "var": VectorMeasure("value at risk", ("var",), ("q",), ("rule", "scenarios"), QUANTILE_RULES),
    "es": VectorMeasure("expected shortfall", ("es",), ("q",), ("rule", "scenarios"), SHORTFALL_RULES),
    "component_var": VectorMeasure(
        "what each part adds to the VaR of the whole", ("component_var", "var"), ("q",),
        ("rule", "scenarios", "within"), QUANTILE_RULES,
    ),
    "component_es": VectorMeasure(
        "what each part adds to the ES of the whole", ("component_es", "es"), ("q",),
        ("rule", "scenarios", "within"), SHORTFALL_RULES,
    ),
    "incremental_var": VectorMeasure(
        "by how much the VaR of the whole falls without the part", ("incremental_var", "var"), ("q",),
        ("rule", "scenarios", "within"), QUANTILE_RULES,
    ),
    "ladder": VectorMeasure("sensitivities, where the scenarios are bumps", ("value",), takes=()),
    "delta_gamma_var": VectorMeasure(
        "value at risk of a quadratic P&L, where the scenarios are bumps",
        ("delta_gamma_var", "mean", "deviation", "skewness", "excess_kurtosis"), ("q",),
        ("method", "count", "covariance"),
    ),
    "worst": VectorMeasure(
        "the worst scenarios of the whole, and the parts that drive them", ("scenario", "pnl", "driver", "driver_pnl"),
        ("count",), ("scenarios", "within"),
    ),
}  # fmt: skip

MEASURES_OF_BUMPS = ("ladder", "delta_gamma_var")
"""Those of runs with ladders alone."""

_TYPED_PARAMETERS = ("q", "rule", "count", "within", "scenarios", "method")
_PARAMETERS = (*_TYPED_PARAMETERS, "covariance")


def parse_aggregate(text: str) -> Aggregate:
    """
    An aggregate as it is typed: the measure, then `name=value` words; lists are joined by commas.

    Raises:
        RequestError: BAD_AGGREGATE, and those of `check_aggregates`.
    """
    words = text.split()
    if not words:
        raise RequestError("BAD_AGGREGATE", "an aggregate must be a measure and its parameters, got ''")
    fields: dict[str, Any] = {"measure": words[0]}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if not equals or name not in ("by", "name", *_TYPED_PARAMETERS):
            known = ", ".join(("by", "name", *_TYPED_PARAMETERS))
            raise RequestError("BAD_AGGREGATE", f"a parameter must be one of {known} with =, got {word!r} in {text!r}")
        if name in fields:
            raise RequestError("BAD_AGGREGATE", f"a parameter must be given once, {name} is there twice in {text!r}")
        fields[name] = value.split(",") if name in ("by", "within") else value
    try:
        aggregate = msgspec.convert(fields, Aggregate, strict=False)
    except msgspec.ValidationError as error:
        raise RequestError("BAD_AGGREGATE", f"{text!r}: {error}") from None
    check_aggregates((aggregate,))
    return aggregate


def check_aggregates(aggregates: Sequence[Aggregate]) -> None:
    """
    Refuse what no book could make right.

    Raises:
        RequestError: UNKNOWN_MEASURE; BAD_AGGREGATE, a parameter that is missing, of no use, or out of bounds;
            BAD_QUANTILE; UNKNOWN_RULE; UNKNOWN_METHOD; DUPLICATE_AGGREGATE; TOO_LARGE.
    """
    if len(aggregates) > AGGREGATE_COUNT_MAX:
        sentence = f"a run must ask for at most {AGGREGATE_COUNT_MAX} aggregates, got {len(aggregates)}"
        raise RequestError("TOO_LARGE", sentence)
    labels: set[str] = set()
    for aggregate in aggregates:
        _check(aggregate)
        if aggregate.label in labels:
            sentence = f"aggregates must have different names, {aggregate.label!r} is there twice: give one a name"
            raise RequestError("DUPLICATE_AGGREGATE", sentence)
        labels.add(aggregate.label)


def _check(aggregate: Aggregate) -> None:
    measure = MEASURES_OF_VECTORS.get(aggregate.measure)
    if measure is None:
        known = ", ".join(MEASURES_OF_VECTORS)
        raise RequestError("UNKNOWN_MEASURE", f"an aggregate must be one of {known}, got {aggregate.measure[:64]!r}")
    where = f"aggregate {aggregate.label[:64]!r}"
    for name in _PARAMETERS:
        is_given = bool(getattr(aggregate, name))
        if name in measure.needs and not is_given:
            raise RequestError("BAD_AGGREGATE", f"{where} must have {name}")
        if is_given and name not in (*measure.needs, *measure.takes):
            raise RequestError("BAD_AGGREGATE", f"{where} must have no {name}: it says nothing to {aggregate.measure}")
    if "q" in measure.needs and not 0.0 < aggregate.q < 1.0:
        sentence = f"{where}: q must lie between 0 and 1, such as 0.99, got {aggregate.q}"
        raise RequestError("BAD_QUANTILE", sentence)
    if aggregate.rule and aggregate.rule not in measure.rules:
        sentence = f"{where}: rule must be one of {', '.join(measure.rules)}, got {aggregate.rule[:64]!r}"
        raise RequestError("UNKNOWN_RULE", sentence)
    if aggregate.method and aggregate.method not in QUADRATIC_METHODS:
        sentence = f"{where}: method must be one of {', '.join(QUADRATIC_METHODS)}, got {aggregate.method[:64]!r}"
        raise RequestError("UNKNOWN_METHOD", sentence)
    if aggregate.measure == "delta_gamma_var" and aggregate.count:
        _check_path_count(aggregate, where)
    if "count" in measure.needs and not 0 < aggregate.count <= WORST_COUNT_MAX:
        raise RequestError("BAD_AGGREGATE", f"{where}: count must be 1 to {WORST_COUNT_MAX}, got {aggregate.count}")
    _check_names(aggregate, where)


def _check_path_count(aggregate: Aggregate, where: str) -> None:
    if aggregate.method != "monte_carlo":
        raise RequestError("BAD_AGGREGATE", f"{where} must have no count: paths are of method=monte_carlo")
    if not 0 < aggregate.count <= PATH_COUNT_MAX:
        sentence = f"{where}: count must be 1 to {PATH_COUNT_MAX} paths, got {aggregate.count}"
        raise RequestError("BAD_AGGREGATE", sentence)


def _check_names(aggregate: Aggregate, where: str) -> None:
    keys = aggregate.by
    if len(keys) > KEY_COUNT_MAX or len(set(keys)) < len(keys) or not all(0 < len(key) <= 64 for key in keys):
        sentence = f"{where}: by must be at most {KEY_COUNT_MAX} different keys, got {', '.join(map(repr, keys))[:200]}"
        raise RequestError("BAD_AGGREGATE", sentence)
    if not set(aggregate.within) <= set(keys):
        sentence = f"{where}: within must be keys of by, {', '.join(keys)}, got {', '.join(aggregate.within)[:200]}"
        raise RequestError("BAD_AGGREGATE", sentence)
    if len(aggregate.label) > NAME_LENGTH_MAX or not aggregate.label.isprintable():
        sentence = f"an aggregate's name must have at most {NAME_LENGTH_MAX} printable characters"
        raise RequestError("BAD_AGGREGATE", f"{sentence}, got {aggregate.label[:64]!r}")


def scenarios_of(aggregate: Aggregate, names: Sequence[str]) -> tuple[int, ...]:
    """
    Positions in *names*, of which the first is the base, that the aggregate runs over.

    Raises:
        RequestError: NO_SCENARIO, its pattern names none.
    """
    pattern = aggregate.scenarios
    found = tuple(at for at, name in enumerate(names) if at and (not pattern or fnmatch.fnmatchcase(name, pattern)))
    if pattern and not found:
        sentence = f"aggregate {aggregate.label!r}: scenarios must name at least one beside the base, got {pattern!r}"
        raise RequestError("NO_SCENARIO", sentence)
    return found
