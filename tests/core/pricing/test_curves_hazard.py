"""xip_core.pricing.curves_hazard: survival from the spreads of contracts, valued at mid-points"""

from __future__ import annotations

import msgspec
import pytest

from tests.core.small_market import AS_OF, a_snapshot
from xip_core.model.trade import Cds, FixedLeg, Schedule
from xip_core.pricing import calculate
from xip_core.pricing.curves_pillars import cds_maturity

NOTIONAL = 1e7


def quoted_contract(tenor: str, spread: float) -> Cds:
    """What the spread of *tenor* is quoted for: protection and premium from today, accrued premium given back."""
    leg = FixedLeg(
        currency="EUR",
        payer=True,
        day_count="A360",
        payment_convention="following",
        payment_calendar="WeekendsOnly",
        schedule=Schedule(
            start=AS_OF,
            end=cds_maturity(AS_OF, tenor),
            tenor="3M",
            calendar="WeekendsOnly",
            convention="following",
            rule="cds2015",
        ),
        notionals=(NOTIONAL,),
        rates=(spread,),
    )
    return Cds(id=tenor, leg=leg, credit_curve="BANK", protection_start=AS_OF)


@pytest.mark.parametrize("tenor", ["1Y", "5Y"])
def test_a_contract_at_its_quoted_spread_is_worth_nothing(tenor: str) -> None:
    """A default in the last period is charged the day of maturity too, whether the contract is quoted or traded."""
    snapshot = a_snapshot()
    hazard = msgspec.structs.replace(snapshot.hazards[0], protection_delay_days=0)
    market = msgspec.structs.replace(snapshot, hazards=(hazard,))
    spread = market.quotes[f"BANK.{tenor}"]
    values = calculate([quoted_contract(tenor, spread)], market)
    assert values.failures == {}
    assert values.pv[0, 0] == pytest.approx(0.0, abs=1e-13 * NOTIONAL)
