"""Trades and market snapshots to numbers.

Doors for quants: `requirements` and `calculate` (xip_core/pricing/book.py), `calibration_report`
(xip_core/pricing/fit_report.py) and `quote_jacobian` (xip_core/pricing/quote_sensitivities.py). Workers evaluate
tiles (xip_core/pricing/evaluate.py). Loaded at first use, because numpy and the kernels take 100 ms.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xip_core.pricing.book import Calculation, Requirement, calculate, requirements
    from xip_core.pricing.fit_report import CalibrationReport, calibration_report
    from xip_core.pricing.quote_sensitivities import QuoteJacobian, quote_jacobian

__all__ = [
    "Calculation",
    "CalibrationReport",
    "QuoteJacobian",
    "Requirement",
    "calculate",
    "calibration_report",
    "quote_jacobian",
    "requirements",
]

_MODULE_OF = {
    **dict.fromkeys(("Calculation", "Requirement", "calculate", "requirements"), "book"),
    **dict.fromkeys(("CalibrationReport", "calibration_report"), "fit_report"),
    **dict.fromkeys(("QuoteJacobian", "quote_jacobian"), "quote_sensitivities"),
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"xip_core.pricing.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'xip_core.pricing' has no attribute {name!r}")
