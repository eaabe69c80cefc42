"""xip_core.model.trade_labels: hierarchy keys and dependencies, read from the line of any trade."""

from __future__ import annotations

import pytest

from tests.core.pricing.test_properties import every_product
from xip_core.errors import CellError
from xip_core.model.trade import encode_trade
from xip_core.model.trade_labels import decode_labels, dependency_of, label_of


def test_every_product_has_readable_labels_and_a_currency() -> None:
    for trade in every_product():
        labels = decode_labels(encode_trade(trade))
        assert labels.is_readable
        assert (labels.id, len(label_of(labels, "currency"))) == (trade.id, 3)
        assert dependency_of(labels.market_names)[:3].isupper()


def test_a_key_is_a_field_a_class_or_a_tag() -> None:
    line = b'{"type":"fx_forward","id":"F","desk":"d","counterparty":"c","tags":{"region":"EU"},"sold_currency":"USD"}'
    labels = decode_labels(line)
    keys = ("desk", "book", "counterparty", "asset_class", "currency", "region", "strategy")
    assert [label_of(labels, key) for key in keys] == ["d", "", "c", "fx", "USD", "EU", ""]


def test_what_a_trade_leans_on_does_not_depend_on_the_order_of_its_legs() -> None:
    legs = ['{"currency":"USD","index":"USD-LIBOR-3M"}', '{"currency":"EUR","index":"EUR-EURIBOR-6M"}']
    lines = [f'{{"type":"swap","id":"S","legs":[{",".join(order)}]}}'.encode() for order in (legs, legs[::-1])]
    found = {dependency_of(decode_labels(line).market_names) for line in lines}
    assert found == {"EUR USD/EUR-EURIBOR-6M USD-LIBOR-3M"}


def test_labels_of_the_wrong_kind_leave_the_head_readable() -> None:
    labels = decode_labels(b'{"type":"swap","id":"S","desk":5,"book":"B"}')
    assert (labels.id, labels.type, labels.book, labels.is_readable) == ("S", "swap", "", False)


@pytest.mark.parametrize("line", [b"", b"[]", b'{"id":"S"}', b'{"id":5,"type":"swap"}'])
def test_a_line_without_id_and_type_is_no_trade(line: bytes) -> None:
    with pytest.raises(CellError, match="not a trade"):
        decode_labels(line)
