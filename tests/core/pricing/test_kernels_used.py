"""What a plan says its nodes need is what their evaluation calls."""

from __future__ import annotations

import datetime as dt
from types import ModuleType

import pytest

from tests.core.pricing.isda_market import isda_snapshot, standard_cds
from tests.core.pricing.test_evaluate import a_run, good_book
from xip_core.graph.plan import NodeKind
from xip_core.kernel_versions import KERNELS_USED, OPERATION_VERSIONS, requirements
from xip_core.kernels import catalogue as catalogue_module
from xip_core.model.market_instruments import Pillar
from xip_core.model.trade import PROGRAM_OF
from xip_core.pricing import (
    arithmetic,
    curves_isda,
    curves_system,
    smile_values,
    surfaces_caplets,
    surfaces_fit,
    surfaces_quotes,
    value,
)
from xip_core.pricing.book import calculate
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.market_layout import SnapshotLayout

KERNEL_OF_MODULE = {
    "bachelier": "bachelier.european",
    "black": "black.european",
    "elementary": "elementary.log",
    "terms": "terms.rows",
    "volatility_sabr": "volatility.sabr",
    "volatility_svi": "volatility.svi",
}


SMALL = {"trade_date": "2024-01-16", "deposits": {"6M": 0.03}, "swaps": {"10Y": 0.03}, "swaps_fixed_freq": "Annual"}


class Watched:
    """Wraps a module of kernels; every look at a function of it is a call of the kernel."""

    def __init__(self, module: ModuleType, name: str, called: set[str]) -> None:
        self._module, self._name, self._called = module, name, called

    def __getattr__(self, attribute: str) -> object:
        if attribute != "OUTPUTS":
            self._called.add("volatility.sabr_normal" if attribute == "sabr_normal" else self._name)
        return getattr(self._module, attribute)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    names: set[str] = set()
    for module in (arithmetic, curves_isda, value):
        monkeypatch.setattr(module, "terms", Watched(module.terms, "terms.rows", names))
    monkeypatch.setattr(value, "option_rows", Watched(value.option_rows, "option.rows", names))
    for module in (curves_isda, value):
        steps = Watched(module.default_steps, "credit.default_steps", names)
        monkeypatch.setattr(module, "default_steps", steps)
    for module in (arithmetic, smile_values, value):
        load = module.load_module
        monkeypatch.setattr(
            module, "load_module", lambda name, load=load: Watched(load(name), KERNEL_OF_MODULE[name], names)
        )
    watched_solver = Watched(curves_system.calibration, "calibration.system", names)
    monkeypatch.setattr(curves_system, "calibration", watched_solver)
    monkeypatch.setattr(surfaces_caplets, "caplets", Watched(surfaces_caplets.caplets, "caplets.strip", names))
    evaluate = catalogue_module.evaluate

    def watched(name: str, **columns: object) -> object:
        names.add(name)
        return evaluate(name, **columns)

    for module in (surfaces_caplets, surfaces_fit, surfaces_quotes):
        monkeypatch.setattr(module, "evaluate", watched)
    return names


def test_every_operation_of_a_run_calls_only_the_kernels_it_declares(called: set[str]) -> None:
    plan, inputs = a_run(good_book())
    undeclared: set[tuple[str, str]] = set()
    priced_with: set[str] = set()
    for node in plan.nodes:
        called.clear()
        for tile in range(node.tile_count):
            result = evaluate_tile(plan, node.node_id, tile, inputs, lambda: False)
            inputs.outputs[node.node_id, tile] = result.output
        undeclared |= {(node.kernel, name) for name in called - set(KERNELS_USED[node.kernel])}
        priced_with |= called if node.kind is NodeKind.VALUE else set()
    assert undeclared == set()
    exercised = {"terms.rows", "option.rows", "black.european", "bachelier.european"}
    assert priced_with >= exercised, "the book must exercise them"


def test_contracts_of_the_isda_model_call_only_what_their_operations_declare(called: set[str]) -> None:
    snapshot = isda_snapshot(SMALL, cds_spreads=(Pillar("5Y", "SPREAD"),), quotes={"SPREAD": 0.01})
    trade = standard_cds(snapshot.as_of, dt.date(2029, 6, 20), 0.01)
    calibrator = calibrator_of(snapshot, SnapshotLayout(snapshot))
    calibrator.calibrate([{}])
    assert "credit.default_steps" in called <= set(KERNELS_USED["calibrate"])
    called.clear()
    assert calculate([trade], snapshot).failures == {}
    assert "credit.default_steps" in called <= {*KERNELS_USED["calibrate"], *KERNELS_USED["terms"]}
    assert "credit.default_steps" in KERNELS_USED["terms"]


def test_every_row_program_and_operation_has_a_version_and_its_kernels() -> None:
    assert set(PROGRAM_OF.values()) <= set(OPERATION_VERSIONS)
    assert set(OPERATION_VERSIONS) == set(KERNELS_USED)


def test_a_plan_names_what_each_node_needs() -> None:
    plan, _ = a_run(good_book())
    for node in plan.nodes:
        makes = (plan.nodes[ref.node_id] for ref in node.inputs if node.kind is NodeKind.VALUE)
        assert node.kernels == requirements(node.kernel, *(each.kernel for each in makes)), "rows and blocks, made anew"
        assert (node.kernel, node.kernel_version) in node.kernels
