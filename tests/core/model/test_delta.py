"""xip_core.model.delta: what makes one blob of another"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xip_core.errors import IntegrityError
from xip_core.model.delta import apply_delta, make_delta

TEXT = st.lists(st.sampled_from([b"a", b"bb", b",", b"\n", b"x,y", b"0.1"]), max_size=40).map(b"".join)
LIMIT = 1 << 20


@given(TEXT, TEXT)
def test_a_delta_makes_the_whole_of_its_base(base: bytes, whole: bytes) -> None:
    assert apply_delta(base, make_delta(base, whole), LIMIT) == whole


@given(TEXT, TEXT)
def test_a_delta_is_hardly_longer_than_the_whole(base: bytes, whole: bytes) -> None:
    assert len(make_delta(base, whole)) <= 2 * len(whole) + 100


def test_a_tick_in_a_market_is_some_bytes() -> None:
    quotes = [f'"QUOTE/{number}":{number / 7}' for number in range(5_000)]
    base = ("{" + ",".join(quotes) + "}").encode()
    quotes[10], quotes[4_000] = '"QUOTE/10":0.5', '"QUOTE/4000":1.25'
    whole = ("{" + ",".join(quotes) + "}").encode()
    delta = make_delta(base, whole)
    assert len(delta) < 100 < len(whole) / 1000
    assert apply_delta(base, delta, LIMIT) == whole


def test_amended_trades_are_their_lines() -> None:
    lines = [b'{"id":"T%d","notional":%d}' % (number, number) for number in range(1_000)]
    base = b"\n".join(lines)
    lines[3], lines[900] = b'{"id":"T3","notional":7000}', b'{"id":"T900"}'
    assert len(make_delta(base, b"\n".join(lines))) < 120


@pytest.mark.parametrize(
    ("delta", "complaint"),
    [
        (b"", "cannot be read"),
        (b"\x93\x01", "cannot be read"),
        (msgspec.msgpack.encode([2, 3, []]), "of version 1"),
        (msgspec.msgpack.encode([1, LIMIT + 1, []]), "at most"),
        (msgspec.msgpack.encode([1, 3, [[0, 9, b""]]]), r"keeps \[0, 9\)"),
        (msgspec.msgpack.encode([1, 3, [[-1, 2, b""]]]), "keeps"),
        (msgspec.msgpack.encode([1, 3, [[0, 2, b""]]]), "must make 3 bytes"),
        (msgspec.msgpack.encode([1, 3, [[0, 4, b""]] * 1_000]), "must make 3 bytes"),
    ],
)
def test_what_is_no_delta_against_the_base_is_refused(delta: bytes, complaint: str) -> None:
    with pytest.raises(IntegrityError, match=complaint):
        apply_delta(b"base", delta, LIMIT)
