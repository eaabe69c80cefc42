"""Ladders as they are typed: the kind, then words.

    par name=EUR* tenors=1Y,2Y,5Y,10Y           par-quote DV01s of the euro curves in four buckets
    zero bump=10 gamma                          zero rates of every curve at the standard vertices, with gammas
    vega name=cap_volatility/* across=0.01,0.03 volatilities of caps, all expiries together, at two strikes
    fx gamma                                    FX spots

Short names: par, zero, hazard, cs01 (par_credit), points (fx_points), spread (security_spread).
Words: name, tenors, across, unit, bump, scheme; gamma, recalibrate.
"""

from __future__ import annotations

from typing import Any

import msgspec

from xip_core.errors import RequestError
from xip_core.model.sensitivity import Ladder

SHORT_KINDS = {
    "par": "par_rate",
    "zero": "zero_rate",
    "hazard": "hazard_rate",
    "cs01": "par_credit",
    "points": "fx_points",
    "spread": "security_spread",
}
FLAGS = {"gamma": "is_gamma", "recalibrate": "is_recalibrated"}
LISTS = ("tenors", "across")
WORDS = ("name", *LISTS, "unit", "bump", "scheme")


def parse_ladder(text: str) -> Ladder:
    """
    A ladder from its words.

    Raises:
        RequestError: BAD_SENSITIVITY, with the word that was not understood.
    """
    words = text.split()
    if not words:
        raise RequestError("BAD_SENSITIVITY", "a ladder must be a kind such as par, zero or vega, got ''")
    fields: dict[str, Any] = {"kind": SHORT_KINDS.get(words[0], words[0])}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        field = FLAGS.get(name, name)
        if field in fields:
            raise RequestError("BAD_SENSITIVITY", f"ladder {text!r}: {name} must be given once")
        if not equals and name in FLAGS:
            fields[field] = True
        elif equals and name in WORDS:
            fields[field] = value.split(",") if name in LISTS else value
        else:
            known = ", ".join((*(f"{one}=" for one in WORDS), *FLAGS))
            raise RequestError("BAD_SENSITIVITY", f"ladder {text!r}: a word must be one of {known}, got {word!r}")
    try:
        return msgspec.convert(fields, Ladder, strict=False)
    except msgspec.ValidationError as error:
        raise RequestError("BAD_SENSITIVITY", f"ladder {text!r}: {error}") from None
