"""What came out of a calibration: every object with its instruments, what is left of each quote, and what was refused.

    report = calibration_report(snapshot)
    report.objects[0].worst_residual          in units of the quotes
    report.is_complete                        every object stands

A residual is what would have to be added to the quote for the fit to be perfect, to first order: minus the residual of
the instrument's equation over its derivative to the quote. Objects whose factors are formulas of their quotes have none
and took no round. An object is refused, with everything built on it, where a quote is missing or none, where its
equations have no solution, where more than rounding is left (`curves_fit.RESIDUAL_MAX`) and where the curve that fits
cannot be meant (a negative hazard rate); the reason names the instrument, its quote and what is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import CellError, Failure, FailureReason
from xip_core.model.dates import date_of
from xip_core.model.market import Snapshot, usable_quote
from xip_core.pricing.calibrate import Calibrator, calibrator_of
from xip_core.pricing.calibrate_failures import PartialFailure
from xip_core.pricing.market_layout import SnapshotLayout

Floats = npt.NDArray[np.float64]


class InstrumentFit(msgspec.Struct, frozen=True):
    """One quote of an object.

    Attributes:
        value: as the snapshot has it; None where it is missing or no number.
        pillar: the day of its knot, "" where it has none.
        residual: in units of the quote; None where there is nothing to solve or the object was refused before it.
    """

    quote: str
    value: float | None
    pillar: str = ""
    residual: float | None = None


class ObjectFit(msgspec.Struct, frozen=True):
    """One market object.

    Attributes:
        rounds: the most iterations an unknown took from a flat start; 0 where nothing is solved for.
        reason, message: why it was refused ("" where it stands), in words of FailureReason.
        is_partial: only some of its factors were refused.
    """

    name: str
    instruments: tuple[InstrumentFit, ...]
    rounds: int = 0
    reason: str = ""
    message: str = ""
    is_partial: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether it has no numbers."""
        return bool(self.reason) and not self.is_partial

    @property
    def worst(self) -> InstrumentFit | None:
        """The instrument with the largest residual; None where nothing is solved for."""
        solved = [item for item in self.instruments if item.residual is not None]
        return max(solved, key=lambda item: abs(item.residual or 0.0), default=None)

    @property
    def worst_residual(self) -> float:
        """Largest residual, in units of its quote; 0 where nothing is solved for."""
        worst = self.worst
        return abs(worst.residual) if worst is not None and worst.residual is not None else 0.0


class CalibrationReport(msgspec.Struct, frozen=True):
    """Every object of a snapshot, parents first; objects that cannot be laid out come last."""

    objects: tuple[ObjectFit, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every object stands, with all its factors."""
        return not any(item.reason for item in self.objects)


def calibration_report(snapshot: Snapshot, layout: SnapshotLayout | None = None) -> CalibrationReport:
    """Calibrates the base market of a snapshot and says how well.

    Args:
        layout: of this snapshot, where there is one already.
    """
    layout = layout or SnapshotLayout(snapshot)
    calibrator = calibrator_of(snapshot, layout)
    market, failures = calibrator.base_market()
    found = [_object_fit(snapshot, layout, calibrator, market, failures, name) for name in calibrator.order]
    for name, sentence in layout.broken.items():
        quotes = tuple(InstrumentFit(use.quote, _value(snapshot, use.quote)) for use in layout.objects[name].quotes)
        found.append(ObjectFit(name, quotes, 0, FailureReason.CALIBRATION_FAILED.name, f"{name}: {sentence}"))
    return CalibrationReport(tuple(found))


def _object_fit(
    snapshot: Snapshot,
    layout: SnapshotLayout,
    calibrator: Calibrator,
    market: Floats,
    failures: Mapping[str, Failure],
    name: str,
) -> ObjectFit:
    residuals, rounds = _residuals(snapshot, layout, calibrator, market, failures, name)
    kind, short_name = name.split("/", 1)
    if kind == "curve":
        slot = layout.curves[short_name]
        used = [(item.quote, str(date_of(item.pillar_day))) for item in slot.instruments]
    elif kind == "hazard":
        days = layout.hazards[short_name].knot_days
        quotes = [use.quote for use in layout.objects[name].quotes]
        used = [(quote, str(date_of(day))) for quote, day in zip(quotes, days, strict=True)]
    else:
        used = [(use.quote, "") for use in layout.objects[name].quotes]
    left = residuals if residuals is not None else [None] * len(used)
    fits = tuple(
        InstrumentFit(quote, _value(snapshot, quote), pillar, residual)
        for (quote, pillar), residual in zip(used, left, strict=True)
    )
    failure = failures.get(name)
    if failure is None:
        return ObjectFit(name, fits, rounds)
    return ObjectFit(name, fits, rounds, failure.reason.name, failure.message, isinstance(failure, PartialFailure))


def _residuals(
    snapshot: Snapshot,
    layout: SnapshotLayout,
    calibrator: Calibrator,
    market: Floats,
    failures: Mapping[str, Failure],
    name: str,
) -> tuple[list[float | None] | None, int]:
    """Residuals in units of the quotes, and rounds; None where nothing is solved for or a parent failed."""
    if any(parent in failures for parent in layout.objects[name].parents):
        return None, 0
    failure = failures.get(name)
    stripper = calibrator.builder.stripper_of(name)
    if stripper is not None and (failure is None or isinstance(failure, PartialFailure)):
        begin, end = layout.ranges[name]
        quotes = np.array([usable_quote(snapshot.quotes, use.quote) for use in layout.objects[name].quotes])
        nodes = market[begin:end][: stripper.node_count]
        return [_number(value) for value in stripper.residuals(market, quotes, nodes)], 0
    solved = calibrator.builder.solve_cold(name, market, snapshot.quotes)
    return (None, 0) if solved is None else ([_number(value) for value in solved.residuals], solved.rounds)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _value(snapshot: Snapshot, quote: str) -> float | None:
    try:
        return usable_quote(snapshot.quotes, quote)
    except CellError:
        return None
