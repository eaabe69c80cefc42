"""xip_core.model.sensitivity_text: ladders as they are typed."""

from __future__ import annotations

import pytest

from xip_core.errors import RequestError
from xip_core.model.sensitivity import Ladder
from xip_core.model.sensitivity_text import parse_ladder


@pytest.mark.parametrize(
    ("text", "ladder"),
    [
        ("par", Ladder(kind="par_rate")),
        ("cs01 name=BANK", Ladder(kind="par_credit", name="BANK")),
        ("zero tenors=1Y,5Y bump=10 gamma", Ladder(kind="zero_rate", tenors=("1Y", "5Y"), bump=10.0, is_gamma=True)),
        (
            "vega across=5Y unit=percent scheme=forward recalibrate",
            Ladder(kind="vega", across=("5Y",), unit="percent", scheme="forward", is_recalibrated=True),
        ),
    ],
)
def test_words_become_a_ladder(text: str, ladder: Ladder) -> None:
    assert parse_ladder(text) == ladder


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a ladder must be a kind such as par, zero or vega"),
        ("vanna", "Invalid enum value 'vanna'"),
        ("par EUR", "a word must be one of name=, tenors=, across=, unit=, bump=, scheme=, gamma, recalibrate"),
        ("par gamma gamma", "gamma must be given once"),
        ("par bump=lots", "Expected `float`"),
    ],
)
def test_words_that_say_nothing_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_ladder(text)
    assert caught.value.reason == "BAD_SENSITIVITY"
    assert sentence in str(caught.value)
