"""One named shift: what it aims at, and by how much. What the words mean is told in `model.scenario`."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import RequestError
from xip_core.model.market_instruments import Record
from xip_core.model.risk_class import RISK_CLASSES

Target = Literal[
    "quote",
    "curve",
    "currency",
    "fx",
    "equity",
    "commodity",
    "hazard",
    "security",
    "inflation",
    "fx_volatility",
    "equity_volatility",
    "commodity_volatility",
    "swaption_volatility",
    "cap_volatility",
    "risk_reversal",
    "butterfly",
    "dividend",
    "risk_class",
    "zero_rate",
    "hazard_rate",
]

SIZES = ("shift_bps", "shift_relative", "shift_absolute", "shift_factor")
CURVE_TARGETS = ("zero_rate", "hazard_rate")
"""Targets that are no quotes: curves as they stand after calibration."""

Number = TypeVar("Number", float, npt.NDArray[np.float64])

Unset = msgspec.UnsetType
"""Fields that came later are not written where they are not used: sets without them keep their bytes and digests."""


class Shift(Record, frozen=True, kw_only=True):
    """One change of quotes; exactly one of the four sizes is given.

    Attributes:
        name: pattern with * and ? for the object's (or quote's, currency's, risk class's) name.
        after: only maturities (of volatilities: expiries) longer than this tenor; "" for no bound.
        until: only maturities up to and including this tenor; "" for no bound.
        shift_bps: added, in 0.0001 of the quote's unit.
        shift_relative: fraction of the quote, 0.10 for +10 %.
        shift_absolute: added, in the quote's unit.
        shift_factor: multiplied by.
        tenor_after, tenor_until: as *after* and *until*, of the swaps behind swaption volatilities.
        strike_from, strike_until: only volatilities quoted at strikes in this closed range, on the axis the surface is
            quoted on (price or rate, strike less forward of a swaption cube, delta of risk reversals).
        moneyness_from, moneyness_until: only volatilities at strikes in this closed range as fractions of the
            forward, where the surface is quoted so, else of the spot; those at the money are at 1.
    """

    target: Target
    name: str
    after: str = ""
    until: str = ""
    shift_bps: float | None = None
    shift_relative: float | None = None
    shift_absolute: float | None = None
    shift_factor: float | Unset = msgspec.UNSET
    tenor_after: str | Unset = msgspec.UNSET
    tenor_until: str | Unset = msgspec.UNSET
    strike_from: float | Unset = msgspec.UNSET
    strike_until: float | Unset = msgspec.UNSET
    moneyness_from: float | Unset = msgspec.UNSET
    moneyness_until: float | Unset = msgspec.UNSET

    def __post_init__(self) -> None:
        size_count = (
            (self.shift_bps is not None)
            + (self.shift_relative is not None)
            + (self.shift_absolute is not None)
            + (self.shift_factor is not msgspec.UNSET)
        )
        if size_count != 1:
            sizes = [name for name in SIZES if getattr(self, name) not in (None, msgspec.UNSET)]
            raise self._refused(f"must have one size of {', '.join(SIZES)}, got {' and '.join(sizes) or 'none'}")
        if self.is_narrow:
            self._check_bounds()
        if self.target == "risk_class" and self.name not in RISK_CLASSES and not any(c in "*?[" for c in self.name):
            raise self._refused(f"must name one of {', '.join(RISK_CLASSES)}")

    def _check_bounds(self) -> None:
        for what, low, high in (
            ("strikes", self.strike_from, self.strike_until),
            ("moneyness", self.moneyness_from, self.moneyness_until),
        ):
            if not isinstance(low, Unset) and not isinstance(high, Unset) and low > high:
                raise self._refused(f"must have {what} from low to high, got {low!r} to {high!r}")
        if self.has_strikes and not (self.target.endswith("volatility") or self.is_broad):
            raise self._refused("must be of volatilities to be bounded by strike or moneyness")
        if self.target in CURVE_TARGETS:
            raise self._refused("must be bounded by maturity alone")

    @property
    def is_narrow(self) -> bool:
        """Bounded by more than maturity. A set has ten thousand shifts that are not, so no loop here."""
        unset = msgspec.UNSET
        return not (
            self.tenor_after is unset
            and self.tenor_until is unset
            and self.strike_from is unset
            and self.strike_until is unset
            and self.moneyness_from is unset
            and self.moneyness_until is unset
        )

    @property
    def is_broad(self) -> bool:
        """Its target does not say of itself whether it is of volatilities."""
        return self.target in ("quote", "risk_class", "risk_reversal", "butterfly")

    @property
    def has_strikes(self) -> bool:
        """Bounded by strike or moneyness."""
        bounds = (self.strike_from, self.strike_until, self.moneyness_from, self.moneyness_until)
        return any(not isinstance(bound, Unset) for bound in bounds)

    @property
    def has_tenors(self) -> bool:
        """Bounded by the swaps' length."""
        return any(not isinstance(bound, Unset) for bound in (self.tenor_after, self.tenor_until))

    @property
    def aim(self) -> tuple[object, ...]:
        """What it means in a market, whatever its size; the key of what was found for it."""
        place = (self.target, self.name, self.after, self.until)
        if not self.is_narrow:
            return place
        narrow = (self.tenor_after, self.tenor_until, self.strike_from, self.strike_until)
        return (*place, *narrow, self.moneyness_from, self.moneyness_until)

    @property
    def step(self) -> tuple[bool, float]:
        """Whether the size multiplies a quote, and by how much; else what it adds. As `shifted` has it."""
        if self.shift_bps is not None:
            return False, self.shift_bps * 1e-4
        if self.shift_relative is not None:
            return True, 1.0 + self.shift_relative
        if not isinstance(self.shift_factor, Unset):
            return True, self.shift_factor
        return False, self.shift_absolute or 0.0

    def shifted(self, value: Number) -> Number:
        """The quote after this shift; an array of quotes as one."""
        is_factor, size = self.step
        return value * size if is_factor else value + size

    def __str__(self) -> str:
        bucket = f" after {self.after or 'now'} until {self.until or 'the end'}" if self.after or self.until else ""
        strikes = " at its strikes" if self.has_strikes else ""
        return f"shift of {self.target} {self.name!r}{bucket}{strikes}"

    def _refused(self, fault: str) -> RequestError:
        return RequestError("BAD_SCENARIO", f"a shift of {self.target} {self.name!r} {fault}")
