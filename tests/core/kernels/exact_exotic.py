"""Exotic option values in many digits, written from the textbook and not from the kernels' forms."""

# Every function takes and returns mpf, for which mpmath has no types.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"

from __future__ import annotations

import mpmath as mp

from tests.core.kernels.exact import carried, normal_cdf


def paid_at_hit(spot, barrier, time, rate, carry, volatility, eta):
    """One unit of cash: Haug's term F."""
    s, ratio = volatility * mp.sqrt(time), barrier / spot
    mu = (rate - carry) / volatility**2 - mp.mpf(1) / 2
    power = mp.sqrt(mu**2 + 2 * rate / volatility**2)
    z = mp.log(ratio) / s + power * s
    near = ratio ** (mu + power) * normal_cdf(eta * z)
    return near + ratio ** (mu - power) * normal_cdf(eta * (z - 2 * power * s))


def barrier(spot, strike, time, rate, carry, volatility, is_call, barrier, rebate, barrier_type):
    """Haug's table of terms A to F, section 4.17.1; spot on the living side."""
    phi = 1 if is_call else -1
    eta = 1 if barrier_type < 2 else -1
    is_out = barrier_type in (1, 3)
    s = volatility * mp.sqrt(time)
    if eta * (spot - barrier) <= 0:
        return rebate if is_out else carried(spot, strike, time, rate, carry, volatility, is_call)
    mu = (rate - carry - volatility**2 / 2) / volatility**2
    shift, ratio = (1 + mu) * s, barrier / spot
    spot_leg, strike_leg = spot * mp.exp(-carry * time), strike * mp.exp(-rate * time)
    x1, x2 = mp.log(spot / strike) / s + shift, mp.log(spot / barrier) / s + shift
    y1, y2 = mp.log(barrier**2 / (spot * strike)) / s + shift, mp.log(barrier / spot) / s + shift

    def plain(x):
        return phi * (spot_leg * normal_cdf(phi * x) - strike_leg * normal_cdf(phi * (x - s)))

    def image(y):
        return phi * (
            spot_leg * ratio ** (2 * mu + 2) * normal_cdf(eta * y)
            - strike_leg * ratio ** (2 * mu) * normal_cdf(eta * (y - s))
        )

    a, b, c, d = plain(x1), plain(x2), image(y1), image(y2)
    e = rebate * mp.exp(-rate * time) * (normal_cdf(eta * (x2 - s)) - ratio ** (2 * mu) * normal_cdf(eta * (y2 - s)))
    f = rebate * paid_at_hit(spot, barrier, time, rate, carry, volatility, eta) if rebate and is_out else 0
    above = strike > barrier
    knocked_in = {
        (1, 1): c if above else a - b + d,
        (1, -1): a if above else b - c + d,
        (-1, 1): b - c + d if above else a,
        (-1, -1): a - b + d if above else c,
    }[(phi, eta)]
    return a - knocked_in + f if is_out else knocked_in + e


def digital(spot, strike, time, rate, carry, volatility, is_call, cash, is_asset):
    phi = 1 if is_call else -1
    s = volatility * mp.sqrt(time)
    d1 = (mp.log(spot / strike) + (rate - carry) * time) / s + s / 2
    if is_asset:
        return spot * mp.exp(-carry * time) * normal_cdf(phi * d1)
    return cash * mp.exp(-rate * time) * normal_cdf(phi * (d1 - s))


def on_living_paths(payoff, spot, time, rate, carry, volatility, barrier, low, high):
    """Discounted expectation of payoff(S_T) over low < S_T < high where the barrier was never hit, by quadrature."""
    s, drift = volatility * mp.sqrt(time), (rate - carry - volatility**2 / 2) * time
    gap = mp.log(barrier / spot)

    def density(x):
        image = mp.exp(2 * drift * gap / s**2) * mp.npdf(x, 2 * gap + drift, s)
        return mp.npdf(x, drift, s) - image

    nodes = [mp.log(low / spot), drift, mp.log(high / spot)]
    nodes = sorted(max(min(node, nodes[2]), nodes[0]) for node in nodes)
    return mp.exp(-rate * time) * mp.quad(lambda x: payoff(spot * mp.exp(x)) * density(x), nodes)


def digital_barrier(spot, strike, time, rate, carry, volatility, is_call, cash, is_asset, barrier, barrier_type):
    far = spot * mp.exp(15 * volatility * mp.sqrt(time) + abs(rate - carry) * time)
    low, high = (strike, far) if is_call else (spot**2 / far, strike)
    low, high = (max(low, barrier), high) if barrier_type < 2 else (low, min(high, barrier))
    out = mp.mpf(0)
    if low < high:
        payoff = (lambda price: price) if is_asset else (lambda price: cash)
        out = on_living_paths(payoff, spot, time, rate, carry, volatility, barrier, low, high)
    plain = digital(spot, strike, time, rate, carry, volatility, is_call, cash, is_asset)
    return out if barrier_type in (1, 3) else plain - out


def touch(spot, barrier, time, rate, carry, volatility, barrier_type, cash, is_asset, pays_at_hit):
    s, drift = volatility * mp.sqrt(time), (rate - carry - volatility**2 / 2) * time
    eta = 1 if barrier_type < 2 else -1
    if pays_at_hit:
        return (barrier if is_asset else cash) * paid_at_hit(spot, barrier, time, rate, carry, volatility, eta)
    unit, weight = (drift + s**2, spot * mp.exp(-carry * time)) if is_asset else (drift, cash * mp.exp(-rate * time))
    gap = mp.log(barrier / spot)
    plain, image = eta * (unit - gap) / s, eta * (unit + gap) / s
    power = mp.exp(2 * unit * gap / s**2)
    if barrier_type in (1, 3):
        return weight * (normal_cdf(plain) - power * normal_cdf(image))
    return weight * (normal_cdf(-plain) + power * normal_cdf(image))


def first_passage(spot, barrier, time, rate, carry, volatility, barrier_type, cash, is_asset, pays_at_hit):
    """A touch paid at hit by quadrature of the first passage density over time."""
    gap, drift = abs(mp.log(barrier / spot)), rate - carry - volatility**2 / 2
    slope = -drift if barrier_type < 2 else drift

    def passage(at):
        scale = volatility * mp.sqrt(at)
        return mp.exp(-rate * at) * gap / at / scale * mp.npdf((gap - slope * at) / scale)

    middle = min(gap**2 / volatility**2 / 3, time / 2)
    return (barrier if is_asset else cash) * mp.quad(passage, [0, middle / 8, middle, time])


def exchange(a, b, total_vol):
    """Black's formula on two present values."""
    d1 = mp.log(a / b) / total_vol + total_vol / 2
    return a * normal_cdf(d1) - b * normal_cdf(d1 - total_vol)


def margrabe(first, second, time, first_yield, second_yield, first_vol, second_vol, correlation):
    vol = mp.sqrt(first_vol**2 + second_vol**2 - 2 * correlation * first_vol * second_vol)
    return exchange(first * mp.exp(-first_yield * time), second * mp.exp(-second_yield * time), vol * mp.sqrt(time))


def kirk(first, second, strike, time, rate, first_yield, second_yield, first_vol, second_vol, correlation, is_call):
    a, part = first * mp.exp(-first_yield * time), second * mp.exp(-second_yield * time)
    b = part + strike * mp.exp(-rate * time)
    second_vol = second_vol * part / b
    vol = mp.sqrt(first_vol**2 + second_vol**2 - 2 * correlation * first_vol * second_vol)
    call = exchange(a, b, vol * mp.sqrt(time))
    return call if is_call else call - a + b


def asian_geometric(spot, strike, time, rate, carry, volatility, is_call, first_fixing, fixing_count):
    """The double sum over fixings as it stands; continuous averaging by its integral."""
    count = int(fixing_count)
    if count == 0:
        mean, overlap = (first_fixing + time) / 2, first_fixing + (time - first_fixing) / 3
    else:
        step = (time - first_fixing) / (count - 1) if count > 1 else 0
        fixings = [time - step * (count - 1 - i) for i in range(count)]
        mean = sum(fixings) / count
        overlap = sum(min(one, other) for one in fixings for other in fixings) / mp.mpf(count) ** 2
    forward = spot * mp.exp((rate - carry - volatility**2 / 2) * mean + volatility**2 * overlap / 2)
    sign, s = 1 if is_call else -1, volatility * mp.sqrt(overlap)
    d1 = mp.log(forward / strike) / s + s / 2
    return sign * mp.exp(-rate * time) * (forward * normal_cdf(sign * d1) - strike * normal_cdf(sign * (d1 - s)))


def merton(spot, strike, time, rate, carry, volatility, is_call, intensity, mean_log_jump, jump_volatility):
    """Merton's own form: a European price per number of jumps, with its rate and volatility, 150 terms."""
    kappa = mp.exp(mean_log_jump + jump_volatility**2 / 2) - 1
    expected = intensity * (1 + kappa) * time
    total = mp.mpf(0)
    for jumps in range(150):
        vol = mp.sqrt(volatility**2 + jumps * jump_volatility**2 / time)
        moved = rate - intensity * kappa + jumps * mp.log(1 + kappa) / time
        price = carried(spot, strike, time, moved, carry, vol, is_call)
        total += mp.exp(-expected) * expected**jumps / mp.factorial(jumps) * price
    return total
