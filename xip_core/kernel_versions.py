"""Which version of what a number rests on: the one list that planner, workers, scheduler and kernels share.

    planner   writes the versions that each node needs into the plan               `requirements`
    worker    announces what it has when it attaches                               `announced`
    scheduler leases a node only to a worker that announced all of it (S14)
    lineage   of a run is what its nodes needed

Two kinds of entries, in one vocabulary of (name, version):

* **kernels**: compiled functions; `kernels.declarations` describes them. Workers also announce those that other
  packages added, whose versions name their package (`kernels.installed`);
* **operations**: what is done with a tile, Python around kernels. Row programs (`pricing.program`) are operations: a
  resolve tile writes one, a value tile evaluates it.

A version is changed by hand whenever a number may change in any bit, or what a tile puts out changes its form. Old and
new versions of a worker may then run side by side: each run goes to those that have what it was planned with.

No imports: everything may import this.
"""

from __future__ import annotations

Versions = tuple[tuple[str, str], ...]
"""(name, version) pairs by name."""

KERNEL_VERSIONS = {
    "bachelier.european": "2",
    "black.european": "2",
    "bond.yield": "1",
    "calibration.system": "1",
    "caplets.strip": "1",
    "credit.cds_flat": "1",
    "credit.default_steps": "1",
    "elementary.log": "1",
    "equity.american": "2",
    "equity.asian": "1",
    "equity.asian_curran": "1",
    "equity.asian_geometric": "2",
    "equity.asian_strike": "1",
    "equity.autocallable": "1",
    "equity.barrier": "2",
    "equity.basket": "1",
    "equity.digital": "2",
    "equity.digital_barrier": "2",
    "equity.european": "2",
    "equity.heston": "1",
    "equity.lookback": "1",
    "equity.lookback_partial": "2",
    "equity.margrabe": "2",
    "equity.merton": "2",
    "equity.spread": "2",
    "equity.touch": "2",
    "fx.atm_strike": "1",
    "fx.delta": "1",
    "fx.european": "2",
    "fx.strike_of_delta": "1",
    "implied.bachelier": "2",
    "implied.black": "2",
    "monte_carlo.normals": "1",
    "option.rows": "1",
    "rates.rollback": "1",
    "suitability.numbers": "2",
    "terms.rows": "1",
    "volatility.sabr": "1",
    "volatility.sabr_normal": "1",
    "volatility.svi": "1",
}
"""`terms.rows` stands for all of its module, also `gradient`, `gather_linear` and `gather_exp`; so does
`monte_carlo.normals`; `calibration.system` is the solver of curves, `caplets.strip` that of cap surfaces."""

OPERATION_VERSIONS = {
    "aggregate": "1",
    "average": "4",
    "bermudan": "3",
    "blocks": "1",
    "bumps": "2",
    "calibrate": "6",
    "combine": "1",
    "greeks": "1",
    "option": "4",
    "optionlet": "4",
    "probe.noop": "1",
    "probe.spin": "1",
    "quadratic": "1",
    "reduce": "2",
    "suitability": "1",
    "sum": "1",
    "swaption": "4",
    "table": "1",
    "terms": "4",
}

TABLE_OPERATION = "table"
"""One kernel over a table: the kernel is named by the request, so the plan adds it to what the operation needs."""

SUITABILITY_OPERATION = "suitability"
BLOCKS_OPERATION = "blocks"
"""Taking row blocks from where the plan says they end: nodes with such blocks need it beside their own operation."""

GREEKS_OPERATION = "greeks"
"""What value nodes need beside their program where gamma or theta is asked for."""

_OPTION_KERNELS = ("bachelier.european", "black.european", "elementary.log", "option.rows", "terms.rows")

_CALIBRATION_KERNELS = (
    "bachelier.european",
    "black.european",
    "calibration.system",
    "caplets.strip",
    "credit.default_steps",
    "elementary.log",
    "fx.atm_strike",
    "fx.strike_of_delta",
    "terms.rows",
    "volatility.sabr",
    "volatility.sabr_normal",
    "volatility.svi",
)

KERNELS_USED: dict[str, tuple[str, ...]] = {
    "aggregate": (),
    "average": _OPTION_KERNELS,
    "bermudan": (*_OPTION_KERNELS, "rates.rollback"),
    BLOCKS_OPERATION: (),
    "bumps": _CALIBRATION_KERNELS,
    "calibrate": _CALIBRATION_KERNELS,
    "combine": (),
    GREEKS_OPERATION: (),
    "option": _OPTION_KERNELS,
    "optionlet": _OPTION_KERNELS,
    "probe.noop": (),
    "probe.spin": (),
    "quadratic": ("monte_carlo.normals",),
    "reduce": (),
    "suitability": ("suitability.numbers",),
    "sum": (),
    "swaption": _OPTION_KERNELS,
    TABLE_OPERATION: (),
    "terms": ("credit.default_steps", "elementary.log", "terms.rows"),
}
"""Kernels that an operation may call; tests/core/pricing/test_kernels_used.py watches what is called."""


def requirements(operation: str, *more: str) -> Versions:
    """What a worker must have to carry out *operation*, and *more*: the operations and the kernels they use."""
    operations = (operation, *more)
    needed = {name: OPERATION_VERSIONS[name] for name in operations}
    needed |= {name: KERNEL_VERSIONS[name] for operation in operations for name in KERNELS_USED[operation]}
    return tuple(sorted(needed.items()))


def announced() -> dict[str, str]:
    """Everything this package has, by name."""
    return OPERATION_VERSIONS | KERNEL_VERSIONS
