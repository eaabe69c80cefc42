"""Names of conventions, calendars and rate indices as ORE writes them, and the conventions of those indices.

Facts of the index administrators as QuantLib states them: LIBOR fixes on London days, value and maturity dates are
also good days in the currency's centre; EURIBOR lives on TARGET.
"""

from __future__ import annotations

from xip_core.model.market_instruments import RateIndex
from xip_core.model.trade import Convention, DayCount

DAY_COUNTS: dict[str, DayCount] = {
    "A360": "A360",
    "ACT/360": "A360",
    "Actual/360": "A360",
    "A365": "A365F",
    "A365F": "A365F",
    "ACT/365": "A365F",
    "Actual/365 (Fixed)": "A365F",
    "30/360": "30U/360",  # ORE means the bond basis of the US, which has a rule for the end of February
    "Thirty360": "30U/360",
    "ACT/ACT": "ACT/ACT ISDA",
}

CONVENTIONS: dict[str, Convention] = {
    "F": "following",
    "Following": "following",
    "MF": "modified_following",
    "ModifiedFollowing": "modified_following",
    "Modified Following": "modified_following",
    "P": "preceding",
    "Preceding": "preceding",
    "MP": "modified_preceding",
    "U": "unadjusted",
    "Unadjusted": "unadjusted",
}

FREQUENCY_MONTHS = {"Annual": 12, "Semiannual": 6, "Quarterly": 3, "Monthly": 1}

_TERM_FAMILIES: dict[str, tuple[int, str, str, DayCount]] = {
    # family: (settlement days, fixing calendar, value calendar, day count)
    "EUR-EURIBOR": (2, "TARGET", "", "A360"),
    "USD-LIBOR": (2, "UK", "UK,US", "A360"),
    "GBP-LIBOR": (0, "UK", "", "A365F"),
    "CHF-LIBOR": (2, "UK", "UK,ZUB", "A360"),
    "JPY-LIBOR": (2, "UK", "UK,JP", "A360"),
}

_OVERNIGHT: dict[str, tuple[str, DayCount]] = {
    "EUR-EONIA": ("TARGET", "A360"),
    "USD-FedFunds": ("US-FED", "A360"),
    "GBP-SONIA": ("UK", "A365F"),
    "CHF-TOIS": ("ZUB", "A360"),
    "JPY-TONAR": ("JP", "A365F"),
}


def rate_index(name: str, curve: str) -> RateIndex | None:
    """Conventions of an index by its ORE name ("USD-LIBOR-3M", "EUR-EONIA"); None where it is not one we know."""
    if name in _OVERNIGHT:
        calendar, day_count = _OVERNIGHT[name]
        return RateIndex(
            name=name,
            currency=name[:3],
            tenor="1D",
            settlement_days=0,
            calendar=calendar,
            convention="following",
            day_count=day_count,
            curve=curve,
        )
    family, _, tenor = name.rpartition("-")
    if family not in _TERM_FAMILIES:
        return None
    settlement_days, calendar, value_calendar, day_count = _TERM_FAMILIES[family]
    is_monthly = tenor.endswith(("M", "Y"))
    return RateIndex(
        name=name,
        currency=name[:3],
        tenor=tenor,
        settlement_days=settlement_days,
        calendar=calendar,
        convention="modified_following" if is_monthly else "following",
        day_count=day_count,
        curve=curve,
        end_of_month=is_monthly,
        value_calendar=value_calendar,
    )
