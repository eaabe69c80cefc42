"""Delta-gamma VaR as an aggregate of a run: planned, evaluated, against the functions it is made of; refusals."""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from tests.core.pricing.test_evaluate import Inputs, evaluate_all
from tests.core.pricing.test_ladder_run import MEMO, a_book
from xip_core import samples
from xip_core.client.tables import AggregateTable, table_of
from xip_core.errors import RequestError
from xip_core.graph import cost
from xip_core.graph.plan import NodeKind, Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.aggregates import Aggregate
from xip_core.model.covariance import covariance_of, encode_covariance, factor_names
from xip_core.model.market import decode_snapshot
from xip_core.model.run_spec import RiskWork, RunSpec
from xip_core.model.scenario import base_only, encode_scenarios
from xip_core.model.sensitivity import CrossGamma, Expansion, Ladder, SensitivitySet, encode_sensitivities, expand
from xip_core.risk.delta_gamma import cornish_fisher_var, cumulants, delta_gamma_pnl, normal_var
from xip_core.risk.measures import value_at_risk

WANTED = SensitivitySet(
    ladders=(
        Ladder(kind="par_rate", name="EUR1D", tenors=("1Y", "5Y", "20Y")),
        Ladder(kind="fx", is_gamma=True),
        Ladder(kind="vega", name="fx_volatility/*", tenors=("parallel",)),
    ),
    cross_gammas=(CrossGamma(first="fx/USD", second="vega/*"),),
)
ASKED = Aggregate(measure="delta_gamma_var", by=("asset_class",), q=0.99)
LADDER = Aggregate(measure="ladder", by=("asset_class",))


@functools.cache
def expansion(wanted: SensitivitySet = WANTED) -> Expansion:
    return expand(wanted, decode_snapshot(samples.load("cross-asset").market))


@functools.cache
def a_matrix() -> np.ndarray:
    """Of 40 drawn moves of every factor: regular, and all factors depend on each other."""
    moves = np.random.default_rng(3).normal(size=(len(expansion().bumps), 40))
    return moves @ moves.T / 40.0


def a_blob(change: Callable[[np.ndarray], np.ndarray] = np.array, names: tuple[str, ...] | None = None) -> bytes:
    return encode_covariance(covariance_of(names or factor_names(expansion()), change(a_matrix())))


def planned(
    *aggregates: Aggregate, covariance: bytes = b"", scenarios: bytes = encode_sensitivities(WANTED)
) -> tuple[Plan, Inputs]:
    blobs = [a_book(), samples.load("cross-asset").market, scenarios]
    held = {digest_of(blob): blob for blob in (*blobs, covariance)}
    if covariance:
        aggregates = tuple(
            msgspec.structs.replace(one, covariance=digest_of(covariance)) if one.q else one for one in aggregates
        )
    work = RiskWork(
        *map(digest_of, blobs), measures=("pv",), base_currency="EUR", as_of="2016-02-05", aggregates=aggregates
    )
    inputs = Inputs(held, MEMO)
    return plan_run(RunSpec(name="quadratic", work=work), inputs.blob), inputs


def tables_of(plan: Plan, inputs: Inputs) -> dict[str, AggregateTable]:
    values = evaluate_all(plan, inputs)
    nodes = (node for node in plan.nodes if node.kind is NodeKind.AGGREGATE)
    tables = [table_of(values[node.node_id, 0].detail) for node in nodes]
    return {table.name: table for table in tables}


def test_numbers_are_those_of_the_ladder_under_the_covariance() -> None:
    """The ladder's own table, put into delta and Gamma by names, gives the same numbers by the functions of `risk`."""
    methods = {name: msgspec.structs.replace(ASKED, method=name, name=name) for name in ("delta", "delta_gamma_normal")}
    methods["cornish_fisher"] = msgspec.structs.replace(ASKED, name="cornish_fisher")
    methods["monte_carlo"] = msgspec.structs.replace(ASKED, method="monte_carlo", count=4096, name="monte_carlo")
    tables = tables_of(*planned(LADDER, *methods.values(), covariance=a_blob()))
    place = {name: at for at, name in enumerate(factor_names(expansion()))}
    coefficients: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for record in tables["ladder_by_asset_class"].records():
        delta, gamma = coefficients.setdefault(
            record["asset_class"], (np.zeros(len(place)), np.zeros((len(place), len(place))))
        )
        first = place[f"{record['kind']} {record['object']} {record['bucket']}"]
        if record["measure"] == "delta":
            delta[first] = record["value"]
        elif record["measure"] == "gamma":
            gamma[first, first] = record["value"]
        else:
            second = place[f"vega {record['object_2']} {record['bucket_2']}"]
            gamma[first, second] = gamma[second, first] = record["value"]
    assert np.count_nonzero(coefficients["fx"][1]) > 2, "no cross gamma: nothing is tested"
    for row, (asset_class, (delta, gamma)) in enumerate(coefficients.items()):
        moments = cumulants(delta, gamma, a_matrix())
        pnl = delta_gamma_pnl(delta, gamma, a_matrix(), 4096)[None, :]
        expected = {
            "delta": normal_var(cumulants(delta, np.zeros(len(delta)), a_matrix()), 0.99),
            "delta_gamma_normal": normal_var(moments, 0.99),
            "cornish_fisher": cornish_fisher_var(moments, 0.99),
            "monte_carlo": value_at_risk(pnl, 0.99)[0],
        }
        assert tables["delta"].keys[row] == (asset_class,)
        found = {name: tables[name].columns["delta_gamma_var"][row] for name in expected}
        assert found == pytest.approx(expected, rel=1e-12)
        columns = tables["cornish_fisher"].columns
        assert columns["deviation"][row] == pytest.approx(np.sqrt(moments.variance), rel=1e-12)
        assert columns["skewness"][row] == pytest.approx(moments.skewness, rel=1e-9)


def test_the_covariance_is_an_input_of_the_plan_and_its_operation_names_its_kernel() -> None:
    plan, _ = planned(ASKED, covariance=a_blob())
    assert digest_of(a_blob()) in plan.input_digests
    (node,) = (node for node in plan.nodes if node.kind is NodeKind.AGGREGATE)
    assert dict(node.kernels).keys() == {"quadratic", "monte_carlo.normals"}


def declared_s(*aggregates: Aggregate) -> list[float]:
    plan, _ = planned(*aggregates, covariance=a_blob())
    return [node.cost_s for node in plan.nodes if node.kind is NodeKind.AGGREGATE]


def test_a_plan_declares_what_the_quadratic_form_costs() -> None:
    """Beside adding groups, as any table of the same vector: moments of each row, and paths once for all rows."""
    total = msgspec.structs.replace(ASKED, by=())
    asked = [
        msgspec.structs.replace(one, name=f"t{len(one.by)}{method}", method=method, count=4096 if method else 0)
        for one in (total, ASKED)
        for method in ("", "monte_carlo")
    ]
    added, moments, simulated, moments_of_classes, simulated_of_classes = declared_s(LADDER, *asked)
    plan, _ = planned(ASKED, covariance=a_blob())
    class_count = len(plan.groups.labels)
    factor_count = len(expansion().bumps)
    paths = cost.paths_s(4096, factor_count)
    pnl = 4096 * len(expansion().sensitivities) * cost.PATH_S_PER_COEFFICIENT
    assert class_count > 2
    assert moments - added == pytest.approx(cost.moments_s(factor_count))
    assert simulated - moments == pytest.approx(paths + pnl)
    assert moments_of_classes - added == pytest.approx(class_count * cost.moments_s(factor_count))
    assert simulated_of_classes - moments_of_classes == pytest.approx(paths + class_count * pnl)


def test_a_covariance_of_more_factors_in_another_order_gives_the_same_numbers() -> None:
    names = factor_names(expansion())
    order = np.random.default_rng(1).permutation(len(names))
    wide = np.eye(len(names) + 1)
    wide[1:, 1:] = a_matrix()[np.ix_(order, order)]
    shuffled = encode_covariance(covariance_of(("gold", *(names[at] for at in order)), wide))
    expected = tables_of(*planned(ASKED, covariance=a_blob()))[ASKED.label].columns
    found = tables_of(*planned(ASKED, covariance=shuffled))[ASKED.label].columns
    assert {name: values.tobytes() for name, values in found.items()} == {
        name: values.tobytes() for name, values in expected.items()
    }


def test_a_group_outside_the_expansion_has_no_number_and_says_so() -> None:
    """One factor moves so much that its gamma rules: a chi-square, whose 90 % quantile Cornish-Fisher does not find."""
    asked = msgspec.structs.replace(ASKED, q=0.9)
    is_dollar = [name == "fx fx/USD spot" for name in factor_names(expansion())]
    blob = a_blob(lambda matrix: np.diag(np.where(is_dollar, 1e10, 0.0)))
    table = tables_of(*planned(asked, covariance=blob))[asked.label]
    status = {record["asset_class"]: record for record in table.records()}
    assert status["fx"]["status"] == "outside the expansion: method=monte_carlo"
    assert np.isnan(status["fx"]["delta_gamma_var"])
    assert status["fx"]["excess_kurtosis"] > 1.0
    assert status["rates"]["status"] == "ok", "what is linear in the dollar has a number"


def not_symmetric(matrix: np.ndarray) -> np.ndarray:
    found = np.array(matrix)
    found[0, 1] += 0.5
    return found


def not_semidefinite(matrix: np.ndarray) -> np.ndarray:
    found = np.array(matrix)
    found[0, 1] = found[1, 0] = 2.0 * np.sqrt(matrix[0, 0] * matrix[1, 1])
    return found


@pytest.mark.parametrize(
    ("blob", "asked", "reason", "sentence"),
    [
        (b"", ASKED, "COVARIANCE_MISSING", "must have a covariance of the ladders' factors, got none"),
        (a_blob(not_symmetric), ASKED, "BAD_COVARIANCE", r"symmetric, got .* at \('par_rate curve/EUR1D 1Y'"),
        (a_blob(not_semidefinite), ASKED, "BAD_COVARIANCE", "it is not from 'par_rate curve/EUR1D 5Y' on"),
        (a_blob(np.negative), ASKED, "BAD_COVARIANCE", "at least 0, got .* of 'par_rate curve/EUR1D 1Y'"),
        (a_blob(lambda matrix: matrix * np.nan), ASKED, "BAD_COVARIANCE", "finite, got nan"),
        (a_blob(names=("gold", *factor_names(expansion())[1:])), ASKED, "FACTOR_MISSING",
         "it lacks 1 of .*: 'par_rate curve/EUR1D 1Y'"),
        (b"{}", ASKED, "BAD_COVARIANCE", "a covariance does not decode"),
        (a_blob(), msgspec.structs.replace(ASKED, method="monte_carlo", count=50), "TOO_FEW_SCENARIOS", "100"),
        (a_blob(), msgspec.structs.replace(ASKED, q=1.0), "BAD_QUANTILE", "q must lie between 0 and 1"),
        (a_blob(), msgspec.structs.replace(ASKED, method="saddle"), "UNKNOWN_METHOD", "one of cornish_fisher"),
        (a_blob(), msgspec.structs.replace(ASKED, count=50), "BAD_AGGREGATE", "paths are of method=monte_carlo"),
    ],
)  # fmt: skip
def test_what_does_not_make_a_var_is_refused_before_the_run(
    blob: bytes, asked: Aggregate, reason: str, sentence: str
) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        planned(asked, covariance=blob)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("scenarios", "method", "sentence"),
    [
        (encode_scenarios(base_only()), "", "made of sensitivities, which the run must have in place of scenarios"),
        (encode_sensitivities(SensitivitySet(ladders=(Ladder(kind="fx"),))), "", "cornish_fisher needs gammas"),
        (
            encode_sensitivities(
                SensitivitySet(ladders=(Ladder(kind="par_rate", name="EUR1D"), Ladder(kind="zero_rate", name="EUR1D")))
            ),
            "delta",
            "move one curve: its risk would count twice",
        ),
    ],
)
def test_a_run_whose_scenarios_are_no_quadratic_pnl_is_refused(scenarios: bytes, method: str, sentence: str) -> None:
    asked = msgspec.structs.replace(ASKED, method=method)
    with pytest.raises(RequestError, match=sentence) as refused:
        planned(asked, covariance=a_blob(), scenarios=scenarios)
    assert refused.value.reason == "BAD_AGGREGATE"
