"""xip_core.model.unreadable: where JSON that cannot be read is at fault."""

from __future__ import annotations

import msgspec
import pytest

from xip_core.model.unreadable import UNREADABLE, fault_of


def sentence(encoded: bytes) -> str:
    with pytest.raises(UNREADABLE) as caught:
        msgspec.json.decode(encoded)
    return fault_of(encoded, caught.value)


def test_a_damaged_place_is_told_with_its_line_and_surroundings():
    assert sentence(b'{"as_of": "2016-02-05",\n "quotes": {oops}}') == (
        "JSON is malformed: object keys must be strings (byte 36), line 2, "
        'near \'{"as_of": "2016-02-05",\\n "quotes": {oops}}\''
    )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_json_does_not_have_says_how_to_write_it(number):
    words = sentence(b'{"quotes":{"EURUSD": ' + number.encode() + b"}}")
    assert "EURUSD" in words
    assert words.endswith('a quote that is none is written as text, "NaN"')


def test_faults_without_a_place_are_told_as_they_come():
    assert "recursion" in sentence(b"[" * 100_000)
    assert "truncated" in sentence(b'{"quotes":')
