"""ORE portfolios: what is read, what is quarantined, and files that are none."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.core.pricing.ore_reference import ORE, needs_ore
from xip_core.errors import FailureReason, InputError
from xip_core.model.trade import (
    Bond,
    CapFloor,
    Cds,
    CommodityAverageOption,
    OvernightLeg,
    Premium,
    Swap,
    Swaption,
    decode_trade,
    encode_trade,
)
from xip_core.readers.ore_portfolio import Portfolio, read_portfolio

FX_FORWARD = """
<Trade id="FX1"><TradeType>FxForward</TradeType>
  <Envelope><CounterParty>CP</CounterParty><PortfolioIds><PortfolioId>PF</PortfolioId></PortfolioIds></Envelope>
  <FxForwardData><ValueDate>2026-03-01</ValueDate><BoughtCurrency>EUR</BoughtCurrency>
    <BoughtAmount>1000000</BoughtAmount><SoldCurrency>USD</SoldCurrency><SoldAmount>1100000</SoldAmount>
  </FxForwardData></Trade>"""
FX_OPTION = """
<Trade id="FX2"><TradeType>FxOption</TradeType><FxOptionData>
  <OptionData><LongShort>Short</LongShort><OptionType>Put</OptionType><Style>European</Style>
    <ExerciseDates><ExerciseDate>20260301</ExerciseDate></ExerciseDates></OptionData>
  <BoughtCurrency>EUR</BoughtCurrency><BoughtAmount>1</BoughtAmount><SoldCurrency>USD</SoldCurrency>
  <SoldAmount>1.1</SoldAmount></FxOptionData></Trade>"""


def read(tmp_path: Path, *trades: str) -> Portfolio:
    path = tmp_path / "portfolio.xml"
    path.write_text(f"<Portfolio>{''.join(trades)}</Portfolio>")
    return read_portfolio(path)


def test_a_trade_is_read_with_its_labels(tmp_path: Path) -> None:
    (trade,) = read(tmp_path, FX_FORWARD).trades
    assert encode_trade(trade) == (
        b'{"type":"fx_forward","id":"FX1","book":"PF","counterparty":"CP","value_date":"2026-03-01",'
        b'"bought_currency":"EUR","bought_amount":1000000.0,"sold_currency":"USD","sold_amount":1100000.0}'
    )


INDEX_CDS = """
<Trade id="IX"><TradeType>IndexCreditDefaultSwap</TradeType><IndexCreditDefaultSwapData>
  <CreditCurveId>CDX</CreditCurveId><SettlesAccrual>Y</SettlesAccrual><PaysAtDefaultTime>Y</PaysAtDefaultTime>
  <BasketData><Name><IssuerId>A</IssuerId><CreditCurveId>A</CreditCurveId><Notional>5</Notional>
    <Currency>USD</Currency></Name></BasketData>
  <LegData><LegType>Fixed</LegType><Payer>true</Payer><Currency>USD</Currency>
    <Notionals><Notional>10</Notional></Notionals><DayCounter>A360</DayCounter><PaymentConvention>F</PaymentConvention>
    <FixedLegData><Rates><Rate>0.01</Rate></Rates></FixedLegData>
    <ScheduleData><Rules><StartDate>20160205</StartDate><EndDate>20210620</EndDate><Tenor>3M</Tenor>
      <Calendar>US</Calendar><Convention>F</Convention><TermConvention>F</TermConvention><Rule>CDS2015</Rule>
    </Rules></ScheduleData></LegData></IndexCreditDefaultSwapData></Trade>"""


def test_an_index_swap_is_one_on_the_curve_of_the_index(tmp_path: Path) -> None:
    (trade,) = read(tmp_path, INDEX_CDS).trades
    assert isinstance(trade, Cds)
    assert (trade.credit_curve, trade.issuer, trade.leg.notionals) == ("CDX", "", (10.0,))


def test_an_index_of_which_a_name_has_defaulted_is_quarantined(tmp_path: Path) -> None:
    text = INDEX_CDS.replace("</Notional>\n    <Currency>", "</Notional><PriorNotional>5</PriorNotional><Currency>")
    (unread,) = read(tmp_path, text).unread
    assert unread.failure.reason == FailureReason.UNSUPPORTED
    assert "a name that has defaulted" in unread.failure.message


def test_both_spellings_of_a_date_are_read(tmp_path: Path) -> None:
    (trade,) = read(tmp_path, FX_OPTION).trades
    assert trade.expiry == dt.date(2026, 3, 1)
    assert (trade.position, trade.option_type) == ("short", "put")


@pytest.mark.parametrize(
    ("old", "new", "reason", "sentence"),
    [
        ("<ValueDate>", "<Colour>red</Colour><ValueDate>", FailureReason.BAD_TRADE,
         "unknown element Trade/FxForwardData/Colour"),
        ("</FxForwardData>", "</FxForwardData><Extra>1</Extra>", FailureReason.BAD_TRADE,
         "unknown element Trade/Extra"),
        ("<ValueDate>2026-03-01</ValueDate>", "", FailureReason.BAD_TRADE, "must have ValueDate"),
        ("2026-03-01", "2026-02-30", FailureReason.BAD_TRADE, "ValueDate must be a date like 2016-02-05"),
        ("1000000", "a million", FailureReason.BAD_TRADE, "BoughtAmount must be a number, got 'a million'"),
        ("1000000", "NaN", FailureReason.BAD_TRADE, "BoughtAmount must be a finite number, got 'NaN'"),
        ("1000000", "-5", FailureReason.BAD_TRADE, "must be > 0"),
        ("<TradeType>FxForward", "<TradeType>Autocallable", FailureReason.UNSUPPORTED,
         "type 'Autocallable' is not supported"),
        ('id="FX1"', 'name="FX1"', FailureReason.BAD_TRADE, "must have an id"),
    ],
)  # fmt: skip
def test_a_bad_trade_is_quarantined_and_its_neighbour_read(
    tmp_path: Path, old: str, new: str, reason: FailureReason, sentence: str
) -> None:
    assert old in FX_FORWARD
    portfolio = read(tmp_path, FX_FORWARD.replace(old, new), FX_OPTION)
    assert [trade.id for trade in portfolio.trades] == ["FX2"]
    (unread,) = portfolio.unread
    assert unread.position == 0
    assert unread.failure.reason == reason
    assert sentence in unread.failure.message


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("European", "American", "a FxOption of style 'American' is not supported, European is"),
        ("</ExerciseDates>", "<ExerciseDate>20270301</ExerciseDate></ExerciseDates>", "one exercise date is supported"),
    ],
)
def test_a_feature_that_is_not_priced_is_named(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    (unread,) = read(tmp_path, FX_OPTION.replace(old, new)).unread
    assert unread.failure.reason == FailureReason.UNSUPPORTED
    assert sentence in unread.failure.message


AVERAGE_OPTION = """
  <Trade id="APO"><TradeType>CommodityAveragePriceOption</TradeType>
    <CommodityAveragePriceOptionData>
      <OptionData><LongShort>Long</LongShort><OptionType>Put</OptionType>
        <ExerciseDates><ExerciseDate>2021-12-31</ExerciseDate></ExerciseDates></OptionData>
      <Name>OIL</Name><Currency>USD</Currency><Quantity>10</Quantity><Strike>50</Strike><PriceType>Spot</PriceType>
      <StartDate>2020-12-31</StartDate><EndDate>2021-12-31</EndDate><PaymentLag>5</PaymentLag>
      <PaymentCalendar>US-NYSE</PaymentCalendar>
    </CommodityAveragePriceOptionData></Trade>"""


def test_an_average_price_option_is_read(tmp_path: Path) -> None:
    (trade,) = read(tmp_path, AVERAGE_OPTION).trades
    assert isinstance(trade, CommodityAverageOption)
    assert (trade.option_type, trade.strike, trade.payment_lag_days) == ("put", 50.0, 5)
    assert (trade.start, trade.end) == (dt.date(2020, 12, 31), dt.date(2021, 12, 31))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (">Spot<", ">FutureSettlement<", "PriceType 'FutureSettlement' is not supported, Spot is"),
        ("<EndDate>2021-12-31", "<EndDate>2022-01-31", "exercised on 2021-12-31, not at the end of its period"),
        ("<Strike>", "<Gearing>2</Gearing><Strike>", "Gearing) is not supported"),
    ],
)
def test_other_ways_to_average_are_named(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    (unread,) = read(tmp_path, AVERAGE_OPTION.replace(old, new)).unread
    assert unread.failure.reason == FailureReason.UNSUPPORTED
    assert sentence in unread.failure.message


def test_a_repeated_id_is_kept_for_the_book_to_refuse(tmp_path: Path) -> None:
    assert [trade.id for trade in read(tmp_path, FX_FORWARD, FX_FORWARD).trades] == ["FX1", "FX1"]


def test_malformed_xml_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "portfolio.xml"
    path.write_text("<Portfolio>\n<Trade id='1'>\n</Portfolio>\n")
    with pytest.raises(InputError, match="mismatched tag") as refused:
        read_portfolio(path)
    assert refused.value.line == 3
    assert str(refused.value).startswith(f"{path}:3: ")


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "portfolio.xml"
    path.write_text('<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Portfolio>&b;</Portfolio>')
    with pytest.raises(InputError, match="must not declare document types or entities"):
        read_portfolio(path)


@pytest.mark.parametrize(("text", "sentence"), [("<Book/>", "root element Portfolio, got 'Book'"), ("", "must be XML")])
def test_a_file_that_is_no_portfolio_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "portfolio.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_portfolio(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_portfolio(tmp_path / "absent.xml")


@needs_ore
def test_the_ore_book_is_read_to_the_last_field() -> None:
    portfolio = read_portfolio(ORE / "portfolio.xml")
    trades = {trade.id: trade for trade in portfolio.trades}
    assert len(trades) + len(portfolio.unread) == 46
    assert all(decode_trade(encode_trade(trade)) == trade for trade in trades.values())
    bond, cap, cds = trades["Bond_Floating"], trades["CAP_USD"], trades["CDS"]
    assert isinstance(bond, Bond)
    assert (bond.leg.floors, bond.leg.spreads, bond.reference_curve) == ((0.015,), (0.01,), "EUR-EURIBOR-6M")
    assert isinstance(cap, CapFloor)
    assert (cap.position, cap.caps, cap.leg.schedule.calendar) == ("short", (0.04,), "US")
    assert isinstance(cds, Cds)
    assert (cds.protection_start, cds.upfront_date) == (dt.date(2016, 2, 6), dt.date(2016, 2, 8))
    swap, swaption = trades["averageOIS"], trades["SwaptionCashPremium"]
    assert isinstance(swap, Swap)
    assert isinstance(swap.legs[0], OvernightLeg)
    assert (swap.legs[0].averaged, swap.legs[0].lookback_days, swap.legs[0].schedule.rule) == (True, 2, "backward")
    assert isinstance(swaption, Swaption)
    assert swaption.premiums == (Premium(amount=1090000.0, currency="EUR", pay_date=dt.date(2026, 3, 1)),)
