"""Rights that can be exercised on several days. Encoding and units: `xip_core.model.trade`."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

from xip_core.model.trade_legs import Leg
from xip_core.model.trade_records import Position, Premium, TradeTerms


class BermudanSwaption(TradeTerms, frozen=True, kw_only=True, tag="bermudan_swaption"):
    """Right to enter, on one of several days, what is left of the swap of *legs*: the periods that begin later.

    Attributes:
        legs: one fixed and one floating leg of one currency.
        exercises: ascending.
    """

    legs: tuple[Leg, Leg]
    exercises: tuple[dt.date, ...]
    position: Position
    premiums: tuple[Premium, ...] = ()

    def __post_init__(self) -> None:
        dates = self.exercises
        if not dates or any(a >= b for a, b in pairwise(dates)):
            raise ValueError("exercises must be at least one day and ascending")
