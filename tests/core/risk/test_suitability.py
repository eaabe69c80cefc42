"""xip_core.risk.suitability"""

from __future__ import annotations

import datetime as dt
import math
from statistics import NormalDist

import msgspec
import numpy as np
import pytest

from tests.core.risk.some_clients import a_profile, clients, one_client, profiles, vectors
from xip_core.errors import ArgumentError
from xip_core.model.suitability import RULES, ClientStatus, InstrumentTerms, Verdict, market_risk_class
from xip_core.risk.suitability import (
    NO_RULE,
    InstrumentVectors,
    Judged,
    Parameters,
    compiled,
    instrument_vectors,
    judge_clients,
    parameters,
    reference_numbers,
    verdicts,
)

GIVEN = Parameters(place=1, span_years=10 / 252, large_issuer_share=0.05)


def judged(
    table_of: InstrumentVectors, positions: list[tuple[int, float]], given: Parameters = GIVEN, **client: float
) -> Judged:
    table = one_client(positions, **client)  # type: ignore[arg-type]  # knowledge is an int
    return judge_clients(compiled(table_of), table, 0, 1, profiles(), given)


def number(result: Judged, rule: str) -> float:
    return float(result.numbers[0, RULES.index(rule)])


def flat(instrument_count: int = 4, **change: object) -> InstrumentVectors:
    """Instruments worth 100 without risk, codes or maturities, and what is changed of it."""
    zero, none = np.zeros(instrument_count), np.full(instrument_count, -1, np.int32)
    plain = InstrumentVectors(
        market=np.zeros((instrument_count, 40)),
        stress=np.zeros((instrument_count, 2)),
        pv=zero + 100.0,
        exposure=zero + 100.0,
        maturity=zero + math.nan,
        issuer=none,
        sector=none,
        currency=none,
        has_number=np.ones(instrument_count, np.uint8),
        is_illiquid=np.zeros(instrument_count, np.uint8),
        knowledge=np.zeros(instrument_count, np.uint8),
    )
    return msgspec.structs.replace(plain, **change)


def test_numbers_are_those_of_the_reference() -> None:
    instruments, table, given = vectors(), clients(), parameters(profiles(), 60, 10 / 252)
    result = judge_clients(compiled(instruments), table, 0, table.client_count, profiles(), given)
    assert (result.status == 0).sum() > 30
    for client in range(table.client_count):
        expected, status, missing = reference_numbers(instruments, table, client, given)
        assert (ClientStatus(result.status[client]), result.missing[client]) == (status, missing)
        assert result.numbers[client] == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True), client


def test_volatility_is_annual_and_of_the_assets() -> None:
    """P&Ls +1 and -1 by turns on a unit, ten units, 1,000 in cash beside 1,000 of assets; ten days of 252."""
    market = np.tile([1.0, -1.0], 20)[None, :].repeat(4, axis=0)
    result = judged(flat(market=market), [(0, 10.0)], cash=1000.0)
    assert number(result, "volatility") == pytest.approx(
        10.0 * math.sqrt(40 / 39) / 2000.0 * math.sqrt(25.2), rel=1e-14
    )


def test_var_equivalent_volatility_of_a_lognormal_is_its_volatility() -> None:
    """The 2.5 % quantile of exp(sigma sqrt(T) z - sigma^2 T / 2) is what the regulation's formula inverts."""
    sigma, years = 0.20, 5.0
    kept = math.exp(-1.96 * sigma * math.sqrt(years) - 0.5 * sigma**2 * years)
    market = np.full((4, 40), 0.0)
    market[:, 0] = market[:, 1] = 100.0 * (kept - 1.0)
    given = Parameters(place=1, span_years=years, large_issuer_share=0.05)
    result = judged(flat(market=market), [(0, 3.0)], given)
    assert number(result, "value_at_risk") == pytest.approx(1.0 - kept, rel=1e-14)
    assert number(result, "var_equivalent_volatility") == pytest.approx(sigma, abs=1e-4)  # 3.842 is rounded
    assert market_risk_class(number(result, "var_equivalent_volatility")) == 5


def test_var_equivalent_volatility_follows_the_confidence_of_the_var() -> None:
    """At 99 % the quantile of the same lognormal is another one, its volatility is not."""
    sigma, years = 0.20, 5.0
    kept = math.exp(NormalDist().inv_cdf(0.01) * sigma * math.sqrt(years) - 0.5 * sigma**2 * years)
    market = np.full((4, 200), 0.0)
    market[:, :3] = 100.0 * (kept - 1.0)
    table = msgspec.structs.replace(profiles(a_profile()), confidence=0.99)
    given = parameters(table, 200, years)
    result = judged(flat(market=market), [(0, 3.0)], given)
    assert number(result, "value_at_risk") == pytest.approx(1.0 - kept, rel=1e-14)
    assert number(result, "var_equivalent_volatility") == pytest.approx(sigma, rel=1e-11)
    at_regulation = parameters(msgspec.structs.replace(table, confidence=0.975), 200, years)
    assert (at_regulation.z, at_regulation.z_squared) == (1.96, 3.842)


def test_a_loss_of_all_counts_as_one_of_999_per_mille() -> None:
    market = np.full((4, 40), -500.0)
    given = Parameters(place=1, span_years=1.0, large_issuer_share=0.05)
    vev = number(judged(flat(market=market), [(0, 1.0)], given), "var_equivalent_volatility")
    assert vev == pytest.approx(math.sqrt(3.842 - 2.0 * math.log(1e-3)) - 1.96, rel=1e-14)
    assert market_risk_class(vev) == 7


def test_no_risk_and_gains_have_no_var_equivalent_volatility() -> None:
    gains = np.full((4, 40), 700.0)
    for market in (np.zeros((4, 40)), gains):
        assert number(judged(flat(market=market), [(0, 1.0)]), "var_equivalent_volatility") == pytest.approx(
            0.0, abs=1e-3
        )


def test_stress_loss_is_of_assets_and_of_net_worth() -> None:
    stress = np.array([[5.0, -20.0]] * 4)
    result = judged(flat(stress=stress), [(0, 2.0), (1, 1.0)], cash=100.0, net_worth=1000.0)
    assert number(result, "stress_loss") == 60.0 / 400.0
    assert number(result, "stress_loss_of_net_worth") == 60.0 / 1000.0
    untold = judged(flat(stress=stress), [(0, 2.0), (1, 1.0)], cash=100.0)
    assert number(untold, "stress_loss_of_net_worth") == 60.0 / 400.0


def test_concentrations_net_under_one_code_and_leave_out_what_has_none() -> None:
    codes = np.array([0, 0, 1, -1], np.int32)
    result = judged(
        flat(issuer=codes, sector=codes[::-1].copy(), currency=codes),
        [(0, 6.0), (1, -2.0), (2, 1.0), (3, 15.0), (0, 1.0)],
    )
    assert number(result, "issuer_share") == 500.0 / 2100.0
    assert number(result, "large_issuers_share") == 500.0 / 2100.0  # issuer 1 holds 4.8 %
    assert number(result, "sector_share") == 1600.0 / 2100.0
    assert number(result, "currency_share") == 500.0 / 2100.0
    assert number(result, "leverage") == 2500.0 / 2100.0


def test_holdings_beyond_the_horizon_illiquid_and_beyond_knowledge() -> None:
    result = judged(
        flat(
            maturity=np.array([4.0, 6.0, math.nan, math.inf]),
            is_illiquid=np.array([1, 0, 0, 1], np.uint8),
            knowledge=np.array([1, 3, 2, 0], np.uint8),
        ),
        [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)],
        knowledge=1,
    )
    assert number(result, "beyond_horizon_share") == 600.0 / 1000.0
    assert number(result, "illiquid_share") == 500.0 / 1000.0
    assert number(result, "knowledge_gap") == 2.0


@pytest.mark.parametrize(
    ("positions", "cash", "status", "missing"),
    [
        ([(0, 1.0), (2, 1.0), (3, 1.0)], 0.0, ClientStatus.MISSING_INSTRUMENT, 2),
        ([], 100.0, ClientStatus.NOTHING_HELD, -1),
        ([(0, 1.0)], -100.0, ClientStatus.NO_ASSETS, -1),
        ([(0, 1e308), (0, 1e308)], 0.0, ClientStatus.NOT_FINITE, -1),
        ([(0, 2.0**900), (1, -(2.0**900))], 0.0, ClientStatus.NO_ASSETS, -1),
        ([(0, 1.0)], 1e308, ClientStatus.OK, -1),
    ],
)
def test_a_client_without_meaningful_numbers_is_for_review(
    positions: list[tuple[int, float]], cash: float, status: ClientStatus, missing: int
) -> None:
    pv = np.array([100.0, 100.0, math.nan, math.nan])
    result = judged(flat(has_number=np.array([1, 1, 0, 0], np.uint8), pv=pv), positions, cash=cash)
    assert (ClientStatus(result.status[0]), result.missing[0]) == (status, missing)
    assert np.isnan(result.numbers[0]).all() == (status != ClientStatus.OK)
    if status != ClientStatus.OK:
        assert (result.verdict[0], result.binding[0]) == (Verdict.REVIEW, NO_RULE)


def test_verdicts_are_the_worst_rule_and_the_limit_itself_is_kept() -> None:
    table = profiles(a_profile(volatility=(0.10, 0.08), leverage=1.0, knowledge_gap=0.0))
    columns = [RULES.index(rule) for rule in ("volatility", "leverage", "knowledge_gap")]
    numbers = np.full((6, len(RULES)), 1e9)  # rules without a limit are not judged
    numbers[:, columns] = [
        [0.05, 0.5, -1.0],
        [0.08, 1.0, 0.0],
        [0.09, 0.5, -1.0],
        [0.10, 0.5, -1.0],
        [0.101, 1.5, -1.0],
        [0.05, 0.5, 1.0],
    ]
    verdict, binding = verdicts(numbers, np.zeros(6, np.uint8), np.zeros(6, np.uint8), table)
    assert [Verdict(one).name for one in verdict] == [
        "SUITABLE", "SUITABLE", "REVIEW", "REVIEW", "UNSUITABLE", "UNSUITABLE",
    ]  # fmt: skip
    assert [RULES[rule] for rule in binding] == [
        "volatility", "leverage", "volatility", "volatility", "leverage", "knowledge_gap",
    ]  # fmt: skip


def test_parameters_refuse_too_few_scenarios_and_no_time() -> None:
    assert parameters(profiles(), 500, 0.04).place == 12
    with pytest.raises(ArgumentError, match="at least 40 scenarios, got 39"):
        parameters(profiles(), 39, 0.04)
    with pytest.raises(ArgumentError, match="more than 0 years, got 0"):
        parameters(profiles(), 500, 0.0)


def test_instruments_take_their_value_where_no_exposure_is_given() -> None:
    terms = (
        InstrumentTerms(id="A", issuer="X", currency="EUR"),
        InstrumentTerms(id="B", issuer="Y", currency="USD", exposure=500.0, maturity=dt.date(2026, 2, 5)),
        InstrumentTerms(id="C", issuer="X", currency="USD", is_illiquid=True, knowledge_class=3),
    )
    pv, rows = np.array([100.0, 1.0, 50.0]), np.zeros((3, 40))
    told = instrument_vectors(terms, pv, rows, rows, np.array([True, True, False]), dt.date(2016, 2, 5), "EUR")
    assert told.exposure.tolist() == [100.0, 500.0, 50.0]
    assert (told.issuer.tolist(), told.currency.tolist(), told.sector.tolist()) == ([0, 1, 0], [-1, 0, 0], [-1, -1, -1])
    assert told.maturity[1] == pytest.approx(10.0, abs=0.01)
    assert (told.has_number.tolist(), told.is_illiquid.tolist(), told.knowledge.tolist()) == (
        [1, 1, 0], [0, 0, 1], [0, 0, 3],
    )  # fmt: skip
    with pytest.raises(ArgumentError, match="must have 3 rows"):
        instrument_vectors(terms, pv[:2], rows, rows, np.ones(3, bool), dt.date(2016, 2, 5), "EUR")


def test_judging_can_be_stopped_between_blocks() -> None:
    table = clients(client_count=1100)
    asked = []

    def stop() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        judge_clients(compiled(vectors()), table, 0, 1100, profiles(), GIVEN, stop)
