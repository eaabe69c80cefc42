"""xip_core.model.market"""

from __future__ import annotations

import datetime as dt
import json
import re

import msgspec
import pytest

from tests.core.ore_directory import REPOSITORY
from tests.core.small_market import AS_OF, a_snapshot, curves
from xip_core.errors import CellError, FailureReason, RequestError
from xip_core.model.market import (
    FxSpot,
    HazardDefinition,
    Snapshot,
    SwaptionVolatility,
    decode_snapshot,
    encode_snapshot,
    quote_value,
    snapshot_digest,
    usable_quote,
)
from xip_core.model.market_instruments import CurveDefinition, Deposits, Pillar, ZeroSpreads
from xip_core.model.scenario import decode_scenarios


def test_snapshot_survives_encoding_and_decoding():
    """Everything a snapshot holds comes back, and gives the same bytes again."""
    snapshot = a_snapshot()
    encoded = encode_snapshot(snapshot)
    assert decode_snapshot(encoded) == snapshot
    assert encode_snapshot(decode_snapshot(encoded)) == encoded


def test_bytes_do_not_depend_on_the_order_of_quotes_and_fixings():
    """Equal snapshots have one digest, however they were put together."""
    snapshot = a_snapshot(fixings={"B": {AS_OF: 1.0, dt.date(2016, 1, 5): 2.0}, "A": {AS_OF: 3.0}})
    turned = a_snapshot(
        fixings={"A": {AS_OF: 3.0}, "B": {dt.date(2016, 1, 5): 2.0, AS_OF: 1.0}},
        quotes=dict(reversed(snapshot.quotes.items())),
        discount_curves={"USD": "USD-IN-EUR", "EUR": "EUR1D"},
    )
    assert snapshot_digest(encode_snapshot(turned)) == snapshot_digest(encode_snapshot(snapshot))


def test_digest_is_sha256_of_the_bytes():
    """Known answer of FIPS 180-2."""
    assert snapshot_digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_quote_that_is_no_finite_number_is_kept_as_text(value):
    """The snapshot stands; JSON has no NaN, and null would lose what was got."""
    decoded = decode_snapshot(encode_snapshot(a_snapshot({"EURUSD": value})))
    assert decoded.quotes["EURUSD"] == str(value)


def test_snapshot_without_a_date_is_refused():
    """Nothing can be valued on no date."""
    fields = msgspec.json.decode(encode_snapshot(a_snapshot()))
    del fields["as_of"]
    with pytest.raises(RequestError, match="must carry its as-of date") as caught:
        decode_snapshot(msgspec.json.encode(fields))
    assert caught.value.reason == "SNAPSHOT_DATE_MISSING"


def test_snapshot_with_a_bad_date_is_refused_as_without_one():
    """A date that is none is no date."""
    encoded = encode_snapshot(a_snapshot()).replace(b'"2016-02-05","base', b'"2016-02-35","base')
    with pytest.raises(RequestError) as caught:
        decode_snapshot(encoded)
    assert caught.value.reason == "SNAPSHOT_DATE_MISSING"


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (b'"type":"deposit"', b'"type":"deposits"', "curves[0].segments[0].type"),
        (b'"convention":"following"', b'"convention":"folowing"', "indices[0].convention"),
        (b'"recovery_rate":0.4', b'"recovery_rate":"40%"', "hazards[0].recovery_rate"),
        (b'"base_currency"', b'"base_ccy":"EUR","base_currency"', "base_ccy"),
    ],
)
def test_decoding_error_names_the_path(old, new, path):
    """A misspelt field is refused, not ignored, and can be found."""
    encoded = encode_snapshot(a_snapshot())
    assert old in encoded
    with pytest.raises(RequestError) as caught:
        decode_snapshot(encoded.replace(old, new, 1))
    assert caught.value.reason == "BAD_SNAPSHOT"
    assert path in str(caught.value)


@pytest.mark.parametrize("encoded", [b'{"base_currency":"\xff"}', b"\xff\xfe", b'{"quotes":' + b"[" * 100_000])
def test_hostile_bytes_are_refused_like_any_other_snapshot(encoded):
    """Text that is not UTF-8 and brackets nested without end are no errors of Python's own."""
    with pytest.raises(RequestError) as caught:
        decode_snapshot(encoded)
    assert caught.value.reason == "BAD_SNAPSHOT"


def test_bytes_that_are_not_json_are_refused():
    """Truncated uploads say so."""
    with pytest.raises(RequestError, match="is not JSON"):
        decode_snapshot(encode_snapshot(a_snapshot())[:-5])


def _deposits(*names: str) -> Deposits:
    return Deposits(
        pillars=tuple(Pillar("1D", name) for name in names),
        settlement_days=0,
        calendar="TARGET",
        convention="following",
        day_count="A360",
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"curves": (*curves(), curves()[0])}, "curve must be defined once, 'EUR1D' is defined twice"),
        (
            {"fx_spots": (FxSpot(foreign_currency="GBP", domestic_currency="USD", quote="GBPUSD"),)},
            "one currency of FX spot GBPUSD must be the base currency EUR",
        ),
        (
            {"curves": (CurveDefinition(name="X", currency="EUR", segments=(_deposits(),)),)},
            "curve X must have an instrument, got none",
        ),
        (
            {
                "curves": (
                    CurveDefinition(
                        name="X",
                        currency="EUR",
                        segments=(_deposits("A"), ZeroSpreads(pillars=(Pillar("5Y", "B"),), reference_curve="EUR1D")),
                    ),
                )
            },
            "curve X: zero spreads must be its only segment",
        ),
        (
            {"hazards": (HazardDefinition(name="H", currency="EUR", recovery_rate=0.4),)},
            "hazard curve H must have either CDS spreads or hazard rates",
        ),
        (
            {
                "hazards": (
                    HazardDefinition(
                        name="H", currency="EUR", recovery_rate=1.0, hazard_rates=(Pillar("1Y", "H.1Y"),)
                    ),
                )
            },
            "recovery rate must be in",
        ),
        (
            {
                "swaption_volatilities": (
                    SwaptionVolatility(
                        currency="EUR", is_normal=True, expiries=("1Y",), swap_tenors=("1Y", "2Y"), quotes=("A",)
                    ),
                )
            },
            "volatility EUR must have 1 x 2 quotes, got 1",
        ),
    ],
)
def test_contradiction_refuses_the_snapshot(fields, message):
    """Definitions that cannot be meant are no matter of quarantine."""
    with pytest.raises(RequestError, match=message) as caught:
        a_snapshot(**fields)
    assert caught.value.reason == "BAD_SNAPSHOT"


def test_contradiction_is_refused_in_decoded_bytes_too():
    """The wire is no way around the check."""
    fields = msgspec.json.decode(encode_snapshot(a_snapshot()))
    fields["equities"].append(fields["equities"][0])
    with pytest.raises(RequestError, match="equity must be defined once") as caught:
        decode_snapshot(msgspec.json.encode(fields))
    assert caught.value.reason == "BAD_SNAPSHOT"


def test_usable_quote_says_missing_or_bad():
    """Two different reasons, both with the quote's name and what was got."""
    with pytest.raises(CellError, match="quote X is missing from the snapshot") as missing:
        usable_quote({}, "X")
    with pytest.raises(CellError, match="quote X must be a finite number, got n/a") as bad:
        usable_quote({"X": "n/a"}, "X")
    assert missing.value.failure.reason == FailureReason.MISSING_DATA
    assert bad.value.failure.reason == FailureReason.BAD_QUOTE
    assert usable_quote({"X": 1.5}, "X") == 1.5


def test_quote_value_keeps_numbers_and_texts_apart():
    """Only finite numbers are numbers."""
    assert [quote_value(text) for text in ("1.5", "nan", "Infinity", "n/a")] == [1.5, "nan", "Infinity", "n/a"]


def test_snapshot_needs_no_quotes_to_exist():
    """Definitions alone are a snapshot: an empty market is not a contradiction."""
    assert Snapshot(as_of=AS_OF, base_currency="EUR", quotes={}).curves == ()


def test_examples_of_the_documentation_decode():
    """docs/market.md shows a snapshot, a scenario set and the smiles that a snapshot may have."""
    page = (REPOSITORY / "docs" / "market.md").read_text()
    snapshot, scenarios, smiles = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert decode_snapshot(snapshot.encode()).as_of == AS_OF
    assert len(decode_scenarios(scenarios.encode()).scenarios) == 3
    with_smiles = json.loads(snapshot) | json.loads(smiles)
    assert decode_snapshot(json.dumps(with_smiles).encode()).volatility_smiles[0].name == "EURUSD"
