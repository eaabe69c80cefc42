"""The ORE book under drawn markets: ORE itself values what the reference folder has at one market only.

Every quote of the reference market moves by a draw of its own around a move of its kind, so curves twist and surfaces
tilt; both sides read the same file. ORE runs in a process of its own: its settings are global.
"""

from __future__ import annotations

import csv
import gzip
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.core.pricing.ore_reference import ORE, needs_ore
from tests.core.pricing.test_ore_book import EXPIRED
from tests.oracle import ore_run
from xip_core.pricing import calculate
from xip_core.readers.ore_market import read_ore_market
from xip_core.readers.ore_portfolio import read_portfolio

pytestmark = needs_ore

MARKETS = 8
OF_NOTIONAL = 3e-9
REACHED = {"CDS": 1e-11, "INDEX_CDS": 1e-11}
"""Where it is better than OF_NOTIONAL by far."""


def draw_quotes(draw: random.Random) -> list[tuple[str, str, float]]:
    """The reference quotes, moved: rates by basis points, prices and volatilities by a factor."""
    moves: dict[str, float] = {}
    rows = []
    text = gzip.decompress((ORE / "marketdata.csv.gz").read_bytes()).decode()
    for date, name, value in csv.reader(line for line in text.splitlines() if not line.startswith("#")):
        kind = "/".join(name.split("/")[:3])
        move = moves.setdefault(kind, draw.gauss(0.0, 1.0))
        number = float(value)
        if any(word in name for word in ("VOL", "PRICE", "/FX/")) or name.startswith("FX/"):
            number *= 1.0 + 0.05 * move + 0.002 * draw.gauss(0.0, 1.0)
        elif name.startswith(("HAZARD", "CDS", "RECOVERY", "CPR", "BOND", "CORRELATION", "SEASONALITY")):
            pass
        else:
            # ORE reads the spreads of a curve by name, 10Y before 5Y, but not their dates: they must be equal.
            noise = 0.0 if name.startswith("ZERO/YIELD_SPREAD") else draw.gauss(0.0, 1.0)
            number += 1e-4 * (15.0 * move + 0.3 * noise) * (100.0 if "FXFWD" in name else 1.0)
        rows.append((date, name, number))
    return rows


def an_index_cds(portfolio: str) -> str:
    """The book's default swap on BANK, as one on an index of two names with BANK's curve."""
    name = re.search(r'<Trade id="(\w+)">\s*<TradeType>CreditDefaultSwap', portfolio)
    assert name
    trade = portfolio[name.start() : portfolio.index("</Trade>", name.start()) + len("</Trade>")]
    names = "".join(
        f"<Name><IssuerId>{who}</IssuerId><CreditCurveId>{who}</CreditCurveId>"
        "<Notional>5000000</Notional><Currency>USD</Currency></Name>"
        for who in ("CPTY_A", "CPTY_C")
    )
    trade = trade.replace("CreditDefaultSwap", "IndexCreditDefaultSwap").replace(f'"{name[1]}"', '"INDEX_CDS"')
    trade = re.sub(r"\s*<IssuerId>\w+</IssuerId>", "", trade)
    return trade.replace("<LegData>", f"<BasketData>{names}</BasketData><LegData>", 1)


def write_inputs(folder: Path, seed: int) -> None:
    """Everything ORE and the readers of ours want, with the quotes of *seed*."""
    ore_run.write_configuration(folder)
    portfolio = (ORE / "portfolio.xml").read_text()
    (folder / "portfolio.xml").write_text(portfolio.replace("</Portfolio>", f"{an_index_cds(portfolio)}</Portfolio>"))
    quotes = draw_quotes(random.Random(seed))
    (folder / "marketdata.csv").write_text("".join(f"{date},{name},{value!r}\n" for date, name, value in quotes))
    analytic = {"baseCurrency": "EUR", "outputFileName": "npv.csv"}
    ore_run.write_settings(folder, "npv", analytic, {"continueOnError": "true", "logMask": "1"})


def ore_values(folder: Path) -> dict[str, tuple[float, float]]:
    """NPV and notional in EUR by trade."""
    ore_run.run(folder)
    with (folder / "npv.csv").open() as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(line.lstrip("#") for line in file))
    return {row["TradeId"]: (float(row["NPV(Base)"]), float(row["Notional(Base)"])) for row in rows}


@pytest.mark.parametrize("seed", range(MARKETS))
def test_every_trade_of_the_book_has_ores_value_in_a_drawn_market(seed: int, tmp_path: Path) -> None:
    write_inputs(tmp_path, seed)
    theirs = ore_values(tmp_path)
    ours = calculate(read_portfolio(tmp_path / "portfolio.xml").trades, read_ore_market(tmp_path))
    assert len(theirs) >= 40
    far = {}
    for trade_id, (npv, notional) in theirs.items():
        if trade_id in EXPIRED:
            continue
        row = ours.trade_ids.index(trade_id)
        assert ours.status[row, 0] == 0, ours.failures.get(trade_id)
        difference = abs(ours.pv[row, 0] - npv) / notional
        if not difference <= REACHED.get(trade_id, OF_NOTIONAL):
            far[trade_id] = difference
    assert not far
