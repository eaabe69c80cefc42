"""Smiles from quotes to prices: calibration, scenarios, refusals, and options priced on them."""

from __future__ import annotations

import datetime as dt
import math
import re

import msgspec
import numpy as np
import pytest

from tests.core.pricing.smile_market import EXPIRIES, FX_QUOTES, STRIKES, equity_smile, fx_smile, snapshot_with
from tests.core.small_market import AS_OF, a_snapshot
from xip_core import evaluate
from xip_core.errors import RequestError
from xip_core.model.dates import date_of
from xip_core.model.market import Snapshot, decode_snapshot, encode_snapshot
from xip_core.model.market_smiles import ATM_TYPES, DELTA_TYPES, AtmType, DeltaType, SmileModel, StrikeQuotes
from xip_core.model.scenario import Scenario, ScenarioMarket, ScenarioSet, Shift, base_only
from xip_core.model.trade import CommodityOption, EquityOption, FxOption, Trade
from xip_core.pricing import calculate
from xip_core.pricing.arithmetic import RefTable
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.calibrate_failures import CalibrationFailure, decode_failures
from xip_core.pricing.layout import SmileRef
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.reference import reference_values
from xip_core.pricing.resolve import resolve_rows
from xip_core.pricing.smile_values import apply_smiles, smile_columns
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values

Floats = np.ndarray


class Market:
    """A snapshot calibrated under some scenarios."""

    def __init__(self, snapshot: Snapshot, *shifts: Shift) -> None:
        scenarios = ScenarioSet(
            scenarios=(
                Scenario(name="base"),
                *(Scenario(name=f"s{place}", shifts=(shift,)) for place, shift in enumerate(shifts)),
            )
        )
        self.layout = SnapshotLayout(snapshot)
        columns = calibrate_tile(snapshot, self.layout, scenarios, 0, len(scenarios.scenarios))
        self.factors: Floats = columns["market"]
        self.failures: tuple[CalibrationFailure, ...] = decode_failures(columns["failures"])

    def fx(self, day: dt.date) -> tuple[Floats, Floats, Floats]:
        """log DF of EUR, log DF of USD and the forward EURUSD, by scenario."""
        eur, usd = (RefTable([self.layout.log_discount(c, day)]).dot(self.factors)[0] for c in ("EUR1D", "USD-IN-EUR"))
        usd_value = RefTable([self.layout.log_fx("USD")]).dot(self.factors)[0]
        return eur, usd, np.exp(eur - usd - usd_value)

    def equity_forward(self, day: dt.date) -> Floats:
        return np.exp(RefTable([self.layout.log_equity_forward("ACME", day)]).dot(self.factors)[0])

    def volatility(self, kind: str, name: str, day: dt.date, strike: float, forward: Floats) -> Floats:
        """By scenario."""
        smile = self.layout.smile(kind, name, day)
        assert smile is not None
        columns = smile_columns([(0, smile)])
        columns |= {"option_strike": np.array([strike]), "option_time": np.array([smile.time_years])}
        result = np.full((1, self.factors.shape[1]), np.nan)
        apply_smiles(result, columns, forward[None], self.factors)
        return result[0]

    def expiry(self, name: str, row: int) -> dt.date:
        return date_of(self.layout.smiles[name].expiry_days[row])


def svi_quotes(parameters: dict[str, float], years: float, forward: float, expiry: str = "1Y") -> dict[str, float]:
    k = np.log(np.array(STRIKES) / forward)
    found = evaluate("volatility.svi", log_moneyness=k, time=years, **parameters)["volatility"]
    return {f"ACME.VOL.{expiry}.{place}": value for place, value in enumerate(found.tolist())}


SVI = {"a": 0.02, "b": 0.12, "rho": -0.45, "m": 0.03, "sigma": 0.25}


def acme_market() -> tuple[float, float]:
    """Forward and years of ACME's one-year surface."""
    market = Market(snapshot_with(equity_smile(), dict.fromkeys((f"ACME.VOL.1Y.{p}" for p in range(7)), 0.3)))
    day = market.expiry("equity_volatility/ACME", 0)
    return float(market.equity_forward(day)[0]), (day - AS_OF).days / 365.0


def test_surface_made_of_svi_parameters_gives_them_back() -> None:
    forward, years = acme_market()
    market = Market(snapshot_with(equity_smile("svi"), svi_quotes(SVI, years, forward)))
    assert market.failures == ()
    begin, end = market.layout.ranges["equity_volatility/ACME"]
    assert market.factors[begin:end, 0] == pytest.approx(list(SVI.values()), rel=1e-8)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_surface_made_of_sabr_parameters_gives_them_back(beta: float) -> None:
    """alpha on a forward of 1."""
    forward, years = acme_market()
    alpha, rho, nu = 0.25, -0.4, 0.5
    found = evaluate(
        "volatility.sabr", forward=forward, strike=STRIKES, time=years, alpha=alpha * forward ** (1.0 - beta),
        beta=beta, rho=rho, nu=nu, shift=0.0,
    )  # fmt: skip
    quotes = {f"ACME.VOL.1Y.{place}": value for place, value in enumerate(found["volatility"].tolist())}
    market = Market(snapshot_with(equity_smile("sabr", beta=beta), quotes))
    begin, end = market.layout.ranges["equity_volatility/ACME"]
    assert market.factors[begin:end, 0] == pytest.approx([alpha, rho, nu], rel=1e-10)


@pytest.mark.parametrize("is_market_strangle", [False, True])
@pytest.mark.parametrize("delta_type", DELTA_TYPES)
def test_delta_surface_reprices_its_own_quotes(delta_type: DeltaType, is_market_strangle: bool) -> None:
    """At the strikes of its deltas risk reversals, at the market strangle's strikes its price."""
    smile = fx_smile(delta_type=delta_type, is_market_strangle=is_market_strangle)
    market = Market(snapshot_with(smile, FX_QUOTES))
    assert market.failures == ()
    for row, expiry in enumerate(EXPIRIES):
        day = market.expiry("fx_volatility/EURUSD", row)
        years = (day - AS_OF).days / 365.0
        eur, usd, forward = (values[0] for values in market.fx(day))
        columns = {
            "spot": forward * math.exp(usd - eur), "time": years, "domestic_rate": -usd / years,
            "foreign_rate": -eur / years, "delta_type": DELTA_TYPES.index(delta_type),
        }  # fmt: skip
        atm = FX_QUOTES[f"EURUSD.ATM.{expiry}"]

        def at(strike: float, day: dt.date = day, forward: float = forward) -> float:
            return float(market.volatility("fx_volatility", "EURUSD", day, strike, np.array([forward]))[0])

        neutral = evaluate("fx.atm_strike", volatility=atm, atm_type=2, **columns)["strike"]
        assert at(neutral) == pytest.approx(atm, abs=1e-14)
        for delta, name in ((0.25, "25"), (0.10, "10")):
            reversal, butterfly = (FX_QUOTES[f"EURUSD.{kind}{name}.{expiry}"] for kind in ("RR", "BF"))
            factors = market.factors[slice(*market.layout.ranges["fx_volatility/EURUSD"]), 0].reshape(3, 3, 5)[row]
            put, call = (1, 3) if delta == 0.25 else (0, 4)
            assert factors[1, call] - factors[1, put] == pytest.approx(reversal, abs=1e-14)
            strikes = forward * np.exp(factors[0, [call, put]])
            deltas = evaluate("fx.delta", strike=strikes, volatility=factors[1, [call, put]], is_call=[1, 0], **columns)
            assert deltas["delta"] == pytest.approx([delta, -delta], abs=1e-12)
            if not is_market_strangle:
                assert 0.5 * (factors[1, call] + factors[1, put]) - atm == pytest.approx(butterfly, abs=1e-14)
                continue
            quoted = evaluate(
                "fx.strike_of_delta", delta=[delta, -delta], volatility=atm + butterfly, is_call=[1, 0], **columns
            )["strike"]
            option = {"forward": forward, "strike": quoted, "time": years, "discount": 1.0, "is_call": [1, 0]}
            smiled = [at(strike) for strike in quoted.tolist()]
            price, target = (
                evaluate("black.european", volatility=v, **option)["pv"].sum() for v in (smiled, atm + butterfly)
            )
            assert price == pytest.approx(target, abs=2e-9)


@pytest.mark.parametrize("atm_type", ATM_TYPES)
def test_every_at_the_money_convention_is_found_on_the_surface(atm_type: AtmType) -> None:
    smile = fx_smile(delta_type="forward", atm_type=atm_type)
    market = Market(snapshot_with(smile, FX_QUOTES))
    assert market.failures == ()
    day = market.expiry("fx_volatility/EURUSD", 1)
    _, _, forward = market.fx(day)
    spot = 1.13
    variance = FX_QUOTES["EURUSD.ATM.1Y"] ** 2 * (day - AS_OF).days / 365.0
    strike = {"spot": spot, "forward": forward[0]}.get(atm_type, forward[0] * math.exp(0.5 * variance))
    found = market.volatility("fx_volatility", "EURUSD", day, strike, forward)[0]
    assert found == pytest.approx(FX_QUOTES["EURUSD.ATM.1Y"], abs=1e-12)


@pytest.mark.parametrize(("model", "bound"), [("sabr", 0.003), ("svi", 0.002)])
def test_fitted_delta_surface_stays_near_its_quotes(model: SmileModel, bound: float) -> None:
    market = Market(snapshot_with(fx_smile(model, volatility_error_max=bound), FX_QUOTES))
    assert market.failures == ()
    day = market.expiry("fx_volatility/EURUSD", 1)
    _, _, forward = market.fx(day)
    spline = Market(snapshot_with(fx_smile(), FX_QUOTES))
    for strike in forward[0] * np.exp(np.linspace(-0.1, 0.1, 7)):
        one, other = (m.volatility("fx_volatility", "EURUSD", day, strike, forward)[0] for m in (market, spline))
        assert one == pytest.approx(other, abs=2.0 * bound)


def test_total_variance_is_linear_in_time_and_volatility_flat_outside() -> None:
    """At equal log-moneyness."""
    market = Market(snapshot_with(fx_smile(), FX_QUOTES))
    days = [market.expiry("fx_volatility/EURUSD", row) for row in range(3)]

    def at(day: dt.date) -> float:
        return float(market.volatility("fx_volatility", "EURUSD", day, 1.1, np.array([1.15]))[0])

    def variance(day: dt.date) -> float:
        return at(day) ** 2 * (day - AS_OF).days

    middle = days[0] + (days[1] - days[0]) / 2
    share = (middle - days[0]) / (days[1] - days[0])
    assert variance(middle) == pytest.approx((1 - share) * variance(days[0]) + share * variance(days[1]), rel=1e-13)
    assert at(AS_OF + dt.timedelta(days=30)) == pytest.approx(at(days[0]), rel=1e-14)
    assert at(days[2] + dt.timedelta(days=900)) == pytest.approx(at(days[2]), rel=1e-14)


def fx_option(bought: str, sold: str, strike: float, option_type: str, expiry: dt.date) -> FxOption:
    return FxOption(
        id=f"{bought}{option_type}", expiry=expiry, option_type=option_type, position="long",
        bought_currency=bought, bought_amount=1e6, sold_currency=sold, sold_amount=1e6 * strike,
    )  # fmt: skip


def priced(snapshot: Snapshot, *trades: Trade, scenarios: ScenarioSet | None = None) -> Floats:
    result = calculate(trades, snapshot, scenarios or base_only())
    return result.pv


def test_option_is_priced_at_the_volatility_of_its_strike_and_the_same_from_either_side() -> None:
    """A call on EUR in USD is a put on USD in EUR."""
    snapshot = snapshot_with(fx_smile(), FX_QUOTES)
    market = Market(snapshot)
    day = dt.date(2016, 11, 14)
    _, usd, forward = market.fx(day)
    call = fx_option("EUR", "USD", 1.2, "call", day)
    put = msgspec.structs.replace(
        call, id="put", option_type="put", bought_currency="USD", bought_amount=1.2e6, sold_currency="EUR",
        sold_amount=1e6,
    )  # fmt: skip
    volatility = market.volatility("fx_volatility", "EURUSD", day, 1.2, forward)[0]
    expected = evaluate(
        "black.european", forward=forward[0], strike=1.2, time=(day - AS_OF).days / 365.0, volatility=volatility,
        discount=math.exp(usd[0]), is_call=1,
    )["pv"]  # fmt: skip
    pv = priced(snapshot, call, put)[:, 0]
    assert pv[0] == pytest.approx(1e6 * expected / 1.13, rel=1e-12)
    assert pv[1] == pytest.approx(pv[0], rel=1e-11)


@pytest.mark.parametrize("model", ["spline", "sabr", "svi"])
def test_smiles_have_the_values_of_their_slow_twin(model: SmileModel) -> None:
    """Options of many strikes and expiries, on the pair and on its inverse, under shifts."""
    snapshot = snapshot_with(fx_smile(model, beta=0.5), FX_QUOTES)
    market = Market(snapshot, *SHIFTS)
    trades = [
        fx_option(*pair, strike, kind, AS_OF + dt.timedelta(days=days))
        for pair, level in ((("EUR", "USD"), 1.13), (("USD", "EUR"), 1.0 / 1.13))
        for strike in (0.75 * level, 0.97 * level, level, 1.2 * level)
        for kind in ("call", "put")
        for days in (40, 300, 500, 900)
    ]
    columns = resolve_rows(trades, MarketView(market.layout))
    fast, slow = row_values(columns, market.factors), reference_values(columns, market.factors)
    assert np.isfinite(fast).all()
    assert np.abs(fast - slow).max() <= 1e-6  # of a million


SHIFTS = (
    Shift(target="fx_volatility", name="EURUSD", shift_absolute=0.01),
    Shift(target="risk_reversal", name="EURUSD", shift_absolute=0.01),
    Shift(target="butterfly", name="EURUSD", after="6M", shift_absolute=0.002),
    Shift(target="fx", name="EURUSD", shift_relative=0.05),
    Shift(target="currency", name="USD", shift_bps=50.0),
)


def test_shifts_reach_every_kind_of_quote() -> None:
    market = Market(snapshot_with(fx_smile(), FX_QUOTES), *SHIFTS)
    assert market.failures == ()
    day = market.expiry("fx_volatility/EURUSD", 1)
    _, _, forward = market.fx(day)
    factors = market.factors[slice(*market.layout.ranges["fx_volatility/EURUSD"])].reshape(3, 3, 5, -1)[1, 1]
    moved = factors - factors[:, :1]
    assert moved[:, 1] == pytest.approx([0.01] * 5, abs=1e-14)
    assert moved[:, 2] == pytest.approx([-0.005, -0.005, 0.0, 0.005, 0.005], abs=1e-14)
    assert moved[:, 3] == pytest.approx([0.002, 0.002, 0.0, 0.002, 0.002], abs=1e-14)
    assert moved[:, 4:] == pytest.approx(0.0, abs=1e-14)
    sticky_delta = market.volatility("fx_volatility", "EURUSD", day, 1.2, forward)
    assert abs(sticky_delta[4] - sticky_delta[0]) > 1e-4


def test_surface_quoted_by_strike_is_sticky_in_strike_and_by_moneyness_in_moneyness() -> None:
    quotes = {f"ACME.VOL.1Y.{place}": 0.35 - 0.02 * place for place in range(7)}
    shift = Shift(target="equity", name="ACME", shift_relative=0.1)
    by_strike = Market(snapshot_with(equity_smile("spline"), quotes), shift)
    day = by_strike.expiry("equity_volatility/ACME", 0)
    forward = by_strike.equity_forward(day)
    assert forward[1] == pytest.approx(1.1 * forward[0], rel=1e-12)
    for place, strike in enumerate(STRIKES):
        found = by_strike.volatility("equity_volatility", "ACME", day, strike, forward)
        assert found == pytest.approx(quotes[f"ACME.VOL.1Y.{place}"], abs=1e-13)
    fractions = tuple(strike / 100.0 for strike in STRIKES)
    smile = equity_smile("spline", strikes=fractions, is_moneyness=True)
    by_moneyness = Market(snapshot_with(smile, quotes), shift)
    for scenario in (0, 1):
        for place, fraction in enumerate(fractions):
            strike = fraction * forward[scenario]
            found = by_moneyness.volatility("equity_volatility", "ACME", day, strike, forward)
            assert found[scenario] == pytest.approx(quotes[f"ACME.VOL.1Y.{place}"], abs=1e-13)


def test_commodity_option_takes_its_volatility_from_the_smile() -> None:
    smile = msgspec.structs.replace(
        equity_smile("spline", strikes=(30.0, 40.0, 50.0)), kind="commodity_volatility", name="OIL"
    )
    quotes = {"ACME.VOL.1Y.0": 0.4, "ACME.VOL.1Y.1": 0.3, "ACME.VOL.1Y.2": 0.25}
    snapshot = snapshot_with(smile, quotes)
    option = CommodityOption(
        id="c", name="OIL", currency="USD", expiry=dt.date(2017, 2, 6), option_type="call", position="long",
        strike=40.0, quantity=1.0,
    )  # fmt: skip
    market = Market(snapshot)
    _, usd, _ = market.fx(option.expiry)
    forward = RefTable([market.layout.commodity_forward("OIL", option.expiry)]).dot(market.factors)[0]
    years = (option.expiry - AS_OF).days / 365.0
    expected = evaluate(
        "black.european", forward=forward[0], strike=40.0, time=years, volatility=0.3, discount=math.exp(usd[0]),
        is_call=1,
    )["pv"]  # fmt: skip
    assert priced(snapshot, option)[0, 0] == pytest.approx(expected / 1.13, rel=1e-12)


@pytest.mark.parametrize("model", ["spline", "sabr", "svi"])
def test_a_scenario_has_the_same_bytes_in_any_block(model: SmileModel) -> None:
    smile = fx_smile(model, expiries=("1Y",) if model == "svi" else EXPIRIES)
    snapshot = snapshot_with(smile, FX_QUOTES)
    layout = SnapshotLayout(snapshot)
    scenarios = ScenarioSet(
        scenarios=(
            Scenario(name="base"),
            *(Scenario(name=f"s{place}", shifts=(shift,)) for place, shift in enumerate(SHIFTS)),
        )
    )
    whole = calibrate_tile(snapshot, layout, scenarios, 0, 6)["market"]
    for begin, end in ((1, 3), (5, 6)):
        part = calibrate_tile(snapshot, SnapshotLayout(snapshot), scenarios, begin, end)["market"]
        assert part.tobytes() == np.ascontiguousarray(whole[:, begin:end]).tobytes()
    option = fx_option("EUR", "USD", 1.2, "call", dt.date(2017, 3, 1))
    alone = priced(snapshot, option, scenarios=scenarios)
    other = msgspec.structs.replace(option, id="other", option_type="put")
    assert priced(snapshot, other, option, scenarios=scenarios)[1].tobytes() == alone[0].tobytes()
    assert np.isfinite(alone).all()


REFUSED = [
    (
        "a fit that misses a quote",
        "svi",
        {"ACME.VOL.1Y.3": 0.5},
        r"equity_volatility/ACME: expiry 1Y \(2017-02-06\): the svi fit misses volatility .* allowed are 0.005",
    ),
    ("a quote that is no volatility", "svi", {"ACME.VOL.1Y.3": -0.1}, "quote ACME.VOL.1Y.3 must be positive, got -0.1"),
    ("a missing quote", "sabr", {"ACME.VOL.1Y.2": None}, "quote ACME.VOL.1Y.2 is missing"),
]


@pytest.mark.parametrize(("what", "model", "changes", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_bad_surface_is_refused_with_its_reason_and_its_options_are_quarantined(
    what: str, model: SmileModel, changes: dict[str, float | None], message: str
) -> None:
    forward, years = acme_market()
    quotes = {**svi_quotes(SVI, years, forward), **changes}
    present = {name: value for name, value in quotes.items() if value is not None}
    snapshot = a_snapshot(present, smiles=(equity_smile(model),), equity_volatilities=())
    market = Market(snapshot)
    assert [failure.market_object for failure in market.failures] == ["equity_volatility/ACME"], what
    assert re.search(message, market.failures[0].message), market.failures[0].message
    option = EquityOption(
        id="e", name="ACME", currency="EUR", expiry=dt.date(2016, 12, 1), option_type="call", position="long",
        strike=100.0, quantity=1.0,
    )  # fmt: skip
    assert np.isnan(priced(snapshot, option)).all()


def test_butterfly_and_calendar_arbitrage_are_refused_unless_allowed() -> None:
    """Vogt's slice (Gatheral and Jacquier, example 3.1); then a second expiry with less variance than the first."""
    forward, years = acme_market()
    vogt = {"a": -0.0410, "b": 0.1331, "rho": 0.3060, "m": 0.3586, "sigma": 0.4153}
    quotes = svi_quotes(vogt, years, forward)
    market = Market(snapshot_with(equity_smile("svi"), quotes))
    assert "butterfly arbitrage at log-moneyness" in market.failures[0].message
    assert "must be >= 0" in market.failures[0].message
    allowed = Market(snapshot_with(equity_smile("svi", allows_arbitrage=True), quotes))
    assert allowed.failures == ()
    good = svi_quotes(SVI, years, forward)
    later = {name.replace("1Y", "2Y"): 0.5 * value for name, value in good.items()}
    market = Market(snapshot_with(equity_smile("svi", expiries=("1Y", "2Y")), good | later))
    assert "expiry 2Y (2018-02-05): calendar arbitrage" in market.failures[0].message


def test_unreachable_delta_is_refused_in_its_scenario_alone() -> None:
    """A premium-adjusted 25-delta call has no strike where the volatility is huge."""
    smile = fx_smile(delta_type="forward_adjusted")
    market = Market(snapshot_with(smile, FX_QUOTES), Shift(target="fx_volatility", name="*", shift_absolute=2.0))
    assert [failure.scenario for failure in market.failures] == [1]
    assert "strikes must exist and ascend" in market.failures[0].message
    begin, end = market.layout.ranges["fx_volatility/EURUSD"]
    assert np.isfinite(market.factors[begin:end, 0]).all()
    assert np.isnan(market.factors[begin:end, 1]).any()


def test_snapshot_with_smiles_is_read_back_and_one_without_keeps_its_bytes() -> None:
    snapshot = snapshot_with(fx_smile("sabr", beta=0.5), FX_QUOTES)
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot
    assert b"smiles" not in encode_snapshot(a_snapshot())


CONTRADICTIONS = [
    ({"model": "svi", "strikes": (90.0, 100.0)}, "a svi smile must have 5 points, got 2"),
    ({"beta": 1.5}, "beta must be in .0, 1., got 1.5"),
    ({"strikes": (-1.0, *STRIKES)}, "strikes must be positive, got -1.0"),
]


@pytest.mark.parametrize(("fields", "message"), CONTRADICTIONS)
def test_smile_that_cannot_be_meant_refuses_the_snapshot(fields: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        a_snapshot(smiles=(equity_smile(**fields),), equity_volatilities=())


def test_two_surfaces_of_one_underlying_refuse_the_snapshot() -> None:
    with pytest.raises(RequestError, match="equity volatility must be defined once, 'ACME' is defined twice"):
        a_snapshot(smiles=(equity_smile(),))
    smile = msgspec.structs.replace(equity_smile(), quotes=StrikeQuotes(strikes=STRIKES, volatilities=("A",)))
    with pytest.raises(RequestError, match="must have 7 volatilities, got 1"):
        a_snapshot(smiles=(smile,), equity_volatilities=())


def test_a_smile_depends_on_spot_and_curves() -> None:
    market = ScenarioMarket(snapshot_with(fx_smile(), FX_QUOTES))
    for shift in SHIFTS:
        assert "fx_volatility/EURUSD" in market.touched_objects(Scenario(name="s", shifts=(shift,)))


def test_smile_ref_names_every_factor_it_needs() -> None:
    layout = SnapshotLayout(snapshot_with(fx_smile(), FX_QUOTES))
    ref = layout.smile("fx_volatility", "USDEUR", dt.date(2016, 12, 1))
    assert isinstance(ref, SmileRef)
    assert ref.is_inverse
    assert len(ref.refs) == 30
    assert layout.objects_of(ref.refs) == ("fx_volatility/EURUSD",)
    assert layout.smile("equity_volatility", "ACME", dt.date(2016, 12, 1)) is None
