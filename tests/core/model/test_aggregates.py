"""xip_core.model.aggregates: what is typed, and what is refused before a book is read."""

from __future__ import annotations

import pytest

from xip_core.errors import RequestError
from xip_core.model.aggregates import (
    AGGREGATE_COUNT_MAX,
    MEASURES_OF_BUMPS,
    MEASURES_OF_VECTORS,
    QUANTILE_RULES,
    SHORTFALL_RULES,
    Aggregate,
    check_aggregates,
    parse_aggregate,
    scenarios_of,
)
from xip_core.pricing.aggregate import KERNELS
from xip_core.risk.quantiles import QuantileRule, ShortfallRule


def test_words_become_fields() -> None:
    text = "component_var by=desk,book within=desk q=0.975 rule=hazen scenarios=hist* name=parts"
    assert parse_aggregate(text) == Aggregate(
        measure="component_var",
        by=("desk", "book"),
        name="parts",
        q=0.975,
        rule="hazen",
        within=("desk",),
        scenarios="hist*",
    )


def test_a_table_without_a_name_has_that_of_its_measure_and_keys() -> None:
    assert parse_aggregate("var by=desk,book q=0.99").label == "var_by_desk_book"
    assert parse_aggregate("sum").label == "sum"


def test_rules_are_those_of_the_risk_functions() -> None:
    assert list(QUANTILE_RULES) == [str(rule) for rule in QuantileRule]
    assert list(SHORTFALL_RULES) == [str(rule) for rule in ShortfallRule]


def test_every_measure_is_computed_somewhere() -> None:
    assert set(KERNELS) | set(MEASURES_OF_BUMPS) == set(MEASURES_OF_VECTORS)


@pytest.mark.parametrize(
    ("text", "reason", "sentence"),
    [
        ("", "BAD_AGGREGATE", "must be a measure and its parameters"),
        ("vra q=0.99", "UNKNOWN_MEASURE", "must be one of sum, pnl, var, .* got 'vra'"),
        ("var", "BAD_AGGREGATE", "aggregate 'var' must have q"),
        ("var q=1.5", "BAD_QUANTILE", r"between 0 and 1, such as 0.99, got 1.5"),
        ("var q=nan", "BAD_QUANTILE", "got nan"),
        ("var q=much", "BAD_AGGREGATE", "Expected `float`"),
        ("var q=0.99 rule=fractional", "UNKNOWN_RULE", "rule must be one of order_statistic"),
        ("var q=0.99 q=0.95", "BAD_AGGREGATE", "given once, q is there twice"),
        ("var q=0.99 colour=red", "BAD_AGGREGATE", "must be one of by, name, q, .* got 'colour=red'"),
        ("var by=desk,desk q=0.99", "BAD_AGGREGATE", "by must be at most 8 different keys"),
        ("var by= q=0.99", "BAD_AGGREGATE", "by must be at most 8 different keys, got ''"),
        ("sum q=0.99", "BAD_AGGREGATE", "must have no q: it says nothing to sum"),
        ("worst", "BAD_AGGREGATE", "must have count"),
        ("worst count=-1", "BAD_AGGREGATE", "count must be 1 to 1000, got -1"),
        ("component_var by=desk within=book q=0.9", "BAD_AGGREGATE", "within must be keys of by, desk, got book"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_was_got(text: str, reason: str, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        parse_aggregate(text)
    assert refused.value.reason == reason


def test_two_tables_of_one_name_are_refused() -> None:
    with pytest.raises(RequestError, match="'var' is there twice: give one a name") as refused:
        check_aggregates([parse_aggregate("var q=0.99"), parse_aggregate("var q=0.95")])
    assert refused.value.reason == "DUPLICATE_AGGREGATE"
    check_aggregates([parse_aggregate("var q=0.99"), parse_aggregate("var q=0.95 name=var95")])


def test_more_tables_than_a_run_may_have_are_refused() -> None:
    many = [Aggregate(measure="sum", name=f"t{i}") for i in range(AGGREGATE_COUNT_MAX + 1)]
    check_aggregates(many[1:])
    with pytest.raises(RequestError, match="at most 64 aggregates, got 65"):
        check_aggregates(many)


def test_scenarios_are_chosen_by_name_and_never_the_base() -> None:
    names = ("hist base", "hist 1", "stress", "hist 2")
    assert scenarios_of(parse_aggregate("var q=0.5"), names) == (1, 2, 3)
    assert scenarios_of(parse_aggregate("var q=0.5 scenarios=hist*"), names) == (1, 3)
    with pytest.raises(RequestError, match="must name at least one beside the base, got 'x\\*'"):
        scenarios_of(parse_aggregate("var q=0.5 scenarios=x*"), names)
