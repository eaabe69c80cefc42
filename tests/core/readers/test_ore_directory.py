"""xip_core.readers.ore_directory: a directory becomes a book and a market; what is not taken over keeps its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from xip_core.client.heads import snapshot_head, trade_labels
from xip_core.errors import FailureReason, InputError
from xip_core.graph.rows import read_rows
from xip_core.readers.ore_directory import read_book, read_market

REPOSITORY = Path(__file__).resolve().parents[3]
ORE = REPOSITORY.parent / "shared" / "reference" / "ore"

FX_FORWARD = """<Trade id="{id}"><TradeType>{type}</TradeType><Envelope><CounterParty>C</CounterParty></Envelope>
<FxForwardData><ValueDate>2017-02-07</ValueDate><BoughtCurrency>EUR</BoughtCurrency><BoughtAmount>1000000</BoughtAmount>
<SoldCurrency>USD</SoldCurrency><SoldAmount>1100000</SoldAmount></FxForwardData></Trade>"""


def test_unread_trades_keep_their_place_and_their_reason(tmp_path):
    kinds = ("Autocallable", "FxForward", "Cliquet", "TRS", "FxForward")
    trades = "".join(FX_FORWARD.format(id=f"T{row}", type=kind) for row, kind in enumerate(kinds))
    (tmp_path / "portfolio.xml").write_text(f"<Portfolio>{trades}</Portfolio>")
    book = read_book(tmp_path)
    assert [(label.id, label.type) for label in trade_labels(book)] == [
        ("T0", "unread"),
        ("T1", "fx_forward"),
        ("T2", "unread"),
        ("T3", "unread"),
        ("T4", "fx_forward"),
    ]
    rows = read_rows(book)
    assert [(one.row, one.trade_id, one.reason) for one in rows.quarantine] == [
        (row, f"T{row}", FailureReason.UNSUPPORTED) for row in (0, 2, 3)
    ]
    assert "'Cliquet' is not supported" in rows.quarantine[1].message


def test_a_directory_without_portfolio_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"portfolio\.xml"):
        read_book(tmp_path)


def test_the_original_files_become_a_book_and_a_market():
    if not ORE.exists():
        pytest.skip(f"reference files are not here: {ORE}")
    labels = trade_labels(read_book(ORE))
    assert len(labels) == len({label.id for label in labels})
    assert sum(label.type != "unread" for label in labels) >= 39
    head = snapshot_head(read_market(ORE))
    assert (head.as_of, head.base_currency) == ("2016-02-05", "EUR")
