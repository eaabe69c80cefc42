"""Rows of equity.heston for tests and benchmarks, and what they are worth in many digits."""

from __future__ import annotations

import mpmath as mp
import numpy as np

Columns = dict[str, np.ndarray]
PARAMETERS = ("v0", "kappa", "theta", "sigma", "rho")


def heston_book(rows: int, seed: int = 31) -> Columns:
    """What desks calibrate to: a week to ten years, half of the rows violate Feller's condition, 4 deviations wide."""
    random = np.random.default_rng(seed)

    def spread(low: float, high: float) -> np.ndarray:
        return np.exp(random.uniform(np.log(low), np.log(high), rows))

    columns = {"spot": np.full(rows, 100.0), "time": spread(1 / 52, 10.0)}
    columns |= {"rate": random.uniform(-0.02, 0.08, rows), "dividend_yield": random.uniform(-0.02, 0.06, rows)}
    columns |= {"v0": spread(0.005, 0.5), "kappa": spread(0.1, 8.0), "theta": spread(0.005, 0.5)}
    columns |= {"sigma": spread(0.05, 1.5), "rho": random.uniform(-0.95, 0.6, rows)}
    variance = np.maximum(columns["v0"], columns["theta"]) * columns["time"]
    columns["strike"] = 100.0 * np.exp(np.clip(random.normal(0.0, 1.0, rows) * np.sqrt(variance), -4.0, 4.0))
    columns["is_call"] = random.integers(0, 2, rows).astype(float)
    order = ("spot", "strike", "time", "rate", "dividend_yield", *PARAMETERS, "is_call")
    return {name: columns[name] for name in order}


def harsh_book(rows: int, seed: int = 32) -> Columns:
    """A day to thirty years, variances from 1e-4 to 1, sigma from 0.001 to 5, every tenth correlation almost +-1."""
    random = np.random.default_rng(seed)

    def spread(low: float, high: float) -> np.ndarray:
        return np.exp(random.uniform(np.log(low), np.log(high), rows))

    columns = heston_book(rows, seed)
    columns |= {"time": spread(1 / 365, 30.0), "v0": spread(1e-4, 1.0), "theta": spread(1e-4, 1.0)}
    columns |= {"kappa": spread(0.01, 20.0), "sigma": spread(1e-3, 5.0), "rho": random.uniform(-1.0, 1.0, rows)}
    columns["rho"][::10] = np.sign(columns["rho"][::10]) * (1.0 - 1e-6)
    variance = np.maximum(columns["v0"], columns["theta"]) * columns["time"]
    columns["strike"] = 100.0 * np.exp(np.clip(random.normal(0.0, 1.0, rows) * np.sqrt(variance), -3.0, 3.0))
    return columns


def exact_price(spot, strike, time, rate, dividend_yield, v0, kappa, theta, sigma, rho, is_call):  # type: ignore[no-untyped-def]  # mpf in, mpf out
    """Lewis's integral along Im u = -1/2 of the textbook's characteristic function, on panels that double."""
    discount, carry = mp.exp(-rate * time), mp.exp(-dividend_yield * time)
    log_forward = mp.log(spot / strike) + (rate - dividend_yield) * time

    def integrand(u):  # type: ignore[no-untyped-def]  # as above
        iz = mp.mpc(mp.mpf(1) / 2, u)
        beta = kappa - rho * sigma * iz
        d = mp.sqrt(beta * beta + sigma**2 * (iz - iz * iz))
        g, fall = (beta - d) / (beta + d), mp.exp(-d * time)
        growth = (beta - d) * time - 2 * mp.log((1 - g * fall) / (1 - g))
        variance = (beta - d) * (1 - fall) / (1 - g * fall)
        return (mp.exp((kappa * theta * growth + v0 * variance) / sigma**2 + iz * log_forward)).real / (u * u + 0.25)

    scale = 1 / mp.sqrt(max(v0, theta) * time)
    edges = [mp.mpf(0)]
    while len(edges) < 3 or (abs(integrand(edges[-1])) > mp.mpf(10) ** -18 and len(edges) < 40):
        edges.append(scale * mp.mpf(2) ** (len(edges) - 2))
    integral = mp.quad(integrand, edges, method="gauss-legendre", maxdegree=7) / mp.pi
    call = spot * carry - strike * discount * integral
    return call if is_call else call - spot * carry + strike * discount
