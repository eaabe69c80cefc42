"""xip_core.model.sensitivity: what a ladder names, its buckets, columns and weights; what is refused."""

from __future__ import annotations

import msgspec
import pytest

from tests.core.small_market import a_snapshot
from xip_core.errors import RequestError
from xip_core.model import sensitivity
from xip_core.model.sensitivity import (
    Column,
    CrossGamma,
    Expansion,
    Ladder,
    SensitivitySet,
    decode_sensitivities,
    encode_sensitivities,
    expand,
    tent,
)


def expanded(*ladders: Ladder, cross_gammas: tuple[CrossGamma, ...] = ()) -> Expansion:
    return expand(SensitivitySet(ladders=ladders, cross_gammas=cross_gammas), a_snapshot())


def buckets(found: Expansion) -> list[str]:
    return [f"{bump.object} {bump.bucket}" for bump in found.bumps]


def test_a_par_ladder_has_a_bucket_for_every_quote_of_a_curve() -> None:
    """FX points are no rates and stand still; a FRA is named by start and length."""
    assert buckets(expanded(Ladder(kind="par_rate", name="EUR*"))) == [
        "curve/EUR1D 1D",
        "curve/EUR1D 1Y",
        "curve/EUR1D 2Y",
        "curve/EUR1D 5Y",
        "curve/EUR1D 10Y",
        "curve/EUR6M 6M",
        "curve/EUR6M 6M+6M",
        "curve/EUR6M 2Y",
        "curve/EUR6M 5Y",
        "curve/EUR6M 10Y",
    ]
    assert buckets(expanded(Ladder(kind="par_rate", name="USD-IN-EUR"))) == [
        "curve/USD-IN-EUR 2Y",
        "curve/USD-IN-EUR 10Y",
    ]


def test_central_differences_need_two_columns_a_bucket_and_forward_ones_one() -> None:
    central, forward = (expanded(Ladder(kind="fx", scheme=scheme, bump=2.0)) for scheme in ("central", "forward"))
    assert central.columns == (Column(()), Column(((0, 1),)), Column(((0, -1),)))
    assert [item.terms for item in central.sensitivities] == [((1, 0.25), (2, -0.25))]
    assert forward.columns == (Column(()), Column(((0, 1),)))
    assert [item.terms for item in forward.sensitivities] == [((1, 0.5),)]


def test_gamma_shares_the_columns_of_its_delta_and_calibrates_them_again() -> None:
    found = expanded(Ladder(kind="par_rate", name="USD3M", tenors=("parallel",), is_gamma=True, bump=2.0))
    assert found.columns == (Column(()), Column(((0, 1),), True), Column(((0, -1),), True))
    assert [(item.measure, item.terms) for item in found.sensitivities] == [
        ("delta", ((1, 0.25), (2, -0.25))),
        ("gamma", ((1, 0.25), (2, 0.25))),
    ]


def test_cross_gamma_counts_each_pair_once() -> None:
    ladder = Ladder(kind="zero_rate", name="EUR1D", tenors=("1Y", "5Y", "10Y"), scheme="forward")
    pair = CrossGamma(first="zero_rate/EUR*", second="zero_rate/EUR*", scheme="forward")
    found = expanded(ladder, cross_gammas=(pair, pair))
    crosses = [item for item in found.sensitivities if item.measure == "cross_gamma"]
    assert [item.bumps for item in crosses] == [(0, 1), (0, 2), (1, 2)]
    assert found.columns[crosses[0].terms[0][0]].moves == ((0, 1), (1, 1))
    assert [weight for _, weight in crosses[0].terms] == [1.0, -1.0, -1.0]


def test_central_cross_gamma_is_the_mean_of_both_corners() -> None:
    ladders = (Ladder(kind="fx", bump=2.0), Ladder(kind="equity", name="ACME"))
    found = expanded(*ladders, cross_gammas=(CrossGamma(first="fx/*", second="equity/*"),))
    terms = found.sensitivities[-1].terms
    assert [found.columns[column].moves for column, _ in terms] == [
        ((0, 1), (1, 1)),
        ((0, 1),),
        ((1, 1),),
        ((0, -1), (1, -1)),
        ((0, -1),),
        ((1, -1),),
    ]
    assert [weight for _, weight in terms] == [0.25, -0.25, -0.25] * 2


def test_tents_of_a_bucket_spread_over_quotes_and_add_up_to_a_parallel_shift() -> None:
    found = expanded(Ladder(kind="par_rate", name="EUR1D", tenors=("1Y", "10Y")))
    shares: dict[str, float] = {}
    for bump in found.bumps:
        for quote, share in bump.quotes:
            shares[quote] = shares.get(quote, 0.0) + share
    assert shares == pytest.approx(dict.fromkeys(("EUR.ON", *(f"EUR.OIS.{t}" for t in ("1Y", "2Y", "5Y", "10Y"))), 1.0))
    assert dict(found.bumps[0].quotes)["EUR.OIS.5Y"] == pytest.approx(5.0 / 9.0)


def test_volatilities_are_bucketed_by_expiry_and_strike() -> None:
    found = expanded(Ladder(kind="vega", name="cap_volatility/*", tenors=("1Y", "2Y"), across=("0.0", "0.01")))
    assert buckets(found) == [
        f"cap_volatility/EUR-EURIBOR-6M {bucket}" for bucket in ("1Y/0.0", "1Y/0.01", "2Y/0.0", "2Y/0.01")
    ]
    assert dict(found.bumps[3].quotes) == {"EUR.CAP.3Y.2": 1.0}


def test_units_follow_the_kind_of_volatility() -> None:
    units = {bump.object: bump.unit for bump in expanded(Ladder(kind="vega")).bumps}
    assert units == {
        "fx_volatility/EURUSD": "vol_point",
        "equity_volatility/ACME": "vol_point",
        "commodity_volatility/OIL": "vol_point",
        "swaption_volatility/EUR": "bp",
        "cap_volatility/EUR-EURIBOR-6M": "bp",
    }


def test_a_quote_of_two_curves_is_moved_once() -> None:
    snapshot = a_snapshot()
    again = msgspec.structs.replace(snapshot.curves[3], name="USD3M-AGAIN")
    snapshot = msgspec.structs.replace(snapshot, curves=(*snapshot.curves, again))
    found = expand(SensitivitySet(ladders=(Ladder(kind="par_rate", name="USD3M*"),)), snapshot)
    assert [bump.object for bump in found.bumps] == ["curve/USD3M"] * 3


@pytest.mark.parametrize(
    ("ladders", "sentence"),
    [
        ((Ladder(kind="par_rate", name="GBP*"),), "ladder 0: par_rate 'GBP*' names nothing in the market"),
        ((Ladder(kind="inflation"),), "ladder 0: inflation '*' names nothing in the market"),
        (
            (Ladder(kind="fx"), Ladder(kind="zero_rate", tenors=("5Y", "1Y"))),
            "ladder 1: buckets must ascend, got '5Y' before '1Y'",
        ),
        ((Ladder(kind="zero_rate", tenors=("1Y", "12M")),), "ladder 0: buckets must ascend, got '1Y' before '12M'"),
        ((Ladder(kind="zero_rate", tenors=("soon",)),), "ladder 0: a tenor must look like"),
        ((Ladder(kind="zero_rate", tenors=("parallel", "1Y")),), "'parallel' must be the only bucket"),
        ((Ladder(kind="fx", tenors=("1Y",)),), "fx is one spot and has no tenors"),
        ((Ladder(kind="fx", unit="bp"),), "fx must have unit percent, got 'bp'"),
        ((Ladder(kind="fx", bump=0.0),), "bump must be a positive number of units, got 0.0"),
        ((Ladder(kind="fx", bump=100.0),), "bump must be below 100 percent, got 100.0"),
        ((Ladder(kind="par_rate", across=("5Y",)),), "only volatilities have buckets across"),
        (
            (Ladder(kind="zero_rate", name="EUR1D"), Ladder(kind="zero_rate", tenors=("1Y",))),
            "ladders 0 and 1 contradict each other: both have buckets for zero_rate of curve/EUR1D",
        ),
        ((), "sensitivities must ask for a ladder, got none"),
    ],
)
def test_what_cannot_be_meant_is_refused(ladders: tuple[Ladder, ...], sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        expanded(*ladders)
    assert caught.value.reason == "BAD_SENSITIVITY"
    assert sentence in str(caught.value)


def test_a_cross_gamma_of_what_has_no_ladder_is_refused() -> None:
    with pytest.raises(RequestError, match="cross gamma 'equity/\\*' names no bump of any ladder"):
        expanded(Ladder(kind="fx"), cross_gammas=(CrossGamma(first="fx/*", second="equity/*"),))


def test_too_many_columns_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensitivity, "COLUMN_COUNT_MAX", 20)
    with pytest.raises(RequestError, match="at most 20 columns") as caught:
        expanded(Ladder(kind="zero_rate"))
    assert caught.value.reason == "TOO_LARGE"


def test_tents_add_up_to_one_everywhere() -> None:
    centres = [0.5, 1.0, 2.0, 5.0]
    for at in (0.0, 0.5, 0.6, 1.0, 1.7, 4.9, 5.0, 30.0):
        assert sum(tent(centres, position, at) for position in range(4)) == pytest.approx(1.0)


def test_sets_survive_encoding_and_unknown_fields_are_refused() -> None:
    wanted = SensitivitySet(
        ladders=(Ladder(kind="vega", unit="percent", across=("5Y",)),),
        cross_gammas=(CrossGamma(first="vega/*", second="vega/*"),),
    )
    assert decode_sensitivities(encode_sensitivities(wanted)) == wanted
    for text in (b'{"ladders": [{"kind": "vanna"}]}', b'{"ladder": []}', b"not json"):
        with pytest.raises(RequestError) as caught:
            decode_sensitivities(text)
        assert caught.value.reason == "BAD_SENSITIVITY"
