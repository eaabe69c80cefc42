"""European option values in many digits, as functions of their columns, for accuracy and derivatives."""

from __future__ import annotations

import mpmath as mp


def normal_cdf(x: mp.mpf) -> mp.mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def black(forward, strike, time, volatility, discount, is_call):  # type: ignore[no-untyped-def]  # mpf in, mpf out
    sign = 1 if is_call else -1
    total_vol = volatility * mp.sqrt(time)
    d1 = mp.log(forward / strike) / total_vol + total_vol / 2
    return sign * discount * (forward * normal_cdf(sign * d1) - strike * normal_cdf(sign * (d1 - total_vol)))


def bachelier(forward, strike, time, normal_volatility, discount, is_call):  # type: ignore[no-untyped-def]  # as black
    sign = 1 if is_call else -1
    total_vol = normal_volatility * mp.sqrt(time)
    d = (forward - strike) / total_vol
    return discount * (sign * (forward - strike) * normal_cdf(sign * d) + total_vol * mp.npdf(d))


def carried(spot, strike, time, rate, carry, volatility, is_call):  # type: ignore[no-untyped-def]  # as black
    """Equity with a dividend yield, or FX with a foreign rate."""
    forward = spot * mp.exp((rate - carry) * time)
    return black(forward, strike, time, volatility, mp.exp(-rate * time), is_call)
