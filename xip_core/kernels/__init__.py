"""Pricing kernels: columns of numbers in, columns of numbers out; no trade, no date, no currency.

Closed-form kernels are called by name through `evaluate`; `catalogue()` lists them. `terms` values linear products on
the market vector and `option_rows` options on it, `calibration` solves for the knots of curves, `caplets` strips cap
volatilities, `default_steps` is default between two days, `tile_cells` what a value tile does beside pricing: these are
called directly. Compiled modules are chosen per CPU level in `xip_core.kernels.level` and loaded at first use.
"""

from __future__ import annotations

import types

COMPILED_DIRECTLY_CALLED = (
    "calibration", "caplets", "default_steps", "monte_carlo", "option_rows", "suitability", "terms", "tile_cells",
)  # fmt: skip


def __getattr__(name: str) -> types.ModuleType:
    if name in COMPILED_DIRECTLY_CALLED:
        from xip_core.kernels.level import load_module

        module = load_module(name)
        globals()[name] = module
        return module
    raise AttributeError(f"module 'xip_core.kernels' has no attribute {name!r}")
