"""xip_core.model.suitability and xip_core.model.clients"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.core.risk.some_clients import a_profile, clients, one_client, profiles
from xip_core.errors import RequestError
from xip_core.model.clients import (
    check_references,
    client_ids,
    decode_clients,
    encode_clients,
    joined_ids,
)
from xip_core.model.suitability import (
    RULES,
    InstrumentTerms,
    ProfileTable,
    decode_instruments,
    decode_profiles,
    encode_instruments,
    encode_profiles,
    market_risk_class,
)


def profile_json(**change: Any) -> bytes:
    limits: dict[str, Any] = dict.fromkeys(RULES) | {"volatility": {"limit": 0.1, "review": 0.08}}
    return json.dumps({"profiles": [{"name": "cautious", "limits": limits | change}]}).encode()


def test_profiles_come_back_as_they_were() -> None:
    table = profiles(a_profile(volatility=(0.1, 0.08), leverage=1.0), a_profile("bold", stress_loss=0.5))
    assert decode_profiles(encode_profiles(table)) == table


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (profile_json(volatility=None), "'cautious' must have at least one limit, all are null"),
        (profile_json(wealth=None), "unknown wealth"),
        (profile_json(volatility={"limit": -0.1}), "volatility: 0 <= review <= limit must hold, got None and -0.1"),
        (profile_json(volatility={"limit": 0.1, "review": 0.2}), "got 0.2 and 0.1"),
        (profile_json(volatility={"limit": "0.1"}), "do not decode"),
        (b'{"profiles": []}', "1 to 200 profiles, got 0"),
        (b'{"profiles": [{"name": "a", "limits": {}}]}', "missing volatility, value_at_risk"),
        (profile_json()[:-1] + b', "confidence": 1.0}', "confidence must lie between 0 and 1"),
        (profile_json()[:-1] + b', "large_issuer_share": 0}', "large_issuer_share must lie between 0 and 1"),
    ],
)
def test_profiles_at_fault_are_refused_by_name(content: bytes, what: str) -> None:
    with pytest.raises(RequestError, match=what) as refused:
        decode_profiles(content)
    assert refused.value.reason == "BAD_PROFILES"


def test_profiles_of_one_name_are_refused() -> None:
    twice = ProfileTable(profiles=(a_profile(leverage=1.0), a_profile(leverage=2.0)))
    with pytest.raises(RequestError, match="a name of its own, got 'cautious'"):
        decode_profiles(encode_profiles(twice))


def test_instruments_come_back_as_they_were() -> None:
    table = (InstrumentTerms(id="A", issuer="X", exposure=5.0), InstrumentTerms(id="B", is_illiquid=True))
    assert decode_instruments(encode_instruments(table)) == table


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"[]", "1 to 200000 instruments, got 0"),
        (b'[{"id": "A"}, {"id": "A"}]', "instrument 'A': an id must be there, and once"),
        (b'[{"id": "A", "knowledge_class": 10}]', "knowledge_class must be 0 to 9, got 10"),
        (b'[{"id": "A", "price": 3}]', "do not decode"),
    ],
)
def test_instruments_at_fault_are_refused_by_name(content: bytes, what: str) -> None:
    with pytest.raises(RequestError, match=what) as refused:
        decode_instruments(content)
    assert refused.value.reason == "BAD_INSTRUMENTS"


def test_classes_of_market_risk_begin_where_the_regulation_says() -> None:
    edges = [0.0, 0.0049, 0.005, 0.0499, 0.05, 0.12, 0.2, 0.2999, 0.3, 0.7999, 0.8, 5.0]
    assert [market_risk_class(edge) for edge in edges] == [1, 1, 2, 2, 3, 4, 5, 5, 6, 6, 7, 7]


def test_clients_come_back_as_they_were_and_equal_ones_have_equal_bytes() -> None:
    table = clients()
    content = encode_clients(table)
    again = decode_clients(content)
    for name in table.__struct_fields__:
        assert np.array_equal(getattr(again, name), getattr(table, name)), name
    assert encode_clients(again) == content
    assert client_ids(again)[:2] == ["C0", "C1"]


def test_many_instruments_take_wider_numbers() -> None:
    few, many = one_client([(65_535, 1.0)]), one_client([(65_536, 1.0)])
    assert len(encode_clients(many)) == len(encode_clients(few)) + 2
    assert decode_clients(encode_clients(many)).instrument.tolist() == [65_536]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"cash": np.array([np.nan])}, "cash must be finite, got nan of client 0 'C0'"),
        ({"net_worth": np.array([-1.0])}, "net_worth must be 0 or more, got -1.0 of client 0"),
        ({"horizon_years": np.array([0.0])}, "horizon_years must be above 0 and at most 100, got 0.0"),
        ({"horizon_years": np.array([np.nan])}, "horizon_years must be above 0"),
        ({"knowledge": np.array([10], np.uint8)}, "knowledge must be 0 to 9, got 10"),
        ({"quantity": np.array([1.0, 0.0])}, "a quantity must be finite and not 0, got 0.0 of client 0"),
        ({"quantity": np.array([1.0, np.inf])}, "a quantity must be finite"),
        ({"quantity": np.array([1.0])}, "positions must be 2 as counted, got 2 instruments and 1 quantities"),
        ({"instrument": np.array([0, -1])}, "an instrument must be at least 0, got -1"),
        ({"profile": np.zeros(2, np.uint8)}, "profile must have the 1 clients of cash, got 2"),
        ({"ids": b"C0\nC1"}, "an id for each, got 1 and 2"),
    ],
)
def test_clients_at_fault_are_refused_by_name(change: dict[str, Any], what: str) -> None:
    table = msgspec.structs.replace(one_client([(0, 1.0), (1, 2.0)]), **change)
    with pytest.raises(RequestError, match=what) as refused:
        encode_clients(table)
    assert refused.value.reason == "BAD_CLIENTS"


def test_what_is_no_table_of_clients_is_refused() -> None:
    for content in (b"", b"clients", msgspec.msgpack.encode({}), encode_clients(clients())[:-3]):
        with pytest.raises(RequestError) as refused:
            decode_clients(content)
        assert refused.value.reason == "BAD_CLIENTS"


def test_unknown_profiles_and_instruments_are_refused_by_client() -> None:
    table = clients()
    check_references(table, 2, 50)
    with pytest.raises(RequestError, match="one of the 1 given, got 1 of client") as refused:
        check_references(table, 1, 50)
    assert refused.value.reason == "UNKNOWN_PROFILE"
    held = int(table.instrument.max())
    with pytest.raises(RequestError, match=f"one of the {held} given, got {held} of client") as refused:
        check_references(table, 2, held)
    assert refused.value.reason == "UNKNOWN_INSTRUMENT"


@pytest.mark.parametrize("ids", [["A", "A"], [""], ["A\nB"]])
def test_ids_must_be_distinct_lines(ids: list[str]) -> None:
    with pytest.raises(RequestError, match="must have an id of its own"):
        joined_ids(ids)
