"""What trades of every kind are made of: words, schedules, premiums, and the fields all of them have.

Encoding and units: `xip_core.model.trade`.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

Convention = Literal["following", "modified_following", "preceding", "modified_preceding", "unadjusted"]
DayCount = Literal[
    "A360", "A365F", "30/360", "30E/360", "30E/360 ISDA", "30U/360",
    "ACT/ACT ISDA", "ACT/ACT ICMA", "ACT/ACT AFB", "NL/365", "1/1",
]  # fmt: skip
ScheduleRule = Literal["forward", "backward", "zero", "imm", "cds2015"]
Position = Literal["long", "short"]
OptionType = Literal["call", "put"]
Settlement = Literal["physical", "cash"]


class TradeRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every struct of a trade is."""


class Schedule(TradeRecord, frozen=True, kw_only=True):
    """Period boundaries: either a rule (start, end, tenor) or the dates themselves.

    Attributes:
        calendar: a name, or several joined by commas, of xip_core.model.calendars.
        term_convention: for the last date; None means like the others.
        end_of_month: keep to month ends when the start is one.
        first_date, last_date: ends of a stub at the front and at the back.
        dates: explicit boundaries, adjusted by *convention* (no rule field may be given then).
    """

    start: dt.date | None = None
    end: dt.date | None = None
    tenor: str = ""
    calendar: str = "WeekendsOnly"
    convention: Convention = "modified_following"
    term_convention: Convention | None = None
    rule: ScheduleRule = "forward"
    end_of_month: bool = False
    first_date: dt.date | None = None
    last_date: dt.date | None = None
    dates: tuple[dt.date, ...] = ()

    def __post_init__(self) -> None:
        if self.dates:
            if self.start or self.end or self.tenor:
                raise ValueError("a schedule has either dates or start, end and tenor, got both")
            if len(self.dates) < 2 or any(a >= b for a, b in zip(self.dates, self.dates[1:], strict=False)):
                raise ValueError("schedule dates must be at least two and ascending")
        elif self.start is None or self.end is None or not self.tenor:
            raise ValueError("a schedule needs dates, or start, end and tenor")
        elif self.start >= self.end:
            raise ValueError(f"schedule start must be before its end, got {self.start} and {self.end}")


class Premium(TradeRecord, frozen=True, kw_only=True):
    """One payment for the option, made by its holder."""

    amount: float
    currency: str
    pay_date: dt.date


class TradeTerms(TradeRecord, frozen=True, kw_only=True, tag_field="type"):
    """What every trade has; book, desk, counterparty and tags are labels that pricing ignores and sums go by."""

    id: str
    book: str = ""
    desk: str = ""
    counterparty: str = ""
    tags: dict[str, str] = {}
